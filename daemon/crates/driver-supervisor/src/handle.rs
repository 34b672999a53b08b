//! The way to a running supervisor.

use std::time::Duration;

use purser_driver_wire::{Call, CallId};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::Status;

/// Orders that wait for the supervisor: more than the calls of one sale.
pub(crate) const ORDERS_MAX: usize = 64;

/// What a handle asks of its supervisor.
#[derive(Debug)]
pub(crate) enum Order {
    Call(PendingCall),
    Cancel(CallId),
    Restart,
    Stop,
}

/// A call with the moment by which it must be answered.
#[derive(Debug)]
pub(crate) struct PendingCall {
    pub(crate) id: CallId,
    pub(crate) call: Call,
    pub(crate) deadline: Instant,
}

/// The way to a running [`Supervisor`](crate::Supervisor). When all handles are dropped it stops.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) status: watch::Receiver<Status>,
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
    /// # Errors
    /// [`CallRefused`]: nothing was sent.
    pub fn call(&self, id: CallId, call: Call, time: Duration) -> Result<(), CallRefused> {
        self.order(Order::Call(PendingCall {
            id,
            call,
            deadline: Instant::now() + time,
        }))
    }

    /// Asks that a call ends soon. It is answered all the same. A transmit under way is not ended by it.
    ///
    /// # Errors
    /// [`CallRefused`]: it was not asked.
    pub fn cancel(&self, id: CallId) -> Result<(), CallRefused> {
        self.order(Order::Cancel(id))
    }

    /// Ends the driver host and starts it anew, also after a failure; its restarts are counted anew.
    ///
    /// # Errors
    /// [`CallRefused`]: it was not asked.
    pub fn restart(&self) -> Result<(), CallRefused> {
        self.order(Order::Restart)
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
