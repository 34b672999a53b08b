//! Calls and replies on one connection.

use std::fmt::Debug;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use zlink::tokio::unix;
use zlink::{Call, Reply};

use super::ClientError;
use crate::model::{Fault, INTERFACE};

/// How long to wait in line for a connection.
const IN_LINE_MAX: Duration = Duration::from_secs(10);

/// A connection that knows whether an answer is still on its way.
#[derive(Debug)]
pub(super) struct Wire {
    connection: unix::Connection,
    answer_is_due: bool,
}

#[derive(Debug, Serialize)]
struct Method<'a, Arguments> {
    method: String,
    parameters: &'a Arguments,
}

#[derive(Debug, Deserialize)]
struct ErrorReply {
    error: String,
    #[serde(default)]
    parameters: Option<Fault>,
}

/// Connects as a thread that waits: the system lets those in by turns, and whoever only asks again and again not at all.
async fn in_line(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let wait = move || {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(IN_LINE_MAX))?;
        connect(&socket, &address)?;
        set_socket_timeout(&socket, Timeout::Send, None)?;
        let stream = std::os::unix::net::UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok::<_, io::Error>(stream)
    };
    let stream = tokio::task::spawn_blocking(wait)
        .await
        .map_err(io::Error::other)?;
    UnixStream::from_std(stream?)
}

impl Wire {
    pub(super) async fn connect(path: &Path) -> Result<Self, ClientError> {
        let not_reachable = |source: zlink::Error| ClientError::NotReachable {
            path: path.to_owned(),
            source,
        };
        let stream = match UnixStream::connect(path).await {
            // Others connect faster than the daemon lets them in.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => in_line(path).await,
            connected => connected,
        };
        let stream = stream.map_err(|error| not_reachable(error.into()))?;
        let stream = unix::Stream::try_from(stream).map_err(not_reachable)?;
        Ok(Self {
            connection: zlink::Connection::new(stream),
            answer_is_due: false,
        })
    }

    pub(super) async fn send<Arguments: Serialize + Debug>(
        &mut self,
        method: &str,
        arguments: &Arguments,
        descriptors: Vec<OwnedFd>,
        more: bool,
    ) -> Result<(), ClientError> {
        if self.answer_is_due {
            return Err(ClientError::OutOfStep);
        }
        let call = Call::new(Method {
            method: format!("{INTERFACE}.{method}"),
            parameters: arguments,
        })
        .set_more(more);
        self.answer_is_due = true;
        self.connection
            .send_call(&call, descriptors)
            .await
            .map_err(ClientError::ConnectionLost)
    }

    /// The one answer to a call.
    pub(super) async fn receive<T: DeserializeOwned + Debug>(&mut self) -> Result<T, ClientError> {
        let answer = self.receive_next().await;
        if !matches!(answer, Err(ClientError::ConnectionLost(_))) {
            self.answer_is_due = false;
        }
        answer
    }

    /// The next answer of a stream. Cancel safe.
    pub(super) async fn receive_next<T: DeserializeOwned + Debug>(&mut self) -> Result<T, ClientError> {
        let (reply, _) = self
            .connection
            .receive_reply::<T, ErrorReply>()
            .await
            .map_err(broken)?;
        match reply.map(Reply::into_parameters) {
            Ok(Some(parameters)) => Ok(parameters),
            Ok(None) => Err(ClientError::NotUnderstood(zlink::Error::MissingParameters)),
            Err(error) => Err(refused(error)),
        }
    }
}

fn refused(reply: ErrorReply) -> ClientError {
    let name = reply
        .error
        .strip_prefix(INTERFACE)
        .and_then(|rest| rest.strip_prefix('.'));
    match (name, reply.parameters) {
        (Some(name), Some(fault)) => ClientError::Refused(Fault {
            name: name.into(),
            ..fault
        }),
        _ => ClientError::NotUnderstood(zlink::Error::UnknownErrorReply(reply.error)),
    }
}

fn broken(error: zlink::Error) -> ClientError {
    match error {
        zlink::Error::Json(_) | zlink::Error::VarlinkService(_) | zlink::Error::UnknownErrorReply(_) => {
            ClientError::NotUnderstood(error)
        }
        _ => ClientError::ConnectionLost(error),
    }
}
