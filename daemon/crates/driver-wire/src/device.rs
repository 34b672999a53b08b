//! Devices of a driver and what happens at them.

use serde::{Deserialize, Serialize};

use crate::Text;
use crate::limits::NAME_MAX_BYTES;

/// One device of an instance, by the number that its driver gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotId(pub u32);

/// What a device can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// It reads cards.
    pub card_reader: bool,
    /// It takes PINs.
    pub pin_pad: bool,
}

/// How a card reader reaches cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// In contact.
    pub contact: bool,
    /// In the field.
    pub contactless: bool,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its number.
    pub slot: SlotId,
    /// Its name, the same over restarts of the driver.
    pub name: Text<NAME_MAX_BYTES>,
    /// What it can do.
    pub classes: Classes,
    /// How it reaches cards.
    pub interfaces: Interfaces,
}

/// What a driver tells on its own account (`purser/driver.h` `[E]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceEvent {
    /// A device came.
    DeviceArrived(Device),
    /// A device left; its card with it.
    DeviceLeft(SlotId),
    /// A card came.
    CardInserted(SlotId),
    /// The card left.
    CardRemoved(SlotId),
    /// So many digits stand on the PIN pad's display.
    PinDigits {
        /// The pad.
        slot: SlotId,
        /// How many, 0 to 12.
        digits: u8,
    },
}

impl DeviceEvent {
    /// The device that it is about.
    pub fn slot(&self) -> SlotId {
        match self {
            Self::DeviceArrived(device) => device.slot,
            Self::DeviceLeft(slot) | Self::CardInserted(slot) | Self::CardRemoved(slot) => *slot,
            Self::PinDigits { slot, .. } => *slot,
        }
    }
}
