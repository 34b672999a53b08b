//! Why the stack does not stand, or does not do what was asked of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use purser_api::client::ClientError;

use crate::store::StoreError;

/// Why the stack failed. Where purserd may know more, the end of its log is in the message.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The programs cannot be built.
    #[error("cargo build failed ({0}); its messages stand above")]
    Build(ExitStatus),
    /// Cargo built, and did not name one of the programs.
    #[error("cargo built no {0}; the lab and the workspace do not belong together")]
    NotBuilt(&'static str),
    /// The driver's manifest cannot be written.
    #[error("purser-driver-manifest failed ({status}): {told}")]
    Manifest {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        told: String,
    },
    /// A file, a socket or a process.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// purserd ended before it was ready.
    #[error("purserd ended before it was ready ({status}); its log ends so:\n{log}")]
    EndedEarly {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// Something did not happen in time.
    #[error("{awaited} did not happen within {} s; purserd's log ends so:\n{log}", time.as_secs())]
    TooLate {
        /// What was awaited.
        awaited: String,
        /// How long.
        time: Duration,
        /// The end of purserd's log.
        log: String,
    },
    /// A clean stop was not one.
    #[error("purserd stopped with {status}; its log ends so:\n{log}")]
    NotClean {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// purserd is not running at this moment.
    #[error("purserd is not running; start it again first")]
    NotRunning,
    /// purserd is running at this moment.
    #[error("purserd is running; stop or kill it first")]
    Running,
    /// A card's file.
    #[error("a card's file failed")]
    Card(#[from] StoreError),
    /// A call failed; a refusal has purserd's cause and remedy.
    #[error("a call to purserd failed; its log ends so:\n{log}")]
    Call {
        /// Why.
        source: Box<ClientError>,
        /// The end of purserd's log.
        log: String,
    },
    /// A command of purser-provider failed.
    #[error("purser-provider {command} failed: {told}")]
    Provider {
        /// The command.
        command: String,
        /// What it said.
        told: String,
    },
    /// The PIN pad said something else than was awaited.
    #[error("the PIN pad said {told:?} where {awaited:?} was awaited")]
    Pad {
        /// What was awaited.
        awaited: &'static str,
        /// What came.
        told: String,
    },
}

impl StackError {
    /// Whether the same can succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { .. } | Self::TooLate { .. } | Self::NotRunning | Self::Running => true,
            Self::Card(error) => error.is_transient(),
            Self::Call { source, .. } => source.is_transient(),
            Self::Build(_)
            | Self::NotBuilt(_)
            | Self::Manifest { .. }
            | Self::EndedEarly { .. }
            | Self::NotClean { .. }
            | Self::Provider { .. }
            | Self::Pad { .. } => false,
        }
    }

    /// The refusal's name where purserd refused a call, such as `ReferenceWithOtherAmount`.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Call { source, .. } => match &**source {
                ClientError::Refused(fault) => Some(&fault.name),
                _ => None,
            },
            _ => None,
        }
    }
}

/// For `map_err`: what was tried, and on what.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StackError {
    let path = path.to_owned();
    move |source| StackError::Io { action, path, source }
}
