//! How a driver instance is.

use std::io;
use std::time::Duration;

use purser_driver_wire::limits::DETAIL_MAX_BYTES;
use purser_driver_wire::{CallFailure, DecodeError, Fault, FrameError, LoadFault, Text};
use tokio::time::Instant;

use crate::manifest::ManifestError;

/// How a driver instance is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it is in its life.
    pub state: State,
    /// When the driver host last said anything.
    pub last_exchange: Option<Instant>,
    /// Process id of the driver host, while there is one.
    pub process_id: Option<u32>,
    /// What was dropped or broken since the supervisor began.
    pub counters: Counters,
    /// Why it went down last, apart from an operator's wish.
    pub last_failure: Option<DownReason>,
    /// True while its traffic is recorded.
    pub is_recorded: bool,
}

/// Where a driver instance is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its driver host is being started.
    Starting,
    /// Calls are made.
    Ready,
    /// It waits for its next start.
    Restarting {
        /// Number of this restart within the policy's window, from 1.
        attempt: usize,
        /// Why it went down.
        reason: DownReason,
    },
    /// It stays down until an operator acts.
    Failed {
        /// Why.
        reason: DownReason,
    },
    /// The supervisor has ended.
    Stopped,
}

/// What was dropped or broken since the supervisor began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Answers that belong to no call under way: late, duplicate or foreign. They were dropped.
    pub answers_dropped: u64,
    /// Broken rules of the driver contract; what broke them was dropped.
    pub breaches: u64,
    /// Log lines that came too fast.
    pub logs_dropped: u64,
    /// Starts after the first.
    pub restarts: u64,
}

/// Why a driver is down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// Manifest, owner, mode or bytes of the driver do not check out. It was not loaded.
    #[error("the driver was refused")]
    Refused(#[from] ManifestError),
    /// The driver host program cannot be started.
    #[error("the driver host cannot be started; check that purser-driver-host is installed")]
    Spawn(io::ErrorKind),
    /// The driver host did not load the driver.
    #[error("{fault}{}{detail}", if detail.as_str().is_empty() { "" } else { ": " })]
    NotLoaded {
        /// Why.
        fault: LoadFault,
        /// The system's words.
        detail: Text<DETAIL_MAX_BYTES>,
    },
    /// The loaded driver says other things about itself than its manifest.
    #[error("the driver is not what its manifest says; make the manifest again")]
    UnlikeManifest,
    /// The settings or the driver's path are longer than can be sent.
    #[error("the driver's settings or path are too long")]
    TooLong,
    /// The driver made no instance.
    #[error("{}", not_created(.0))]
    NotCreated(CallFailure),
    /// The driver was not ready in time.
    #[error("the driver was not ready within {0:?}")]
    StartDeadline(Duration),
    /// A call was not answered in time.
    #[error("the driver did not answer in time and was killed")]
    Deadline,
    /// The driver could not say that a card's power is off.
    #[error("the driver could not end a connection to a card, so that its process was ended")]
    NotDisconnected,
    /// The process ended by itself.
    #[error("the driver host ended: {0}")]
    Ended(ProcessEnd),
    /// It said far more than devices and buyers cause.
    #[error("the driver flooded the daemon and was killed")]
    Flood,
    /// Its frames are broken.
    #[error("the driver host's frames are broken")]
    Frame(#[from] FrameError),
    /// It said what is no message.
    #[error("the driver host's message is broken")]
    Message(#[from] DecodeError),
    /// It said a message that has no place where it stood.
    #[error("the driver host said what has no place here")]
    OutOfPlace,
    /// An operator asked for a restart.
    #[error("a restart was asked for")]
    Asked,
}

/// Of the arguments of a driver's start only the settings are the operator's.
fn not_created(failure: &CallFailure) -> String {
    if failure.fault == Fault::BadArgument {
        let detail = &failure.detail;
        format!("the driver refuses its settings; mend [settings] in its file in drivers.d: {detail}")
    } else {
        format!("the driver did not start: {failure}")
    }
}

impl DownReason {
    /// True if starting it again by itself can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::UnlikeManifest | Self::TooLong => false,
            Self::NotLoaded { fault, .. } => match fault {
                // The file may be in the middle of an upgrade.
                LoadFault::Digest | LoadFault::Unreadable => true,
                LoadFault::WireVersion
                | LoadFault::Link
                | LoadFault::NoEntry
                | LoadFault::BadTable
                | LoadFault::Abi => false,
            },
            Self::NotCreated(failure) => !matches!(failure.fault, Fault::BadArgument | Fault::Unsupported),
            Self::Spawn(_)
            | Self::StartDeadline(_)
            | Self::Deadline
            | Self::NotDisconnected
            | Self::Ended(_)
            | Self::Flood
            | Self::Frame(_)
            | Self::Message(_)
            | Self::OutOfPlace
            | Self::Asked => true,
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessEnd {
    /// By itself, with this code.
    #[error("exit code {0}")]
    Code(i32),
    /// By a signal: 11 and 6 are crashes of the driver, 9 is a kill.
    #[error("signal {0}")]
    Signal(i32),
    /// Nobody knows; the system did not say.
    #[error("in an unknown way")]
    Unknown,
}
