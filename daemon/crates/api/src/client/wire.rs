//! Calls and replies on one connection.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zlink::tokio::unix;
use zlink::{Call, Reply};

use super::ClientError;
use crate::model::{Fault, INTERFACE};

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

impl Wire {
    pub(super) async fn connect(path: &Path) -> Result<Self, ClientError> {
        let connection = unix::connect(path)
            .await
            .map_err(|source| ClientError::NotReachable {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            connection,
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
