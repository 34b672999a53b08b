//! Devices, and the daemon itself.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use super::Time;

/// A device, as its last exchange showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// The id of its driver.
    pub driver: String,
    /// True when it reads buyers' cards; false for the PSAM's reader.
    pub card_reader: bool,
    /// True when it takes PINs.
    pub pin_pad: bool,
    /// `starting`, `ready`, `absent`, `restarting` or `failed`.
    pub state: String,
    /// True when a card is in it, where that is known.
    pub card_present: Option<bool>,
    /// The terminal number of the PSAM in it, twelve hexadecimal digits; only for a reader that holds the PSAM and whose PSAM
    /// is ready.
    pub psam_terminal_number: Option<String>,
    /// Why it is so, in words.
    pub cause: Option<String>,
    /// What to do about it, in words.
    pub remedy: Option<String>,
    /// How often its driver was started again.
    pub restarts: u64,
    /// When it last answered.
    pub last_answer_at: Option<Time>,
}

/// A configured driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Driver {
    /// Its name in the configuration.
    pub name: String,
    /// The id that it told when it was last loaded.
    pub id: Option<String>,
    /// The version that it told when it was last loaded.
    pub version: Option<String>,
    /// The abilities that it offered when it was last loaded, such as `purser.card-reader/1`.
    pub classes: Option<Vec<String>>,
    /// The path of its manifest.
    pub manifest: String,
    /// `starting`, `ready`, `restarting` or `failed`.
    pub state: String,
    /// How often it was started again by itself.
    pub restarts: u64,
    /// Why it went down last, in words.
    pub last_failure: Option<String>,
    /// What to do about that, in words.
    pub remedy: Option<String>,
    /// True while its traffic is recorded.
    pub recording: bool,
}

/// Something that keeps Purser from working as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Problem {
    /// A fixed name.
    pub name: String,
    /// What is wrong, in words.
    pub cause: String,
    /// What to do about it, in words.
    pub remedy: String,
}

/// The bounds that a client should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Limits {
    /// The longest reference, in bytes of visible ASCII.
    pub reference_bytes_max: u64,
    /// The largest amount, in minor units.
    pub amount_minor_max: u64,
    /// The longest message over Varlink, in bytes.
    pub message_bytes_max: u64,
    /// The most events or entries in one answer.
    pub page_max: u64,
    /// The most Varlink connections at a time.
    pub connections_max: u64,
}

/// The answer to `Devices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DevicesReply {
    /// Every configured device.
    pub devices: Vec<Device>,
}

/// The answer to `Drivers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DriversReply {
    /// Every configured driver.
    pub drivers: Vec<Driver>,
}

/// The answer to what is done to one driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DriverReply {
    /// How it is afterwards.
    pub driver: Driver,
}

/// The answer to `GetInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct InfoReply {
    /// The version of the running daemon.
    pub version: String,
    /// The PSAM terminal number, twelve hexadecimal digits.
    pub terminal_number: String,
    /// The currencies of the configured card issuers.
    pub currencies: Vec<String>,
    /// True when a PIN may come by `ProvidePin`.
    pub pin_through_api: bool,
    /// The bounds.
    pub limits: Limits,
}

/// The answer to `Status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct StatusReply {
    /// True when a sale can begin now.
    pub ready: bool,
    /// The version of the running daemon.
    pub version: String,
    /// When it started.
    pub started_at: Time,
    /// `connected`, `lost` or `off`: how it stands with D-Bus.
    pub bus: String,
    /// What keeps it from working as it should; empty when all is well.
    pub problems: Vec<Problem>,
}
