//! The drivers: their supervisors, what they are called for, and what they tell.

use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use purser_driver_supervisor::{DeviceState, DriverConfig, DriverEvent, Handle, Spawner, Supervisor};
use purser_driver_wire as wire;
use purser_engine::{Act, CallFailure, CallId, DeviceEvent, Input, Query};
use purser_ledger::{Authorised, DeviceName};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

use super::devices::{DriverIndex, Roster};
use super::translate;
use crate::config::{Config, Devices, Driver};

/// Time to power a card. Source: ISO/IEC 7816-3 §10 lets a slow card take seconds to answer to reset and negotiate.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Time for one command: a card may ask for more waiting time again and again. Shorter than the engine's own limit.
const TRANSMIT_TIME: Duration = Duration::from_secs(15);
/// Time to take a card's power away.
const DISCONNECT_TIME: Duration = Duration::from_secs(5);
/// How often a buyer can make the wait for a PIN begin anew: once for each digit, and some corrections.
const PIN_WAITS: u32 = 32;

/// What happened at a driver.
#[derive(Debug)]
pub(super) struct Event {
    driver: DriverIndex,
    event: DriverEvent,
}

/// The drivers' devices, for the one who asks how they are.
pub(super) type Seen = Arc<Mutex<Roster>>;

/// A driver's name and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) name: DeviceName,
    pub(super) devices: Devices,
    pub(super) handle: Handle,
}

/// The way to all drivers.
#[derive(Debug)]
pub(super) struct Drivers {
    instances: Vec<Instance>,
    seen: Seen,
    pin_time: Duration,
}

