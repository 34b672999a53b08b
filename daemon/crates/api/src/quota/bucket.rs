//! So much a second, over a long time; so much at once after a pause.

use std::time::Duration;

use tokio::time::Instant;

/// What is left of one number.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: u32,
    /// In thousandths.
    most_milli: i64,
    /// In thousandths. Below zero after something that turned out to be large.
    left_milli: i64,
    filled_at: Instant,
}

impl Bucket {
    /// A full one; both numbers are multiplied.
    pub(super) fn new((per_second, at_once): (u32, u32), factor: u32, now: Instant) -> Self {
        let most_milli = milli(at_once.saturating_mul(factor));
        Self {
            per_second: per_second.saturating_mul(factor),
            most_milli,
            left_milli: most_milli,
            filled_at: now,
        }
    }

    /// Takes one, if there is one.
    pub(super) fn use_one(&mut self, now: Instant) -> bool {
        self.fill(now);
        let has_one = self.left_milli >= milli(1);
        if has_one {
            self.left_milli = self.left_milli.saturating_sub(milli(1));
        }
        has_one
    }

    /// Takes so many, whether there are or not.
    pub(super) fn charge(&mut self, number: u32, now: Instant) {
        self.fill(now);
        self.left_milli = self.left_milli.saturating_sub(milli(number));
    }

    /// True when more was taken than there was.
    pub(super) fn is_in_debt(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left_milli < 0
    }

    /// Counts what time has brought.
    fn fill(&mut self, now: Instant) {
        let since_ms = now.duration_since(self.filled_at).as_millis();
        let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
        self.left_milli = self
            .left_milli
            .saturating_add(since_ms.saturating_mul(i64::from(self.per_second)))
            .min(self.most_milli);
        // What is less than a millisecond goes on counting.
        self.filled_at += Duration::from_millis(u64::try_from(since_ms).unwrap_or(0));
    }
}

fn milli(number: u32) -> i64 {
    i64::from(number).saturating_mul(1000)
}
