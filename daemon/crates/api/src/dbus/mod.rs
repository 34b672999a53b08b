//! The D-Bus door: translates between the bus and the [`Service`], and nothing else. Optional: without a bus, Varlink goes on.

mod callers;
mod door;
mod interface;
mod refusal;
mod value;
mod watchers;

use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use zbus::{Connection, connection, fdo};

use crate::facts::BusState;
use crate::service::Service;
use callers::Callers;
use door::Door;
use watchers::Watchers;

/// The name on the bus.
pub const NAME: &str = "org.purser.Purser1";

/// The object.
pub const OBJECT: &str = "/org/purser/Purser1";

/// The pause before the bus is tried again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause: a bus that comes back is used within a minute.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Which bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bus {
    /// The system bus.
    System,
    /// The bus at this D-Bus address, such as `unix:path=/run/test-bus`.
    Address(String),
}

/// Serves the bus: takes the name, answers calls, and when the bus is lost tries again, for ever. `state` is told how it stands.
///
/// # Errors
/// Never ends by itself.
///
/// # Cancel safety
/// Dropping the future leaves the bus. Sales go on: they live in the engine.
pub async fn serve(bus: Bus, service: Service, state: watch::Sender<BusState>) -> Infallible {
    let mut pause = PAUSE_MIN;
    loop {
        match serve_once(&bus, &service, &state).await {
            Ok(()) => {
                tracing::warn!("the bus is lost; Varlink goes on");
                pause = PAUSE_MIN;
            }
            Err(error) => {
                tracing::warn!(%error, retry_in_s = pause.as_secs(), "the bus cannot be used; Varlink goes on");
            }
        }
        state.send_replace(BusState::Lost);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn serve_once(bus: &Bus, service: &Service, state: &watch::Sender<BusState>) -> zbus::Result<()> {
    let (callers, watchers) = (Callers::default(), Watchers::default());
    let builder = match bus {
        Bus::System => connection::Builder::system(),
        Bus::Address(address) => connection::Builder::address(address.as_str()),
    };
    let door = Door::new(service.clone(), callers.clone(), watchers.clone());
    let connection = builder.serve_at(OBJECT, door).build().await?;
    // Whoever leaves is known of before anybody can come.
    let mut leaving = fdo::DBusProxy::new(&connection)
        .await?
        .receive_name_owner_changed_with_args(&[(2, "")])
        .await?;
    take_name(&connection).await?;
    state.send_replace(BusState::Connected);
    loop {
        tokio::select! {
            () = connection.closed() => return Ok(()),
            left = leaving.next() => match left {
                Some(left) => {
                    if let zbus::names::BusName::Unique(name) = left.args()?.name() {
                        let name = name.to_owned().into();
                        callers.remove(&name);
                        watchers.remove(&name);
                    }
                }
                None => return Ok(()),
            },
        }
    }
}

async fn take_name(connection: &Connection) -> zbus::Result<()> {
    connection
        .request_name_with_flags(NAME, fdo::RequestNameFlags::DO_NOT_QUEUE)
        .await
        .map(drop)
}
