//! The Varlink door: translates between the socket and the [`Service`], and nothing else.
//!
//! Each connection is a task of its own, so that a client which is idle, slow or stuck holds up nobody else. (One
//! `zlink::Server` for all would not do: it stalls when one client asks for `more` and does not read. A connection is
//! driven directly, which also notices a watcher that hangs up.)

mod bounded;
mod connection;
#[cfg(test)]
mod contract_tests;
mod dispatch;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fault;
use crate::model::Fault;
use crate::service::Service;
use connection::Client;

pub use dispatch::fuzz;

/// The most connections at a time: each costs a descriptor and some kilobytes; a shop has a handful of programs.
pub const CONNECTIONS_MAX: usize = 128;

/// The most connections of one user, so that one user's leaking program does not shut the others out.
pub const CONNECTIONS_PER_USER_MAX: usize = 32;

/// The connections that are kept for operators: a few shells and a monitor. Whoever comes to see why all others are taken
/// must get in.
pub const CONNECTIONS_FOR_OPERATORS: usize = 16;

/// Clients that are told at a time why they are turned away. Further ones are closed without a word.
const FAREWELLS_MAX: usize = 32;

/// Clients that are turned away in a row before the door rests. With [`TURN_AWAY_PAUSE`]: whoever connects in a loop costs a
/// thousand accepts a second at most, and whoever stands in line behind a hundred of them waits for a tenth of a second.
const TURNED_AWAY_IN_A_ROW: u32 = 8;

/// How long the door rests then.
const TURN_AWAY_PAUSE: Duration = Duration::from_millis(8);

/// How long the door waits after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients of a listening Unix socket until it is dropped. Needs a tokio runtime with IO and time.
///
/// Who may connect at all is decided by the socket's file mode and folder; who may do what by the service.
///
/// # Errors
/// None today: an accept that fails is logged and tried again. The result is there for a listener that is lost.
///
/// # Cancel safety
/// Dropping the future closes every connection. Sales go on: they live in the engine.
pub async fn serve(listener: UnixListener, service: Service) -> io::Result<()> {
    let mut clients = Clients::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => clients.admit(stream, &service).await,
                Err(error) => {
                    tracing::warn!(%error, "a Varlink connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = clients.tasks.join_next(), if !clients.tasks.is_empty() => {
                if let Ok(uid) = ended {
                    clients.leave(uid);
                }
            }
        }
    }
}

/// The connections that are open.
struct Clients {
    tasks: JoinSet<u32>,
    of_user: BTreeMap<u32, usize>,
    /// True while clients are turned away, so that a flood is logged once.
    is_full: bool,
    /// Clients turned away since the door last rested.
    in_a_row: u32,
    /// Places for clients that are told why they are turned away.
    farewells: Arc<Semaphore>,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            of_user: BTreeMap::new(),
            is_full: false,
            in_a_row: 0,
            farewells: Arc::new(Semaphore::new(FAREWELLS_MAX)),
        }
    }
}

impl Clients {
    async fn admit(&mut self, stream: UnixStream, service: &Service) {
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "a Varlink client without credentials was turned away");
                return;
            }
        };
        // The dear part, with the buffers of a connection and the groups of its user, is for those who have a place.
        let own = self.of_user.get(&uid).copied().unwrap_or_default();
        if own >= CONNECTIONS_PER_USER_MAX {
            return self.turn_away(stream, uid, fault::too_many_connections()).await;
        }
        if !service.admit_connection(uid) {
            return self.turn_away(stream, uid, fault::too_many_calls()).await;
        }
        let client = match Client::meet(stream).await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "a Varlink client without credentials was turned away");
                return;
            }
        };
        let kept = if service.is_operator(client.caller()) {
            0
        } else {
            CONNECTIONS_FOR_OPERATORS
        };
        if self.tasks.len() >= CONNECTIONS_MAX - kept {
            return self
                .say_farewell(client, uid, fault::too_many_connections())
                .await;
        }
        *self.of_user.entry(uid).or_default() += 1;
        let service = service.clone();
        self.tasks.spawn(async move {
            if let Err(error) = client.serve(&service).await {
                tracing::debug!(uid, %error, "a Varlink connection ended");
            }
            uid
        });
    }

    /// Closes a connection of which only the user is known.
    async fn turn_away(&mut self, stream: UnixStream, uid: u32, fault: Fault) {
        if self.farewells.available_permits() == 0 {
            return self.rest().await;
        }
        if let Ok(client) = Client::meet(stream).await {
            self.say_farewell(client, uid, fault).await;
        }
    }

    /// Tells a client why it is closed, if not too many are being told already.
    async fn say_farewell(&mut self, client: Client, uid: u32, fault: Fault) {
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!(uid, %fault, "Varlink clients are turned away");
        }
        if let Ok(place) = Arc::clone(&self.farewells).try_acquire_owned() {
            tokio::spawn(async move {
                client.turn_away(fault).await;
                drop(place);
            });
        }
        self.rest().await;
    }

    /// Lets others work after a few clients that were turned away.
    async fn rest(&mut self) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= TURNED_AWAY_IN_A_ROW {
            self.in_a_row = 0;
            tokio::time::sleep(TURN_AWAY_PAUSE).await;
        }
    }

    fn leave(&mut self, uid: u32) {
        self.is_full = false;
        if let Some(own) = self.of_user.get_mut(&uid) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.of_user.remove(&uid);
            }
        }
    }
}
