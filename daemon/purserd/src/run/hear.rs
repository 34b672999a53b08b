//! What the drivers tell, in the engine's words; their log lines go to the log.

use purser_driver_supervisor::{DeviceState, DriverEvent};
use purser_driver_wire as wire;
use purser_engine::{CallId, DeviceEvent, Input};
use purser_ledger::DeviceName;

use super::devices::DriverIndex;
use super::drivers::{Drivers, Event};
use super::translate;
use crate::verbs::chain;

impl Drivers {
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
                self.lock().set_loaded(driver, hello.clone());
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
            DriverEvent::HostStuck { process_id } => {
                tracing::error!(driver = %name, process_id, "the driver's killed process does not end: a device holds it; unplug the device if the driver does not come back");
                Vec::new()
            }
            DriverEvent::Down { reason, restart_in } => {
                tracing::warn!(driver = %name, reason = %chain(&reason), ?restart_in, "driver is down");
                self.gone(driver)
            }
            DriverEvent::Failed { reason } => {
                tracing::error!(driver = %name, reason = %chain(&reason), "driver has failed and stays down");
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
