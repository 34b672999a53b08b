//! The object on the bus: who calls it, and who is told.

use std::sync::atomic::{AtomicBool, Ordering};

use zbus::Connection;
use zbus::message::Header;
use zbus::names::OwnedUniqueName;

use super::callers::Callers;
use super::refusal::Refusal;
use super::watchers::Watchers;
use crate::access::Caller;
use crate::model::{Fault, WatchArguments};
use crate::quota::Pass;
use crate::service::Service;

/// The object.
pub(super) struct Door {
    pub(super) service: Service,
    callers: Callers,
    pub(super) watchers: Watchers,
    /// True once it was logged that a caller hears no signals.
    is_unheard_told: AtomicBool,
}

impl Door {
    pub(super) fn new(service: Service, callers: Callers, watchers: Watchers) -> Self {
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

    pub(super) fn tell_unheard(&self, caller: &Caller, fault: &Fault) {
        if !self.is_unheard_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(uid = caller.uid, %fault, "a caller hears no signals of the sale that it began");
        }
    }
}
