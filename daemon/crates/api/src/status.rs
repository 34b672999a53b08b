//! How the daemon does: now, and again whenever that changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::facts::BusState;
use crate::model::StatusReply;
use crate::reads::Reads;

/// How old what was seen of the system may be: free space does not vanish in less.
const SEEN_FOR: Duration = Duration::from_secs(1);

/// How long a look at the system is waited for: a disk that hangs must not keep the rest from being told.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// How often somebody who watches is told of what nobody announces.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Tells how the daemon does. A handle; clones share what was seen.
#[derive(Clone)]
pub(crate) struct StatusTeller {
    reads: Reads,
    looked: Arc<Mutex<Option<Instant>>>,
}

impl StatusTeller {
    pub(crate) fn new(reads: Reads) -> Self {
        Self {
            reads,
            looked: Arc::default(),
        }
    }

    /// How it does now. Cancel safe.
    pub(crate) async fn now(&self) -> StatusReply {
        if self.is_look_due() {
            // Without the look the facts tell of the last one.
            let look = self.reads.run(|facts| {
                facts.look();
                Ok(())
            });
            let _ = timeout(LOOK_MAX, look).await;
        }
        let facts = self.reads.facts();
        let status = facts.status();
        let bus = match status.bus {
            BusState::Off => "off",
            BusState::Connected => "connected",
            BusState::Lost => "lost",
        };
        StatusReply {
            ready: status.ready,
            version: facts.info().version,
            started_at: status.started_at,
            bus: bus.to_owned(),
            problems: status.problems,
        }
    }

    /// How it does, again and again.
    pub(crate) fn watch(&self) -> StatusWatch {
        StatusWatch {
            teller: self.clone(),
            changes: self.reads.facts().changes(),
            told: None,
        }
    }

    fn is_look_due(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = looked.is_none_or(|at| now.duration_since(at) >= SEEN_FOR);
        if is_due {
            *looked = Some(now);
        }
        is_due
    }
}

/// A stream of how the daemon does.
pub(crate) struct StatusWatch {
    teller: StatusTeller,
    changes: watch::Receiver<()>,
    told: Option<StatusReply>,
}

impl StatusWatch {
    /// How it does now at the first call; at each further one when that has changed. Cancel safe.
    pub(crate) async fn next(&mut self) -> StatusReply {
        loop {
            self.changes.mark_unchanged();
            let status = self.teller.now().await;
            if self.told.as_ref() != Some(&status) {
                self.told = Some(status.clone());
                return status;
            }
            tokio::select! {
                Ok(()) = self.changes.changed() => {}
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }
}
