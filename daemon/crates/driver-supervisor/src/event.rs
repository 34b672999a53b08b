//! What a supervisor tells.

use std::time::Duration;

use purser_driver_wire::limits::LOG_MAX_BYTES;
use purser_driver_wire::{CallFailure, CallId, Device, DeviceEvent, Fault, Hello, LogLevel, Reply, Text};

use crate::DownReason;

/// What happened at one driver instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverEvent {
    /// The instance is there, and these are its devices. Earlier devices and connections are void.
    Ready {
        /// What the driver says about itself.
        driver: Hello,
        /// Its devices now.
        devices: Vec<DeviceState>,
    },
    /// Something happened at a device.
    Device(DeviceEvent),
    /// The answer to a call: exactly one for each call that [`Handle::call`](crate::Handle::call) accepted.
    Answer(CallId, Result<Reply, CallError>),
    /// A line of the driver's, for the log.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// The line.
        text: Text<LOG_MAX_BYTES>,
    },
    /// So many lines came too fast and were dropped.
    LogsDropped(u32),
    /// A driver host that was killed is still there, held by a device's I/O. The driver is started again beside it.
    HostStuck {
        /// Its process id.
        process_id: Option<u32>,
    },
    /// The driver is down; all devices are gone. Calls under way were answered before this.
    Down {
        /// Why.
        reason: DownReason,
        /// When it is started again.
        restart_in: Duration,
    },
    /// The driver is down and stays so until [`Handle::restart`](crate::Handle::restart).
    Failed {
        /// Why.
        reason: DownReason,
    },
}

/// A device and whether a card lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// The device.
    pub device: Device,
    /// True while a card is there.
    pub has_card: bool,
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The driver's own answer.
    #[error(transparent)]
    Driver(#[from] CallFailure),
    /// The driver died in the middle of a transmit: the card may or may not have executed the command.
    #[error("the driver died while the card had the command; present the card again to find out")]
    OutcomeUnknown,
    /// The driver died in the middle of another call. No command was under way.
    #[error("the driver died; it is started again by itself")]
    DriverGone,
    /// The call never reached the driver.
    #[error(transparent)]
    NotSent(#[from] NotSent),
}

impl CallError {
    /// True if the card may have executed the command of this call. Only a transmit's answer can be so.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::OutcomeUnknown => true,
            Self::Driver(failure) => failure.fault == Fault::OutcomeUnknown,
            Self::DriverGone | Self::NotSent(_) => false,
        }
    }

    /// True if the same call may be made again later and could then succeed, safely.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Driver(failure) => failure.fault.is_transient(),
            Self::DriverGone => true,
            Self::NotSent(not_sent) => not_sent.is_transient(),
            Self::OutcomeUnknown => false,
        }
    }
}

/// Why a call never reached the driver. Nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The driver is starting, restarting or failed.
    #[error("the driver is not ready; see its status")]
    NotReady,
    /// Its deadline came while an earlier call was under way.
    #[error("an earlier call took all the time that this one had")]
    Expired,
    /// It was cancelled while an earlier call was under way.
    #[error("the call was cancelled before it began")]
    Cancelled,
    /// Too many calls wait already.
    #[error("too many calls wait for the driver")]
    QueueFull,
}

impl NotSent {
    /// True if the same call may be made again later and could then succeed.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotReady | Self::Expired | Self::Cancelled | Self::QueueFull => true,
        }
    }
}
