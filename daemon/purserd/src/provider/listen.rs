//! The listener of the mode `answer`: takes the provider's calls, and nobody else's.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::address::Address;
use super::task::Event;
use super::tls;

/// Calls whose handshake is under way. Strangers can fill them, each for as long as a message may take.
const HANDSHAKES_MAX: usize = 32;
/// After a failed accept: no descriptor is left, and others end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes calls for ever.
pub(super) async fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    address: Address,
    time: Duration,
    events: mpsc::Sender<Event>,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    // They end with this.
    let mut handshakes = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while handshakes.try_join_next().is_some() {}
        let Ok((tcp, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (acceptor, address, events) = (acceptor.clone(), address.clone(), events.clone());
        handshakes.spawn(async move {
            match tls::accept(&acceptor, tcp, &address, time).await {
                // Nobody listens any more when the link has ended.
                Ok(line) => drop(events.send(Event::Called(Box::new(line))).await),
                // Anybody can bring this about, so it is no alarm.
                Err(error) => tracing::debug!(%peer, %error, "a call is not taken"),
            }
            drop(place);
        });
    }
}
