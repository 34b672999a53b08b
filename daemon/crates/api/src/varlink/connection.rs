//! One client: its calls one after the other, and the stream that it watches.

use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use zlink::{Connection, Reply};

use super::bounded::Bounded;
use super::dispatch::{self, Answer, ErrorReply, Incoming, Stream};
use crate::access::Caller;
use crate::fault;
use crate::model::Fault;
use crate::service::Service;

/// How long a client that is turned away has to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// A call as zlink reads it. The parameters stay as they are until the method is known.
#[derive(Debug, Deserialize)]
struct Method {
    method: String,
    #[serde(default)]
    parameters: Option<Value>,
}

/// A client that has connected.
pub(super) struct Client {
    connection: Connection<Bounded>,
    caller: Caller,
}

impl Client {
    /// Learns who it is. Waits for nobody: the kernel knows.
    pub(super) async fn meet(stream: UnixStream) -> zlink::Result<Self> {
        let mut connection = Connection::new(Bounded::new(stream)?);
        let caller = caller(&mut connection).await?;
        Ok(Self { connection, caller })
    }

    /// Who it is.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Tells it why it is not served, and leaves it time to ask: its first call finds the refusal, and no broken connection.
    pub(super) async fn turn_away(mut self, fault: Fault) {
        if self
            .connection
            .send_error(&ErrorReply::from(fault), Vec::new())
            .await
            .is_ok()
        {
            tokio::time::sleep(FAREWELL).await;
        }
    }

    /// Serves it until it hangs up or breaks the protocol.
    pub(super) async fn serve(self, service: &Service) -> zlink::Result<()> {
        let Self {
            mut connection,
            caller,
        } = self;
        loop {
            let (call, descriptors) = match connection.receive_call::<Method>().await {
                Ok(received) => received,
                Err(error) => {
                    if let Some(cause) = unreadable(&error) {
                        let last_words = ErrorReply::from(fault::unreadable_message(cause));
                        connection.send_error(&last_words, Vec::new()).await?;
                    }
                    return Err(error);
                }
            };
            let (oneway, more) = (call.oneway(), call.more());
            let incoming = incoming(call, more, descriptors);
            let name = incoming.method.rsplit('.').next().unwrap_or_default();
            let answer = match service.admit(&caller, name).await {
                Ok(_pass) => dispatch::answer(service, &caller, incoming).await,
                Err(fault) => Answer::Error(fault.into()),
            };
            match answer {
                _ if oneway => {}
                Answer::Reply(reply) => send(&mut connection, reply, None).await?,
                Answer::Error(error) => connection.send_error(&error, Vec::new()).await?,
                Answer::Stream(stream) => connection = tell_on(connection, *stream).await?,
            }
        }
    }
}

/// Why a message could not be read, where that is the client's own fault. What comes behind it cannot be told from it.
fn unreadable(error: &zlink::Error) -> Option<&'static str> {
    match error {
        zlink::Error::Json(_) | zlink::Error::InvalidUtf8(_) => {
            Some("the message is no JSON object with a method")
        }
        zlink::Error::BufferOverflow => {
            Some("the message is longer, or brings more descriptors, than a message may")
        }
        _ => None,
    }
}

fn incoming(call: zlink::Call<Method>, more: bool, descriptors: Vec<OwnedFd>) -> Incoming {
    let method = call.method();
    Incoming {
        method: method.method.clone(),
        parameters: method.parameters.clone().unwrap_or_else(|| json!({})),
        more,
        descriptors,
    }
}

/// The client as the kernel knows it from the moment when it connected (SO_PEERCRED, SO_PEERGROUPS).
async fn caller(connection: &mut Connection<Bounded>) -> zlink::Result<Caller> {
    let credentials = connection.peer_credentials().await?;
    let mut gids = vec![credentials.unix_primary_group_id().as_raw()];
    gids.extend(
        credentials
            .unix_supplementary_group_ids()
            .iter()
            .map(|gid| gid.as_raw()),
    );
    Ok(Caller {
        uid: credentials.unix_user_id().as_raw(),
        gids,
    })
}

async fn send(
    connection: &mut Connection<Bounded>,
    reply: Value,
    continues: Option<bool>,
) -> zlink::Result<()> {
    let reply = Reply::new(Some(reply)).set_continues(continues);
    connection.send_reply(&reply, Vec::new()).await
}

/// Sends what a stream tells until it ends. A client that hangs up meanwhile, or calls something else, ends the connection.
async fn tell_on(connection: Connection<Bounded>, mut stream: Stream) -> zlink::Result<Connection<Bounded>> {
    let (mut read, mut write) = connection.split();
    let fault = loop {
        tokio::select! {
            told = stream.next() => match told {
                Ok(told) => {
                    let reply = Reply::new(Some(told)).set_continues(Some(true));
                    write.send_reply(&reply, Vec::new()).await?;
                }
                Err(fault) => break fault,
            },
            heard = read.receive_call::<Method>() => {
                heard?;
                // A pipelined call would wait for a stream that does not end by itself.
                return Err(zlink::Error::UnexpectedEof);
            }
        }
    };
    write.send_error(&ErrorReply::from(fault), Vec::new()).await?;
    Ok(Connection::join(read, write))
}
