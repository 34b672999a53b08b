//! What operators order of a driver: reload it, record it.
//!
//! A reload ends the driver's process, and with it whatever the driver has in hand. So it is done at a moment at which no card is
//! served at the driver's readers and no PIN is typed at its pads, and refused at any other: the loop that asks the engine is the one
//! that orders the restart, and the engine begins nothing in between.

use std::collections::BTreeMap;
use std::fs::File;

use purser_api::{DriverCall, DriverRefusal, DriverRequest};
use purser_driver_supervisor::{DownReason, DriverEvent};
use purser_engine::Engine;
use tokio::sync::oneshot;

use super::devices::DriverIndex;
use super::drivers::{Drivers, Instance};
use crate::config::driver_of;

/// Where an answer goes.
type Reply = oneshot::Sender<Result<(), DriverRefusal>>;

/// Operators who wait for a reload at a time, for all drivers; there is one shop with a few people.
const WAITING_MAX: usize = 16;

/// The reloads under way.
#[derive(Debug, Default)]
pub(super) struct Reloads(BTreeMap<DriverIndex, Vec<Reload>>);

#[derive(Debug)]
struct Reload {
    reply: Reply,
    /// The driver is down for it: what is told of the driver now is told of the new one.
    has_begun: bool,
}

impl Reloads {
    /// Does what an operator orders, or says why not.
    pub(super) fn handle(&mut self, call: DriverCall, drivers: &Drivers, engine: &Engine) {
        let DriverCall {
            driver,
            request,
            reply,
        } = call;
        let found = drivers
            .instances()
            .iter()
            .position(|instance| instance.name.as_str() == driver);
        let Some(index) = found else {
            return answer(reply, Err(DriverRefusal::Unknown));
        };
        let instance = &drivers.instances()[index];
        match request {
            DriverRequest::Reload => self.reload(index, instance, engine, reply),
            DriverRequest::Record(_) if instance.handle.status().is_recorded => {
                answer(reply, Err(DriverRefusal::AlreadyRecording));
            }
            DriverRequest::Record(file) => {
                tracing::info!(driver = %instance.name, "a recording of the driver begins");
                let ordered = instance.handle.record(File::from(file));
                answer(reply, ordered.map_err(|_| DriverRefusal::Busy));
            }
            DriverRequest::StopRecording => stop_recording(instance, reply),
        }
    }

    fn reload(&mut self, index: DriverIndex, instance: &Instance, engine: &Engine, reply: Reply) {
        let is_served = engine
            .served_devices()
            .any(|device| driver_of(device) == instance.name.as_str());
        let waiting: usize = self.0.values().map(Vec::len).sum();
        if is_served {
            return answer(reply, Err(DriverRefusal::InUse));
        }
        if waiting >= WAITING_MAX || instance.handle.restart().is_err() {
            return answer(reply, Err(DriverRefusal::Busy));
        }
        tracing::info!(driver = %instance.name, "an operator reloads the driver");
        self.0.entry(index).or_default().push(Reload {
            reply,
            has_begun: false,
        });
    }

    /// Hears what a driver tells; whoever waits for its reload is answered when it is ready, or down for another reason.
    pub(super) fn hear(&mut self, driver: DriverIndex, event: &DriverEvent) {
        let Some(reloads) = self.0.get_mut(&driver) else {
            return;
        };
        match event {
            DriverEvent::Down {
                reason: DownReason::Asked,
                ..
            } => {
                for reload in reloads {
                    reload.has_begun = true;
                }
            }
            DriverEvent::Ready { .. } | DriverEvent::Down { .. } | DriverEvent::Failed { .. } => {
                for reload in reloads.extract_if(.., |reload| reload.has_begun) {
                    answer(reload.reply, Ok(()));
                }
            }
            DriverEvent::Device(_)
            | DriverEvent::Answer(..)
            | DriverEvent::Log { .. }
            | DriverEvent::LogsDropped(_)
            | DriverEvent::HostStuck { .. } => {}
        }
    }
}

fn stop_recording(instance: &Instance, reply: Reply) {
    if !instance.handle.status().is_recorded {
        return answer(reply, Err(DriverRefusal::NotRecording));
    }
    let Ok(written) = instance.handle.stop_recording() else {
        return answer(reply, Err(DriverRefusal::Busy));
    };
    tracing::info!(driver = %instance.name, "a recording of the driver ends");
    tokio::spawn(async move {
        // One that ended by itself meanwhile, at its limit, is whole too.
        let _ = written.await;
        answer(reply, Ok(()));
    });
}

fn answer(reply: Reply, answer: Result<(), DriverRefusal>) {
    // An asker that has gone asks again.
    let _ = reply.send(answer);
}
