//! The drivers: their supervisors, and what they are called for.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use purser_driver_supervisor::{DriverConfig, DriverEvent, Handle, Spawner, Supervisor};
use purser_driver_wire as wire;
use purser_engine::{Act, CallFailure, CallId, Input, Query};
use purser_ledger::{Authorised, DeviceName};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

use super::devices::{DriverIndex, Roster};
use super::translate;
use crate::config::{Config, Devices, Driver, DriverMs};

/// Time to power a card. Source: ISO/IEC 7816-3 §10 lets a slow card take seconds to answer to reset and negotiate.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Time for one command: a card may ask for more waiting time again and again. Shorter than the engine's own limit.
const TRANSMIT_TIME: Duration = Duration::from_secs(15);
/// Time to take a card's power away, from when the driver is free to do it.
const DISCONNECT_TIME: Duration = Duration::from_secs(5);
/// How often a buyer can make the wait for a PIN begin anew: once for each digit, and some corrections.
const PIN_WAITS: u32 = 32;

/// What happened at a driver.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) driver: DriverIndex,
    pub(super) event: DriverEvent,
}

/// The drivers' devices, for the one who asks how they are.
pub(super) type Seen = Arc<Mutex<Roster>>;

/// A driver's name and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) name: DeviceName,
    pub(super) devices: Devices,
    /// The shared object.
    pub(super) path: PathBuf,
    /// The most time for one answer about a card.
    pub(super) answer_time: Duration,
    pub(super) handle: Handle,
}

/// The way to all drivers.
#[derive(Debug)]
pub(super) struct Drivers {
    pub(super) instances: Vec<Instance>,
    seen: Seen,
    pin_time: Duration,
}

/// What the drivers tell.
#[derive(Debug)]
pub(super) struct Events {
    receivers: Vec<Receiver<DriverEvent>>,
    next: usize,
}

/// How long drivers have to end in order, a little more than each supervisor gives its own.
const DRIVERS_END: Duration = Duration::from_secs(4);

/// The running supervisors.
#[derive(Debug)]
pub(super) struct Running(Vec<(Handle, JoinHandle<()>)>);

/// Starts a supervisor for each configured driver. Call it on the daemon's main thread: driver hosts die with it.
pub(super) fn start(config: &Config, driver_host: &Path) -> (Drivers, Events, Running) {
    let (mut instances, mut receivers, mut running) = (Vec::new(), Vec::new(), Vec::new());
    for Driver {
        name,
        path,
        devices,
        start_ms,
        answer_ms,
        settings,
    } in &config.drivers
    {
        let mut driver = DriverConfig::new(name.as_str(), path, settings);
        if let Some(start) = start_ms {
            driver.start_time = start.duration();
        }
        let (supervisor, handle, events) = Supervisor::new(
            driver,
            Spawner::Child {
                program: driver_host.to_owned(),
            },
        );
        running.push((handle.clone(), tokio::spawn(supervisor.run())));
        instances.push(Instance {
            name: name.clone(),
            devices: *devices,
            path: path.clone(),
            answer_time: answer_ms.map_or(Duration::MAX, DriverMs::duration),
            handle,
        });
        receivers.push(events);
    }
    let pin_time = Duration::from_millis(config.pin_wait.ms()) * PIN_WAITS;
    let drivers = Drivers {
        instances,
        seen: Seen::default(),
        pin_time,
    };
    (drivers, Events { receivers, next: 0 }, Running(running))
}

impl Events {
    /// The next event of any driver, each in its turn; never where there are no drivers. Cancel safe.
    pub(super) async fn next(&mut self) -> Event {
        poll_fn(|context| {
            let count = self.receivers.len();
            for driver in (self.next..count).chain(0..self.next) {
                if let Poll::Ready(Some(event)) = self.receivers[driver].poll_recv(context) {
                    self.next = (driver + 1) % count;
                    return Poll::Ready(Event { driver, event });
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Running {
    /// Ends every driver in order; one that does not end is killed with the process.
    pub(super) async fn end(self) {
        if tokio::time::timeout(DRIVERS_END, self.stop()).await.is_err() {
            tracing::warn!("a driver does not end in order; it is killed");
        }
    }

    async fn stop(self) {
        for (handle, _) in &self.0 {
            // One that has ended, or that has too much to do to hear, is killed with the process.
            let _ = handle.stop();
        }
        for (_, ended) in self.0 {
            let _ = ended.await;
        }
    }
}

impl Drivers {
    /// The drivers' names and the ways to them.
    pub(super) fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The devices, shared with whoever asks how they are.
    pub(super) fn seen(&self) -> Seen {
        Arc::clone(&self.seen)
    }

    /// Asks a device. An input is given back when it could not be asked.
    pub(super) fn ask(&self, id: CallId, device: &DeviceName, query: Query) -> Option<Input> {
        let time = match query {
            Query::Connect => CONNECT_TIME,
            Query::Transmit { .. } => TRANSMIT_TIME,
            Query::Disconnect { .. } => DISCONNECT_TIME,
            Query::EnterPin(_) => self.pin_time,
        };
        self.call(id, device, time, |slot| translate::call(slot, query))
    }

    /// Lets a device move money. An input is given back when it could not be asked.
    pub(super) fn carry_out(&self, id: CallId, device: &DeviceName, act: Authorised<Act>) -> Option<Input> {
        self.call(id, device, TRANSMIT_TIME, |slot| {
            translate::act(slot, &act.into_act())
        })
    }

    fn call(
        &self,
        id: CallId,
        device: &DeviceName,
        time: Duration,
        call: impl FnOnce(wire::SlotId) -> wire::Call,
    ) -> Option<Input> {
        let failed = |failure| {
            Some(Input::Answer {
                id,
                answer: Err(failure),
            })
        };
        let Some((driver, slot)) = self.place_of(device) else {
            return failed(CallFailure::DeviceGone);
        };
        let (instance, call) = (&self.instances[driver], call(slot));
        let time = match call {
            wire::Call::EnterPin { .. } => time,
            wire::Call::Connect { .. } | wire::Call::Transmit { .. } | wire::Call::Disconnect { .. } => {
                time.min(instance.answer_time)
            }
        };
        match instance.handle.call(wire::CallId(id.0), call, time) {
            Ok(()) => None,
            Err(refused) => {
                tracing::warn!(%device, %refused, "a driver does not take a call");
                failed(translate::refusal(refused))
            }
        }
    }

    /// Asks that a call ends soon.
    pub(super) fn abort(&self, id: CallId, device: &DeviceName) {
        if let Some((driver, _)) = self.place_of(device) {
            // The supervisor keeps room for it: only one that has ended does not take it.
            let _ = self.instances[driver].handle.cancel(wire::CallId(id.0));
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Roster> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place_of(&self, device: &DeviceName) -> Option<(DriverIndex, wire::SlotId)> {
        let seen = self.lock();
        seen.find(device).map(|present| (present.driver, present.slot))
    }
}
