//! The settings of one instance.

use std::path::PathBuf;

use purser_plugin_api::abi::limits::SLOTS_MAX;
use purser_plugin_api::sdk::{DriverError, Fault, Interface};
use serde::Deserialize;

/// All settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Card slots, in the order of their numbers.
    #[serde(default, rename = "slot")]
    pub(crate) slots: Vec<SlotSettings>,
    /// The PIN pad; its number is the one after the last card slot's.
    pub(crate) pin_pad: Option<PadSettings>,
}

/// One card slot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotSettings {
    /// The device's name.
    pub(crate) name: String,
    /// The loopback TCP port that cards connect to; 0 takes any free one.
    pub(crate) port: u16,
    /// What kind of reader it plays.
    #[serde(default)]
    pub(crate) interface: InterfaceSetting,
    /// The Unix socket where a program pulls the reader's cable out and puts it back; it stays in if there is none.
    pub(crate) cable: Option<PathBuf>,
}

/// What kind of reader a slot plays.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InterfaceSetting {
    #[default]
    Contact,
    Contactless,
}

impl From<InterfaceSetting> for Interface {
    fn from(setting: InterfaceSetting) -> Self {
        match setting {
            InterfaceSetting::Contact => Self::Contact,
            InterfaceSetting::Contactless => Self::Contactless,
        }
    }
}

/// The PIN pad.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PadSettings {
    /// The device's name.
    pub(crate) name: String,
    /// The Unix socket where a program types.
    pub(crate) socket: PathBuf,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`Fault::BadArgument`] with the place and the reason.
    pub(crate) fn parse(text: &str) -> Result<Self, DriverError> {
        let settings: Self =
            toml::from_str(text).map_err(|error| Fault::BadArgument.because(error.to_string()))?;
        if settings.slots.len() >= SLOTS_MAX {
            return Err(Fault::BadArgument.because("settings: too many slots"));
        }
        Ok(settings)
    }
}
