//! Why a call of the client failed.

use std::path::PathBuf;

use crate::model::Fault;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection could be made.
    #[error("Purser cannot be reached at {}; is purserd running, and may this user open the socket?", path.display())]
    NotReachable {
        /// The socket's path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: zlink::Error,
    },
    /// The connection broke. What was asked for may have been done: ask again with the same reference.
    #[error("the connection to Purser broke; connect again and repeat the call with the same reference")]
    ConnectionLost(#[source] zlink::Error),
    /// The daemon refused the call. Nothing was changed.
    #[error(transparent)]
    Refused(Fault),
    /// The daemon does not know the method, or speaks another version of the interface.
    #[error("purserd does not understand this call; update the older of purserd and this program")]
    NotUnderstood(#[source] zlink::Error),
    /// An earlier call was dropped before its answer came.
    #[error("an earlier call on this connection was given up; connect again")]
    OutOfStep,
}

impl ClientError {
    /// True when the same call may succeed later without anybody changing it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotReachable { .. } | Self::ConnectionLost(_) | Self::OutOfStep => true,
            Self::Refused(fault) => fault.transient,
            Self::NotUnderstood(_) => false,
        }
    }
}
