//! The devices of an instance, kept from what its driver tells; what does not fit is a breach of the contract.

use std::collections::BTreeMap;

use purser_driver_recording::Ready;
use purser_driver_wire::limits::SLOTS_MAX;
use purser_driver_wire::{Device, DeviceEvent, Hello, SlotId};

use crate::DeviceState;

/// The devices that are there.
#[derive(Debug, Default)]
pub(crate) struct Slots(BTreeMap<SlotId, DeviceState>);

impl Slots {
    /// Takes an event into account; false for one that breaks `[E-1]` to `[E-4]`, which must be dropped.
    pub(crate) fn take(&mut self, event: &DeviceEvent) -> bool {
        match event {
            DeviceEvent::DeviceArrived(device) => self.arrive(device),
            DeviceEvent::DeviceLeft(slot) => self.0.remove(slot).is_some(),
            DeviceEvent::CardInserted(slot) => self.set_card(*slot, true),
            DeviceEvent::CardRemoved(slot) => self.set_card(*slot, false),
            DeviceEvent::PinDigits { slot, .. } => {
                self.0.get(slot).is_some_and(|found| found.device.classes.pin_pad)
            }
        }
    }

    /// The devices by their numbers.
    pub(crate) fn states(&self) -> Vec<DeviceState> {
        self.0.values().cloned().collect()
    }

    /// What a recording says of a driver that is ready.
    pub(crate) fn ready(&self, driver: &Hello) -> Ready {
        let device = |state: &DeviceState| purser_driver_recording::DeviceState {
            device: state.device.clone(),
            has_card: state.has_card,
        };
        Ready {
            id: driver.driver_id.clone(),
            version: driver.driver_version.clone(),
            devices: self.0.values().map(device).collect(),
        }
    }

    fn arrive(&mut self, device: &Device) -> bool {
        if self.0.len() >= SLOTS_MAX || self.0.contains_key(&device.slot) {
            return false;
        }
        self.0.insert(
            device.slot,
            DeviceState {
                device: device.clone(),
                has_card: false,
            },
        );
        true
    }

    fn set_card(&mut self, slot: SlotId, has_card: bool) -> bool {
        match self.0.get_mut(&slot) {
            Some(found) if found.device.classes.card_reader && found.has_card != has_card => {
                found.has_card = has_card;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use purser_driver_wire::{Classes, Interfaces, Text};

    use super::*;

    fn reader(slot: u32) -> DeviceEvent {
        DeviceEvent::DeviceArrived(Device {
            slot: SlotId(slot),
            name: Text::cut("reader"),
            classes: Classes {
                card_reader: true,
                pin_pad: false,
            },
            interfaces: Interfaces {
                contact: true,
                contactless: false,
            },
        })
    }

    #[test]
    fn cards_come_and_go_alternately() {
        let mut slots = Slots::default();
        assert!(slots.take(&reader(1)));
        assert!(slots.take(&DeviceEvent::CardInserted(SlotId(1))));
        assert!(!slots.take(&DeviceEvent::CardInserted(SlotId(1))));
        assert!(slots.states()[0].has_card);
        assert!(slots.take(&DeviceEvent::CardRemoved(SlotId(1))));
        assert!(!slots.take(&DeviceEvent::CardRemoved(SlotId(1))));
    }

    #[test]
    fn what_concerns_no_present_device_is_a_breach() {
        let mut slots = Slots::default();
        assert!(!slots.take(&DeviceEvent::CardInserted(SlotId(1))));
        assert!(!slots.take(&DeviceEvent::DeviceLeft(SlotId(1))));
        assert!(slots.take(&reader(1)));
        assert!(!slots.take(&reader(1)));
        assert!(
            !slots.take(&DeviceEvent::PinDigits {
                slot: SlotId(1),
                digits: 3
            }),
            "it is no PIN pad"
        );
        assert!(slots.take(&DeviceEvent::DeviceLeft(SlotId(1))));
        assert!(slots.states().is_empty());
    }

    #[test]
    fn devices_are_limited() {
        let mut slots = Slots::default();
        for slot in 0..u32::try_from(SLOTS_MAX).unwrap() {
            assert!(slots.take(&reader(slot)));
        }
        assert!(!slots.take(&reader(1000)));
    }
}
