//! The doors: the service, its socket, and the bus.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use purser_api::model::Problem;
use purser_api::{Access, BusState, Call, DriverCall, Hub, InfoFacts, Service, dbus, varlink};
use purser_ledger::Wall;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::board::Board;
use super::drivers::Drivers;
use super::facts::DaemonFacts;
use super::health::problem;
use super::journal_check::JournalCheck;
use super::parameters::Parameters;
use super::socket::{self, SocketError};
use crate::cli::Places;
use crate::config::{Bus, Config};
use crate::exit::Exit;
use crate::provider::{Link, ProviderFailure};
use crate::verbs::chain;

/// Calls that may wait for the loop; further callers are told that Purser is busy.
const CALLS_MAX: usize = 64;
/// Orders about drivers that may wait for the loop: operators are few.
const DRIVER_CALLS_MAX: usize = 16;

/// What the doors tell about the daemon.
pub(super) struct Facing {
    pub(super) started_at: Wall,
    pub(super) is_sam_locked: bool,
    /// What is wrong with the provider's link.
    pub(super) provider: Option<Problem>,
    /// The link to it, or why there is none.
    pub(super) link: Result<Link, ProviderFailure>,
    pub(super) generation: u32,
    pub(super) board: Board,
    pub(super) check: JournalCheck,
    /// The provider's parameters, where they are taken.
    pub(super) parameters: Option<Parameters>,
}

/// The open doors, before the loop turns.
pub(super) struct Doors {
    pub(super) hub: Hub,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) driver_calls: mpsc::Receiver<DriverCall>,
    /// How it stands with the bus; changes when the bus was found or missed for the first time.
    pub(super) bus: watch::Receiver<BusState>,
    pub(super) open: OpenDoors,
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
    let (listener, socket) = socket::open(&places.run_dir).map_err(|error| {
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
    let (driver_calls_in, driver_calls) = mpsc::channel(DRIVER_CALLS_MAX);
    let bus_named = match &config.bus {
        Bus::Off => None,
        Bus::System => Some(dbus::Bus::System),
        Bus::Address(address) => Some(dbus::Bus::Address(address.clone())),
    };
    // Lost until it is found.
    let (bus_state, bus) = watch::channel(if bus_named.is_some() {
        BusState::Lost
    } else {
        BusState::Off
    });
    let hub = Hub::new();
    let facts = facts(config, places, drivers, facing, bus.clone());
    let service = Service::new(
        calls_in,
        driver_calls_in,
        Arc::new(facts),
        hub.clone(),
        Access::look_up(),
    );
    let mut tasks = Vec::new();
    if let Some(bus) = bus_named {
        let service = service.clone();
        tasks.push(tokio::spawn(async move {
            dbus::serve(bus, service, bus_state).await;
        }));
    }
    tasks.push(tokio::spawn(async move {
        if let Err(error) = varlink::serve(listener, service).await {
            tracing::error!(%error, "the Varlink door is closed");
        }
    }));
    tracing::info!(socket = %socket.display(), bus = %config.bus, "the doors open");
    Ok(Doors {
        hub,
        calls,
        driver_calls,
        bus,
        open: OpenDoors { socket, tasks },
    })
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
        check: facing.check,
        instances: drivers.instances().to_vec(),
        seen: drivers.seen(),
        board: facing.board,
        link: facing.link,
        parameters: facing.parameters,
        generation: facing.generation,
        reserve_bytes: config.journal_options().reserve_bytes,
        bus,
        problems: (!facing.is_sam_locked)
            .then_some(not_locked)
            .into_iter()
            .chain(facing.provider)
            .collect(),
    }
}
