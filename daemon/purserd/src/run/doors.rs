//! The doors: the service, its socket, and the bus.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use purser_api::{Access, BusState, Call, Hub, InfoFacts, Service, varlink};
use purser_ledger::Wall;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::drivers::Drivers;
use super::facts::{DaemonFacts, problem};
use super::socket::{self, SocketError};
use crate::cli::Places;
use crate::config::Config;
use crate::exit::Exit;
use crate::verbs::chain;

/// Calls that may wait for the loop; further callers are told that Purser is busy.
const CALLS_MAX: usize = 64;

/// What the doors tell about the daemon.
pub(super) struct Facing {
    pub(super) started_at: Wall,
    pub(super) is_sam_locked: bool,
}

/// The open doors, before the loop turns.
pub(super) struct Doors {
    pub(super) hub: Hub,
    calls: mpsc::Receiver<Call>,
    open: OpenDoors,
}

/// The open doors.
pub(super) struct OpenDoors {
    socket: PathBuf,
    tasks: Vec<JoinHandle<()>>,
}

/// Opens the doors: from here on clients may call, and wait for the loop.
pub(super) async fn open(
    config: &Config,
    places: &Places,
    drivers: &Drivers,
    facing: Facing,
) -> Result<Doors, Exit> {
    let (listener, socket) = socket::listen(&places.run_dir).map_err(|error| {
        tracing::error!(error = %chain(&error), "purserd does not start");
        match error {
            SocketError::InUse(_) => Exit::InUse,
            SocketError::Io { .. } => Exit::Failed,
        }
    })?;
    let listener = UnixListener::from_std(listener).map_err(|error| {
        tracing::error!(%error, "purserd does not start");
        Exit::Failed
    })?;
    let (calls_in, calls) = mpsc::channel(CALLS_MAX);
    let (_bus_in, bus) = watch::channel(BusState::Off);
    let hub = Hub::new();
    let facts = facts(config, places, drivers, facing, bus);
    let service = Service::new(calls_in, Arc::new(facts), hub.clone(), Access::look_up());
    let varlink = tokio::spawn(async move {
        if let Err(error) = varlink::serve(listener, service).await {
            tracing::error!(%error, "the Varlink door is closed");
        }
    });
    tracing::info!(socket = %socket.display(), "the Varlink door is open");
    Ok(Doors {
        hub,
        calls,
        open: OpenDoors {
            socket,
            tasks: vec![varlink],
        },
    })
}

impl Doors {
    /// The calls that come in, and the doors.
    pub(super) fn into_parts(self) -> (mpsc::Receiver<Call>, OpenDoors) {
        (self.calls, self.open)
    }
}

impl OpenDoors {
    /// Ends every connection and takes the socket's name away.
    pub(super) fn close(self) {
        for task in &self.tasks {
            task.abort();
        }
        if let Err(error) = fs::remove_file(&self.socket) {
            tracing::debug!(%error, "the socket cannot be removed");
        }
    }
}

fn facts(
    config: &Config,
    places: &Places,
    drivers: &Drivers,
    facing: Facing,
    bus: watch::Receiver<BusState>,
) -> DaemonFacts {
    let not_locked = problem(
        "keys_not_locked",
        "the SAM's keys are not locked in memory and may be written to swap",
        "allow more locked memory (LimitMEMLOCK=), or switch swap off",
    );
    DaemonFacts {
        state_dir: places.state_dir.clone(),
        readers: Mutex::default(),
        info: InfoFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            terminal_number: *config.psam_terminal_number.as_bytes(),
            currencies: config.issuers.values().copied().collect(),
            pin_through_api: config.pin_through_api,
        },
        started_at: facing.started_at,
        instances: drivers.instances().to_vec(),
        seen: drivers.seen(),
        bus,
        problems: (!facing.is_sam_locked)
            .then_some(not_locked)
            .into_iter()
            .collect(),
    }
}
