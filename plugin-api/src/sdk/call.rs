//! What each call carries.

use std::time::{Duration, Instant};

use crate::abi;

/// Names one call for [`Driver::cancel`](super::Driver::cancel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallNumber(u64);

impl CallNumber {
    /// The number that crosses the line.
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

/// One call of Purser's: its number and the time it leaves `[T-4]`.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    number: CallNumber,
    deadline: Instant,
}

impl Call {
    /// A call that has `time` from now on; for a driver's own tests.
    pub fn new(number: CallNumber, time: Duration) -> Self {
        Self {
            number,
            deadline: Instant::now() + time,
        }
    }

    /// The number that [`Driver::cancel`](super::Driver::cancel) would name.
    pub fn number(&self) -> CallNumber {
        self.number
    }

    /// The moment before which the answer must be given.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The time left; zero when there is none.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(super) fn from_raw(raw: &abi::Call) -> Self {
        Self::new(
            CallNumber(raw.number),
            Duration::from_millis(u64::from(raw.deadline_ms)),
        )
    }
}
