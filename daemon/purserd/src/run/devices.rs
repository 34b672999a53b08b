//! Which device is called what: the driver's slots on one side, the engine's device names on the other.

use std::collections::BTreeMap;

use purser_driver_wire::{Device, Hello, SlotId};
use purser_engine::{Abilities, PsamView};
use purser_ledger::{DeviceName, NAME_BYTES_MAX};

use crate::config::Devices;

/// A driver by its place in the configuration.
pub(super) type DriverIndex = usize;

/// The devices that are there.
#[derive(Debug, Default)]
pub(super) struct Roster {
    by_name: BTreeMap<DeviceName, Present>,
    loaded: BTreeMap<DriverIndex, Hello>,
    psam: Option<PsamView>,
}

/// A device that is there.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) driver: DriverIndex,
    pub(super) slot: SlotId,
    pub(super) abilities: Abilities,
    /// Whether a card is in it.
    pub(super) card: bool,
}

impl Roster {
    /// Takes a device in and names it; none where it is left alone.
    pub(super) fn arrive(
        &mut self,
        driver: DriverIndex,
        driver_name: &DeviceName,
        devices: Devices,
        device: &Device,
    ) -> Option<DeviceName> {
        let name = match devices {
            Devices::One => driver_name.clone(),
            Devices::Many => many_name(driver_name, device.name.as_str())?,
        };
        if self.by_name.contains_key(&name) {
            return None;
        }
        let abilities = Abilities {
            card_reader: device.classes.card_reader,
            pin_pad: device.classes.pin_pad,
        };
        self.by_name.insert(
            name.clone(),
            Present {
                driver,
                slot: device.slot,
                abilities,
                card: false,
            },
        );
        Some(name)
    }

    /// The name of a driver's device; none for one that is left alone.
    pub(super) fn name_of(&self, driver: DriverIndex, slot: SlotId) -> Option<DeviceName> {
        self.by_name
            .iter()
            .find(|(_, present)| present.driver == driver && present.slot == slot)
            .map(|(name, _)| name.clone())
    }

    /// Notes what a driver says about itself.
    pub(super) fn set_loaded(&mut self, driver: DriverIndex, hello: Hello) {
        self.loaded.insert(driver, hello);
    }

    /// What a driver said about itself when it was last loaded; none before it was ever ready.
    pub(super) fn loaded(&self, driver: DriverIndex) -> Option<&Hello> {
        self.loaded.get(&driver)
    }

    /// Notes how the PSAM does; none with a software SAM.
    pub(super) fn set_psam(&mut self, psam: Option<PsamView>) {
        self.psam = psam;
    }

    /// How the PSAM does; none with a software SAM.
    pub(super) fn psam(&self) -> Option<&PsamView> {
        self.psam.as_ref()
    }

    pub(super) fn set_card(&mut self, name: &DeviceName, card: bool) {
        if let Some(present) = self.by_name.get_mut(name) {
            present.card = card;
        }
    }

    pub(super) fn leave(&mut self, name: &DeviceName) {
        self.by_name.remove(name);
    }

    pub(super) fn find(&self, name: &DeviceName) -> Option<&Present> {
        self.by_name.get(name)
    }

    /// The devices of one driver.
    pub(super) fn of_driver(&self, driver: DriverIndex) -> impl Iterator<Item = (&DeviceName, &Present)> {
        self.by_name
            .iter()
            .filter(move |(_, present)| present.driver == driver)
    }
}

/// `DRIVER/DEVICE`, with what a name cannot hold replaced by dashes; none where the driver's own name leaves no room.
fn many_name(driver: &DeviceName, device: &str) -> Option<DeviceName> {
    let room = NAME_BYTES_MAX.checked_sub(driver.as_str().len() + 1)?;
    let dashed = |c: char| if c.is_ascii_graphic() && c != '/' { c } else { '-' };
    let device: String = device.chars().map(dashed).take(room).collect();
    DeviceName::new(format!("{driver}/{device}")).ok()
}

#[cfg(test)]
mod tests {
    use purser_driver_wire::{Classes, Interfaces, Text};

    use super::*;

    fn device(slot: u32, name: &str) -> Device {
        Device {
            slot: SlotId(slot),
            name: Text::cut(name),
            classes: Classes {
                card_reader: true,
                pin_pad: false,
            },
            interfaces: Interfaces::default(),
        }
    }

    fn name(text: &str) -> DeviceName {
        DeviceName::new(text).unwrap()
    }

    #[test]
    fn the_one_device_of_a_driver_is_called_as_the_driver_and_a_second_is_left_alone() {
        let mut roster = Roster::default();
        let mut arrive = |slot| roster.arrive(3, &name("front"), Devices::One, &device(slot, "ACS"));
        assert_eq!(arrive(7), Some(name("front")));
        assert_eq!(arrive(8), None);
        assert_eq!(roster.name_of(3, SlotId(7)), Some(name("front")));
        assert_eq!(roster.name_of(3, SlotId(8)), None);
        roster.leave(&name("front"));
        assert_eq!(
            roster.arrive(3, &name("front"), Devices::One, &device(8, "ACS")),
            Some(name("front"))
        );
    }

    #[test]
    fn many_devices_keep_their_own_names_as_far_as_a_name_can_hold_them() {
        let mut roster = Roster::default();
        let mut arrive = |slot, of: &str| roster.arrive(0, &name("pcsc"), Devices::Many, &device(slot, of));
        assert_eq!(arrive(0, "ACS ACR39U 00/é"), Some(name("pcsc/ACS-ACR39U-00--")));
        assert_eq!(arrive(1, "ACS ACR39U 00/é"), None);
        assert_eq!(
            arrive(2, &"x".repeat(64)),
            Some(name(&format!("pcsc/{}", "x".repeat(59))))
        );
        assert_eq!(roster.of_driver(0).count(), 2);
        assert_eq!(roster.of_driver(1).count(), 0);
    }
}
