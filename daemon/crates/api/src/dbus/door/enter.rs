//! Who comes in, and who hears what goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use zbus::Connection;
use zbus::message::Header;
use zbus::names::OwnedUniqueName;

use super::Door;
use crate::access::Caller;
use crate::dbus::callers::Callers;
use crate::dbus::refusal::Refusal;
use crate::dbus::watchers::Watchers;
use crate::model::{Fault, WatchArguments};
use crate::quota::Pass;
use crate::service::Service;

impl Door {
    pub(in crate::dbus) fn new(service: Service, callers: Callers, watchers: Watchers) -> Self {
        Self {
            service,
            callers,
            watchers,
            is_unheard_told: AtomicBool::new(false),
        }
    }

    /// Who calls, as the bus knows it, if there is quota left for the call.
    pub(super) async fn enter(
        &self,
        connection: &Connection,
        header: &Header<'_>,
    ) -> Result<(OwnedUniqueName, Caller, Pass), Refusal> {
        let (name, caller) = self.callers.of(connection, header).await?;
        let method = header.member().map(|name| name.as_str()).unwrap_or_default();
        let pass = self.service.admit(&caller, method).await?;
        Ok((name, caller, pass))
    }

    /// Lets a caller hear what happens to its sales, in place of what it heard before.
    pub(super) async fn watch_for(
        &self,
        connection: &Connection,
        (name, caller): (OwnedUniqueName, Caller),
        ask: &WatchArguments,
    ) -> Result<(), Fault> {
        let watch = self.service.watch(&caller, ask).await?;
        self.watchers
            .replace(connection, name, watch, self.service.watch_status())
            .await;
        Ok(())
    }

    /// Logs once that somebody hears no signals.
    pub(super) fn tell_unheard(&self, caller: &Caller, fault: &Fault) {
        if !self.is_unheard_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(uid = caller.uid, %fault, "a caller hears no signals of the sale that it began");
        }
    }
}
