//! The result catalogue as Rust.

use std::fmt;

use crate::abi::result;

/// Whose fault it is, and whether the same call may be made again `[R]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// No card lies in the slot. Nothing was sent.
    NoCard,
    /// The connection's card was removed, reset or swapped since. Nothing was sent.
    CardChanged,
    /// The card gave no answer to reset.
    CardMute,
    /// The buyer pressed cancel, or the call was cancelled.
    Cancelled,
    /// Someone else holds the device or card; the detail names the holder where it is known.
    Busy,
    /// The device left. Nothing was sent.
    DeviceGone,
    /// Nothing was sent before the deadline came.
    Timeout,
    /// The card may or may not have executed the command; the connection has ended `[C-7]`.
    OutcomeUnknown,
    /// An argument breaks the contract. Nothing was sent.
    BadArgument,
    /// This driver or device cannot do it. Nothing was sent.
    Unsupported,
    /// A fault of the driver's own.
    Internal,
}

impl Fault {
    /// This fault with one sentence for the operator. Never put secrets into it `[G-7]`.
    pub fn because(self, detail: impl Into<String>) -> DriverError {
        DriverError {
            fault: self,
            detail: detail.into(),
        }
    }

    /// The catalogue's code.
    pub fn code(self) -> i32 {
        match self {
            Self::NoCard => result::NO_CARD,
            Self::CardChanged => result::CARD_CHANGED,
            Self::CardMute => result::CARD_MUTE,
            Self::Cancelled => result::CANCELLED,
            Self::Busy => result::BUSY,
            Self::DeviceGone => result::DEVICE_GONE,
            Self::Timeout => result::TIMEOUT,
            Self::OutcomeUnknown => result::OUTCOME_UNKNOWN,
            Self::BadArgument => result::BAD_ARGUMENT,
            Self::Unsupported => result::UNSUPPORTED,
            Self::Internal => result::INTERNAL,
        }
    }
}

/// A fault and its detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverError {
    fault: Fault,
    detail: String,
}

impl DriverError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// One sentence for the operator, perhaps empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Fault> for DriverError {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            detail: String::new(),
        }
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)?;
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.detail)
        }
    }
}

impl std::error::Error for DriverError {}