/// What the drivers tell.
#[derive(Debug)]
pub(super) struct Events {
    receivers: Vec<Receiver<DriverEvent>>,
    next: usize,
}

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
        settings,
    } in &config.drivers
    {
        let driver = DriverConfig::new(name.as_str(), path, settings);
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
    /// Ends every driver in order, and waits until they have ended.
    pub(super) async fn stop(self) {
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
        match self.instances[driver]
            .handle
            .call(wire::CallId(id.0), call(slot), time)
        {
            Ok(()) => None,
            Err(refused) => {
                tracing::warn!(%device, %refused, "a driver does not take a call");
                failed(CallFailure::DriverLost)
            }
        }
    }

    /// Asks that a call ends soon.
    pub(super) fn abort(&self, id: CallId, device: &DeviceName) {
        if let Some((driver, _)) = self.place_of(device) {
            // A driver that cannot hear it answers at the call's deadline, or has answered already.
            let _ = self.instances[driver].handle.cancel(wire::CallId(id.0));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Roster> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place_of(&self, device: &DeviceName) -> Option<(DriverIndex, wire::SlotId)> {
        let seen = self.lock();
        seen.find(device).map(|present| (present.driver, present.slot))
    }

    /// What the engine hears of an event.
    pub(super) fn inputs(&self, Event { driver, event }: Event) -> Vec<Input> {
        let name = &self.instances[driver].name;
        match event {
            DriverEvent::Ready {
                driver: hello,
                devices,
            } => {
                let (id, version) = (hello.driver_id.as_str(), hello.driver_version.as_str());
                tracing::info!(driver = %name, id, version, devices = devices.len(), "driver is ready");
                self.lock().set_driver_id(driver, id);
                self.gone(driver)
                    .into_iter()
                    .chain(devices.iter().flat_map(|state| self.came(driver, state)))
                    .collect()
            }
            DriverEvent::Device(event) => self.device_inputs(driver, event),
            DriverEvent::Answer(id, result) => {
                if let Err(error) = &result {
                    tracing::info!(driver = %name, call = id.0, %error, "a call failed");
                }
                vec![Input::Answer {
                    id: CallId(id.0),
                    answer: translate::answer(result),
                }]
            }
            DriverEvent::Log { level, text } => {
                log_line(name, level, text.as_str());
                Vec::new()
            }
            DriverEvent::LogsDropped(lines) => {
                tracing::warn!(driver = %name, lines, "lines of the driver came too fast and were dropped");
                Vec::new()
            }
            DriverEvent::Down { reason, restart_in } => {
                tracing::warn!(driver = %name, reason = %crate::verbs::chain(&reason), ?restart_in, "driver is down");
                self.gone(driver)
            }
            DriverEvent::Failed { reason } => {
                tracing::error!(driver = %name, reason = %crate::verbs::chain(&reason), "driver has failed and stays down");
                self.gone(driver)
            }
        }
    }

    fn device_inputs(&self, driver: DriverIndex, event: wire::DeviceEvent) -> Vec<Input> {
        let (slot, event) = match event {
            wire::DeviceEvent::DeviceArrived(device) => {
                return self.came(
                    driver,
                    &DeviceState {
                        device,
                        has_card: false,
                    },
                );
            }
            wire::DeviceEvent::DeviceLeft(slot) => (slot, DeviceEvent::Left),
            wire::DeviceEvent::CardInserted(slot) => (slot, DeviceEvent::CardInserted),
            wire::DeviceEvent::CardRemoved(slot) => (slot, DeviceEvent::CardRemoved),
            wire::DeviceEvent::PinDigits { slot, .. } => (slot, DeviceEvent::PinProgress),
        };
        let mut seen = self.lock();
        let Some(name) = seen.name_of(driver, slot) else {
            return Vec::new();
        };
        match event {
            DeviceEvent::Left => seen.leave(&name),
            DeviceEvent::CardInserted => seen.set_card(&name, true),
            DeviceEvent::CardRemoved => seen.set_card(&name, false),
            DeviceEvent::PinProgress | DeviceEvent::Arrived(_) => {}
        }
        if event != DeviceEvent::PinProgress {
            tracing::debug!(device = %name, ?event, "device");
        }
        vec![Input::Device { name, event }]
    }

    fn came(&self, driver: DriverIndex, state: &DeviceState) -> Vec<Input> {
        let instance = &self.instances[driver];
        let mut seen = self.lock();
        let Some(name) = seen.arrive(driver, &instance.name, instance.devices, &state.device) else {
            let device = state.device.name.as_str();
            tracing::warn!(driver = %instance.name, device, "a device is left alone: its name is taken; see `devices` in purser.toml(5)");
            return Vec::new();
        };
        seen.set_card(&name, state.has_card);
        let abilities = seen
            .find(&name)
            .map(|present| present.abilities)
            .unwrap_or_default();
        tracing::info!(device = %name, card_reader = abilities.card_reader, pin_pad = abilities.pin_pad, "device is there");
        let arrived = Input::Device {
            name: name.clone(),
            event: DeviceEvent::Arrived(abilities),
        };
        let card = state.has_card.then_some(Input::Device {
            name,
            event: DeviceEvent::CardInserted,
        });
        std::iter::once(arrived).chain(card).collect()
    }

    fn gone(&self, driver: DriverIndex) -> Vec<Input> {
        let mut seen = self.lock();
        let names: Vec<DeviceName> = seen.of_driver(driver).map(|(name, _)| name.clone()).collect();
        for name in &names {
            seen.leave(name);
        }
        names
            .into_iter()
            .map(|name| Input::Device {
                name,
                event: DeviceEvent::Left,
            })
            .collect()
    }
}

fn log_line(driver: &DeviceName, level: wire::LogLevel, text: &str) {
    match level {
        wire::LogLevel::Error => tracing::error!(target: "driver", %driver, "{text}"),
        wire::LogLevel::Warn => tracing::warn!(target: "driver", %driver, "{text}"),
        wire::LogLevel::Info => tracing::info!(target: "driver", %driver, "{text}"),
        wire::LogLevel::Debug => tracing::debug!(target: "driver", %driver, "{text}"),
    }
}
