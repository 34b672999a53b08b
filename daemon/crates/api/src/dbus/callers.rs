//! Who calls, as the bus knows it. Asked once for each connection: a unique name is never given to another one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zbus::message::Header;
use zbus::names::OwnedUniqueName;
use zbus::{Connection, fdo};

use crate::access::Caller;
use crate::fault;
use crate::model::Fault;

/// The callers that are remembered: more than a machine has programs. A bus that has more is asked again.
const CALLERS_MAX: usize = 512;

/// The callers on one bus connection.
#[derive(Clone, Default)]
pub(super) struct Callers {
    known: Arc<Mutex<BTreeMap<OwnedUniqueName, Caller>>>,
}

impl Callers {
    /// The caller: its unique name, and the credentials of the process behind it.
    pub(super) async fn of(
        &self,
        connection: &Connection,
        header: &Header<'_>,
    ) -> Result<(OwnedUniqueName, Caller), Fault> {
        let name: OwnedUniqueName = header.sender().ok_or_else(fault::stopping)?.to_owned().into();
        if let Some(caller) = self.lock().get(&name) {
            return Ok((name, caller.clone()));
        }
        let bus = fdo::DBusProxy::new(connection).await.map_err(bus_is_silent)?;
        let credentials = bus
            .get_connection_credentials(name.as_ref().into())
            .await
            .map_err(bus_is_silent)?;
        let uid = credentials.unix_user_id().ok_or_else(fault::busy)?;
        let gids = credentials.unix_group_ids().cloned().unwrap_or_default();
        let caller = Caller { uid, gids };
        let mut known = self.lock();
        // Also those who left before they were remembered go here.
        if known.len() >= CALLERS_MAX {
            known.clear();
        }
        known.insert(name.clone(), caller.clone());
        Ok((name, caller))
    }

    /// Forgets one that has left the bus.
    pub(super) fn remove(&self, name: &OwnedUniqueName) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OwnedUniqueName, Caller>> {
        // Nothing under this lock can leave the map half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bus_is_silent(error: impl std::fmt::Display) -> Fault {
    tracing::warn!(%error, "the bus does not tell who a caller is; the call was refused");
    fault::busy()
}
