//! The settings of one instance.

use std::path::PathBuf;

use purser_driver_recording::Hidden;
use purser_plugin_api::sdk::{DriverError, Fault};
use serde::Deserialize;

/// Bytes of a purse id: an application serial number.
const PURSE_ID_BYTES: usize = 10;

/// All settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The recording.
    pub(crate) recording: PathBuf,
    /// What its PIN pad gives.
    #[serde(default = "no_pin")]
    pub(crate) pin: String,
    /// Stands for each purse id that is masked.
    #[serde(default, with = "hex::serde")]
    purse_id: [u8; PURSE_ID_BYTES],
}

fn no_pin() -> String {
    "0000".to_owned()
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`Fault::BadArgument`] with the place and the reason.
    pub(crate) fn parse(text: &str) -> Result<Self, DriverError> {
        toml::from_str(text).map_err(|error| Fault::BadArgument.because(error.to_string()))
    }

    /// What stands for the hidden bytes of one answer, one after the other.
    pub(crate) fn stand_in(&self) -> impl FnMut(Hidden) -> u8 {
        let mut purse_id = self.purse_id.into_iter().cycle();
        move |hidden| match hidden {
            Hidden::PurseId => purse_id.next().unwrap_or_default(),
            Hidden::Secret => 0,
        }
    }
}
