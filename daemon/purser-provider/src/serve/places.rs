//! How many connections there may be: in all, of each terminal, and of whoever has no standing here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use purser_provider_link::TerminalName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections without an enrolled terminal's certificate: each is one enrolment, and shops open one at a time.
const STRANGERS_MAX: usize = 16;
/// Beside its standing link a terminal asks on one connection, and the next one can be there before the last has ended.
const OF_A_TERMINAL_MAX: usize = 2;
/// With those that wait for one of the two.
const WAITING_MAX: usize = 8;

/// A connection's place. It is free again when this goes.
#[derive(Debug)]
pub(crate) struct Place {
    _served: OwnedSemaphorePermit,
    _arrived: Option<OwnedSemaphorePermit>,
}

#[derive(Clone)]
struct OfTerminal {
    arrived: Arc<Semaphore>,
    served: Arc<Semaphore>,
}

/// All places.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    terminals: Mutex<BTreeMap<TerminalName, OfTerminal>>,
}

impl Places {
    pub(crate) fn new(all: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            terminals: Mutex::default(),
        }
    }

    /// Waits for one of all places.
    pub(crate) async fn any(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// A place for a stranger, if one is free.
    pub(crate) fn stranger(&self) -> Option<Place> {
        let served = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
        Some(Place {
            _served: served,
            _arrived: None,
        })
    }

    /// A place for a terminal; waits for so long while its own connections have all of them.
    pub(crate) async fn terminal(&self, name: &TerminalName, time: Duration) -> Option<Place> {
        let of = self.of(name);
        let arrived = of.arrived.try_acquire_owned().ok()?;
        let served = tokio::time::timeout(time, of.served.acquire_owned()).await;
        Some(Place {
            _served: served.ok()?.ok()?,
            _arrived: Some(arrived),
        })
    }

    fn of(&self, name: &TerminalName) -> OfTerminal {
        let mut terminals = self
            .terminals
            .lock()
            .expect("a panic ends the process, so no lock is poisoned");
        let new = || OfTerminal {
            arrived: Arc::new(Semaphore::new(WAITING_MAX)),
            served: Arc::new(Semaphore::new(OF_A_TERMINAL_MAX)),
        };
        terminals.entry(name.clone()).or_insert_with(new).clone()
    }
}
