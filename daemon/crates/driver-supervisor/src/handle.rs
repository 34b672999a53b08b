//! The way to a running supervisor.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use purser_driver_wire::limits::SLOTS_MAX;
use purser_driver_wire::{Call, CallId};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::Status;

/// Calls that wait for the supervisor: more than those of one sale.
const CALLS_MAX: usize = 64;

/// Room that calls leave to orders that must not be lost: each device's disconnect and cancel, a restart, a recording and a
/// stop.
const RESERVED: usize = 2 * SLOTS_MAX + 3;

/// Orders that wait for the supervisor.
pub(crate) const ORDERS_MAX: usize = CALLS_MAX + RESERVED;

/// What a handle asks of its supervisor.
#[derive(Debug)]
pub(crate) enum Order {
    Call(PendingCall),
    Cancel(CallId),
    Restart,
    Record(File),
    StopRecording(oneshot::Sender<()>),
    Stop,
}

/// A call with the moment by which it must be answered.
#[derive(Debug)]
pub(crate) struct PendingCall {
    pub(crate) id: CallId,
    pub(crate) call: Call,
    pub(crate) deadline: Instant,
    /// Time that the caller gave.
    pub(crate) time: Duration,
}

impl PendingCall {
    /// True for the call that takes a card's power away. It must not be lost (`[C-4]`): while it waits it neither
    /// expires nor is cancelled.
    pub(crate) fn is_disconnect(&self) -> bool {
        matches!(self.call, Call::Disconnect { .. })
    }

    /// True if the driver may end it early: a command that the card has is not taken back.
    pub(crate) fn ends_by_cancel(&self) -> bool {
        matches!(self.call, Call::Connect { .. } | Call::EnterPin { .. })
    }
}

/// The way to a running [`Supervisor`](crate::Supervisor). When all handles are dropped it stops.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) disconnect_lost: Arc<Notify>,
}

/// A call was not taken: nothing was sent, and there will be no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallRefused {
    /// Too much waits already; try again after an answer.
    #[error("too much waits for the driver already")]
    Full,
    /// The supervisor has ended.
    #[error("the driver's supervisor has ended")]
    Ended,
}

impl CallRefused {
    /// True if the same call may be taken later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Full => true,
            Self::Ended => false,
        }
    }
}

impl Handle {
    /// Makes a call; its one answer comes as [`DriverEvent::Answer`](crate::DriverEvent::Answer) within `time` and a
    /// short grace, whatever the driver does. Never use an id twice.
    ///
    /// A disconnect goes before all calls that wait, and its `time` counts from when the driver gets it, so that no
    /// card keeps its power because another call took long.
    ///
    /// # Errors
    /// [`CallRefused`]: nothing was sent. For a disconnect the driver host is ended then, and all power with it.
    pub fn call(&self, id: CallId, call: Call, time: Duration) -> Result<(), CallRefused> {
        let call = PendingCall {
            id,
            call,
            deadline: Instant::now() + time,
            time,
        };
        let is_disconnect = call.is_disconnect();
        if !is_disconnect && self.orders.capacity() <= RESERVED && !self.orders.is_closed() {
            return Err(CallRefused::Full);
        }
        let taken = self.order(Order::Call(call));
        if is_disconnect && taken.is_err() {
            self.disconnect_lost.notify_one();
        }
        taken
    }

    /// Asks that a call ends soon. It is answered all the same. A transmit or disconnect under way is not ended by it;
    /// a driver that goes on with another call for seconds is killed.
    ///
    /// # Errors
    /// [`CallRefused`]: it was not asked.
    pub fn cancel(&self, id: CallId) -> Result<(), CallRefused> {
        self.order(Order::Cancel(id))
    }

    /// Ends the driver host and starts it anew from the file and manifest as they are then, also after a failure; its restarts
    /// are counted anew. What is under way ends as at a crash. [`DriverEvent::Down`](crate::DriverEvent::Down) with
    /// [`DownReason::Asked`](crate::DownReason::Asked) tells that it has begun.
    ///
    /// # Errors
    /// [`CallRefused`]: it was not asked.
    pub fn restart(&self) -> Result<(), CallRefused> {
        self.order(Order::Restart)
    }

    /// Records the driver's traffic, secrets masked, into an empty file, until [`Handle::stop_recording`], the file's limit
    /// ([`RECORDING_BYTES_MAX`](crate::RECORDING_BYTES_MAX)) or the supervisor's end; over restarts of the driver too. It takes
    /// the place of a recording that is under way.
    ///
    /// # Errors
    /// [`CallRefused`]: nothing is recorded.
    pub fn record(&self, file: File) -> Result<(), CallRefused> {
        self.order(Order::Record(file))
    }

    /// Ends a recording. The receiver hears when its file is whole, and an error where none was under way.
    ///
    /// # Errors
    /// [`CallRefused`]: it was not asked.
    pub fn stop_recording(&self) -> Result<oneshot::Receiver<()>, CallRefused> {
        let (done, written) = oneshot::channel();
        self.order(Order::StopRecording(done))?;
        Ok(written)
    }

    /// Ends the instance in order, then the supervisor.
    ///
    /// # Errors
    /// [`CallRefused`]: it was not asked.
    pub fn stop(&self) -> Result<(), CallRefused> {
        self.order(Order::Stop)
    }

    /// How the instance is now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    fn order(&self, order: Order) -> Result<(), CallRefused> {
        self.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CallRefused::Full,
            mpsc::error::TrySendError::Closed(_) => CallRefused::Ended,
        })
    }
}
