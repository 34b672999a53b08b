//! A card reader driver whose cards are programs that speak the vpcd protocol over loopback TCP.

use purser_plugin_api::sdk::{Ability, Call, Driver, DriverError, Host};

struct VirtualReader;

impl Driver for VirtualReader {
    const ID: &'static str = "virtual-reader";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABILITIES: &'static [Ability] = &[];

    fn create(_host: Host, _settings: &str, _call: &Call) -> Result<Self, DriverError> {
        Ok(Self)
    }
}

purser_plugin_api::export_driver!(VirtualReader);
