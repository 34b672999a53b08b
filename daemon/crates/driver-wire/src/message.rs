//! What crosses the socket.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{
    ABILITIES_MAX, DETAIL_MAX_BYTES, LOG_MAX_BYTES, NAME_MAX_BYTES, PATH_MAX_BYTES, SETTINGS_MAX_BYTES,
};
use crate::{Call, CallFailure, CallId, DeviceEvent, Reply, Text};

/// From the daemon to a driver host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// The first message: which driver to load.
    Load(LoadOrder),
    /// Make the instance.
    Create {
        /// The instance's settings, a TOML document.
        settings: Text<SETTINGS_MAX_BYTES>,
        /// Time for it, in milliseconds.
        deadline_ms: u32,
    },
    /// Make a call.
    Call(CallRequest),
    /// Ask that a waiting call ends soon.
    Cancel(CallId),
    /// End the instance and the process.
    Stop {
        /// Time for it, in milliseconds.
        deadline_ms: u32,
    },
}

/// From a driver host to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToDaemon {
    /// The driver was loaded and this is what it says about itself.
    Hello(Hello),
    /// The driver was not loaded; the process ends.
    NotLoaded {
        /// Why.
        fault: LoadFault,
        /// The system's own words, perhaps empty.
        detail: Text<DETAIL_MAX_BYTES>,
    },
    /// The answer to [`ToHost::Create`]; the devices were announced before it. After a failure the process ends.
    Created(Result<(), CallFailure>),
    /// The answer to a call.
    Answer {
        /// The call.
        id: CallId,
        /// What came of it.
        result: Result<Reply, CallFailure>,
    },
    /// Something happened at a device.
    Event(DeviceEvent),
    /// A line for the log.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// The line.
        text: Text<LOG_MAX_BYTES>,
    },
    /// The driver broke a rule of the contract so often since the last report; what it did was dropped.
    Breaches {
        /// How often.
        count: u32,
    },
    /// So many log lines were dropped since the last one, because they came too fast.
    LogsDropped {
        /// How many.
        count: u32,
    },
}

/// Which driver to load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadOrder {
    /// [`crate::limits::WIRE_VERSION`] of the daemon.
    pub wire_version: u32,
    /// The shared object, an absolute path.
    pub path: Text<PATH_MAX_BYTES>,
    /// What its bytes must hash to.
    pub sha256: Sha256,
}

/// One call with the time it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// Names the call.
    pub id: CallId,
    /// Time for it, in milliseconds from receipt, never 0.
    pub deadline_ms: u32,
    /// The call.
    pub call: Call,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A version of the driver contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abi {
    /// Must be equal on both sides.
    pub major: u32,
    /// May differ; each side uses what both know.
    pub minor: u32,
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a loaded driver says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::limits::WIRE_VERSION`] of the driver host.
    pub wire_version: u32,
    /// The driver's id.
    pub driver_id: Text<NAME_MAX_BYTES>,
    /// The driver's version.
    pub driver_version: Text<NAME_MAX_BYTES>,
    /// The contract that it was compiled for.
    pub abi: Abi,
    /// Those of the known abilities that it offers, such as `purser.card-reader/1`.
    pub abilities: Vec<Text<NAME_MAX_BYTES>>,
}

impl Hello {
    pub(crate) fn is_valid(&self) -> bool {
        self.abilities.len() <= ABILITIES_MAX
    }
}

/// Why a driver was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LoadFault {
    /// Daemon and driver host are of different releases.
    #[error("daemon and driver host are of different releases; install both from one package")]
    WireVersion,
    /// The file cannot be opened or read.
    #[error("the driver's file cannot be read; check its path and mode")]
    Unreadable,
    /// The bytes are not those of the manifest.
    #[error("the driver's bytes are not those of its manifest; build or install it again")]
    Digest,
    /// The dynamic linker refused it.
    #[error("the driver cannot be linked; a library that it needs may be missing")]
    Link,
    /// It does not export `purser_driver_entry`.
    #[error("the file is no Purser driver: it does not export purser_driver_entry")]
    NoEntry,
    /// Its tables break the contract.
    #[error("the driver's tables break the contract; ask its vendor for a mended one")]
    BadTable,
    /// It was compiled for another major version of the contract.
    #[error(
        "the driver is for another major version of the driver contract; install the one for this release"
    )]
    Abi,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// A fault that needs a person.
    Error,
    /// Something that may need a person.
    Warn,
    /// Something worth knowing.
    Info,
    /// For the driver's author.
    Debug,
}
