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
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::service::Service;

pub use dispatch::fuzz;

/// The most connections at a time: each costs a descriptor and some kilobytes; a shop has a handful of programs.
pub const CONNECTIONS_MAX: usize = 128;

/// The most connections of one user, so that one user's leaking program does not shut the others out.
pub const CONNECTIONS_PER_USER_MAX: usize = 32;

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
                Ok((stream, _)) => clients.admit(stream, &service),
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
#[derive(Default)]
struct Clients {
    tasks: JoinSet<u32>,
    of_user: BTreeMap<u32, usize>,
    /// True while clients are turned away, so that a flood is logged once.
    is_full: bool,
}

impl Clients {
    fn admit(&mut self, stream: UnixStream, service: &Service) {
        let uid = match stream.peer_cred() {
            Ok(credentials) => credentials.uid(),
            Err(error) => {
                tracing::warn!(%error, "a Varlink client without credentials was turned away");
                return;
            }
        };
        let own = self.of_user.entry(uid).or_default();
        if self.tasks.len() >= CONNECTIONS_MAX || *own >= CONNECTIONS_PER_USER_MAX {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::warn!(uid, "too many Varlink connections; new ones are closed");
            }
            return;
        }
        *own += 1;
        let service = service.clone();
        self.tasks.spawn(async move {
            if let Err(error) = connection::serve(stream, &service).await {
                tracing::debug!(uid, %error, "a Varlink connection ended");
            }
            uid
        });
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
