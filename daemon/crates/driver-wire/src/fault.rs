//! Why a call failed: the driver contract's result catalogue.

use serde::{Deserialize, Serialize};

use crate::Text;
use crate::limits::DETAIL_MAX_BYTES;

/// Whose fault it is, and whether the same call may be made again (`purser/driver.h` `[R]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// Nothing was sent.
    #[error("there is no card; present one")]
    NoCard,
    /// Nothing was sent; connect anew.
    #[error("the card was removed, reset or swapped; present it again")]
    CardChanged,
    /// Connect only.
    #[error("the card does not answer; present it again or clean its contacts")]
    CardMute,
    /// By the buyer's key or by us.
    #[error("the call was cancelled")]
    Cancelled,
    /// The detail names the holder where it is known.
    #[error("the device is held by another program; close that program")]
    Busy,
    /// Nothing was sent.
    #[error("the device has left; plug it in again")]
    DeviceGone,
    /// Nothing was sent.
    #[error("the device was not ready in time")]
    Timeout,
    /// The card may or may not have executed the command.
    #[error("it is not known whether the card executed the command; present it again to find out")]
    OutcomeUnknown,
    /// A fault of the daemon's. Nothing was sent.
    #[error("the call breaks the driver contract; report this as a fault of Purser's")]
    BadArgument,
    /// Nothing was sent.
    #[error("this driver or device cannot do it")]
    Unsupported,
    /// Nothing is known; for a transmit it counts as [`Fault::OutcomeUnknown`].
    #[error("the driver failed by a fault of its own; its log says more")]
    Internal,
}

impl Fault {
    /// True if the same call may be made again later and could then succeed, safely.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NoCard
            | Self::CardMute
            | Self::Cancelled
            | Self::Busy
            | Self::DeviceGone
            | Self::Timeout => true,
            Self::CardChanged
            | Self::OutcomeUnknown
            | Self::BadArgument
            | Self::Unsupported
            | Self::Internal => false,
        }
    }

    /// What this fault means as the answer to a transmit: a fault that the contract does not allow there proves
    /// nothing, so that it becomes [`Fault::OutcomeUnknown`].
    #[must_use]
    pub fn of_transmit(self) -> Self {
        match self {
            Self::CardChanged | Self::DeviceGone | Self::Timeout | Self::BadArgument | Self::Unsupported => {
                self
            }
            Self::NoCard
            | Self::CardMute
            | Self::Cancelled
            | Self::Busy
            | Self::OutcomeUnknown
            | Self::Internal => Self::OutcomeUnknown,
        }
    }
}

/// A fault with the driver's own words about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{fault}{}{detail}", if detail.as_str().is_empty() { "" } else { ": " })]
pub struct CallFailure {
    /// Whose fault it is.
    pub fault: Fault,
    /// One sentence for the operator, perhaps empty.
    pub detail: Text<DETAIL_MAX_BYTES>,
}

impl From<Fault> for CallFailure {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            detail: Text::default(),
        }
    }
}
