//! Who gets signals: each by its unique name, unicast, until it says stop or leaves the bus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;
use zbus::names::OwnedUniqueName;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, fdo};

use super::OBJECT;
use super::door::Door;
use super::value::dict;
use crate::status::StatusWatch;
use crate::watch::Watch;

/// The watchers on one bus connection.
#[derive(Clone, Default)]
pub(super) struct Watchers {
    tasks: Arc<Mutex<BTreeMap<OwnedUniqueName, Task>>>,
}

/// A task that ends with its entry.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watchers {
    pub(super) fn has(&self, name: &OwnedUniqueName) -> bool {
        self.lock().get(name).is_some_and(|task| !task.0.is_finished())
    }

    /// Sends what `watch` and `status` tell to `name`, and no more what an earlier watch told.
    pub(super) async fn replace(
        &self,
        connection: &Connection,
        name: OwnedUniqueName,
        watch: Watch,
        status: StatusWatch,
    ) {
        let task = tokio::spawn(tell(connection.clone(), name.clone(), watch, status));
        self.lock().insert(name.clone(), Task(task.abort_handle()));
        // Whoever left before the entry was made is not reported any more.
        if !is_on_bus(connection, &name).await {
            self.remove(&name);
        }
    }

    pub(super) fn remove(&self, name: &OwnedUniqueName) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OwnedUniqueName, Task>> {
        // Nothing under this lock can leave the map half changed.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn is_on_bus(connection: &Connection, name: &OwnedUniqueName) -> bool {
    let Ok(bus) = fdo::DBusProxy::new(connection).await else {
        return false;
    };
    bus.name_has_owner(name.as_ref().into()).await.unwrap_or(false)
}

async fn tell(connection: Connection, name: OwnedUniqueName, mut watch: Watch, mut status: StatusWatch) {
    let Ok(emitter) = SignalEmitter::new(&connection, OBJECT) else {
        return;
    };
    let emitter = emitter.set_destination(name.as_ref().into());
    // What `Status` would answer now is no change.
    let mut is_status_known = false;
    loop {
        let sent = tokio::select! {
            biased;
            event = watch.next() => match event {
                Ok(event) if event.load.is_some() => Door::load_changed(&emitter, dict(event)).await,
                Ok(event) if event.batch.is_some() => Door::batch_changed(&emitter, dict(event)).await,
                Ok(event) => Door::sale_changed(&emitter, dict(event)).await,
                Err(fault) => {
                    let after = fault.after.unwrap_or_default();
                    drop(Door::lagged(&emitter, after).await);
                    return;
                }
            },
            status = status.next() => if std::mem::replace(&mut is_status_known, true) {
                Door::status_changed(&emitter, dict(status)).await
            } else {
                Ok(())
            },
        };
        if sent.is_err() {
            return;
        }
    }
}
