//! A card reader and PIN pad driver whose cards and buyers are programs: for the lab, for tests, and for trying
//! Purser without hardware. It takes the place of real devices behind the production driver contract.
//!
//! * Each card slot listens on a loopback TCP port. A card is a program that connects to it and speaks the vpcd
//!   protocol ([`vpcd`]), the one that virtual cards for pcscd speak. Connected = inserted, closed = removed.
//!   The slot may have a cable ([`cable`]): pulled out, the reader has left, and a card in it has no power.
//! * The PIN pad listens on a Unix socket. A program that connects types for the buyer ([`pad`]).
//!
//! ```toml
//! # The settings of one instance.
//! [[slot]]
//! name = "counter reader"
//! port = 35963               # 0: any free one, named in the log
//! interface = "contact"      # or "contactless"
//! cable = "/run/purser/counter-cable.sock"   # may be left out
//!
//! [pin_pad]
//! name = "counter keypad"
//! socket = "/run/purser/keypad.sock"
//! ```

pub mod cable;
mod card_link;
mod keys;
mod life;
pub mod pad;
mod settings;
mod slot;
pub mod vpcd;

use std::sync::Arc;

use purser_plugin_api::sdk::{
    Ability, Call, CallNumber, Card, CardReader, Connection, Driver, DriverError, Fault, Host, Output,
    PinPad, PinRequest, Slot,
};

use life::Life;
use settings::Settings;
use slot::CardSlot;

/// The driver.
#[derive(Debug)]
pub struct VirtualReader {
    slots: Vec<Arc<CardSlot>>,
    pad: Option<pad::Pad>,
    life: Option<Life>,
}

impl Driver for VirtualReader {
    const ID: &'static str = "virtual-reader";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABILITIES: &'static [Ability] = &[Ability::card_reader::<Self>(), Ability::pin_pad::<Self>()];

    fn create(host: Host, settings: &str, _call: &Call) -> Result<Self, DriverError> {
        let settings = Settings::parse(settings)?;
        let life = Life::new()?;
        let mut slots = Vec::new();
        for (number, slot) in (0..).zip(&settings.slots) {
            slots.push(CardSlot::open(host, Slot(number), slot, &life)?);
        }
        let pad_slot = Slot(u32::try_from(slots.len()).expect("the settings have a limited number of slots"));
        let pad = match &settings.pin_pad {
            Some(settings) => Some(pad::Pad::open(host, pad_slot, settings, &life)?),
            None => None,
        };
        Ok(Self {
            slots,
            pad,
            life: Some(life),
        })
    }

    fn cancel(&self, call: CallNumber) {
        if let Some(pad) = &self.pad {
            pad.cancel(call);
        }
    }
}

impl VirtualReader {
    fn slot(&self, slot: Slot) -> Result<&CardSlot, DriverError> {
        let index = usize::try_from(slot.0).ok();
        let slot = index.and_then(|index| self.slots.get(index));
        slot.map(AsRef::as_ref)
            .ok_or_else(|| Fault::DeviceGone.because("there is no such slot"))
    }
}

impl CardReader for VirtualReader {
    fn connect(&self, call: &Call, slot: Slot) -> Result<Card, DriverError> {
        self.slot(slot)?.connect(call)
    }

    fn transmit(
        &self,
        call: &Call,
        slot: Slot,
        connection: Connection,
        command: &[u8],
        response: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        self.slot(slot)?.transmit(call, connection, command, response)
    }

    fn disconnect(&self, _call: &Call, slot: Slot, connection: Connection) -> Result<(), DriverError> {
        self.slot(slot)?.disconnect(connection)
    }
}

impl PinPad for VirtualReader {
    fn enter_pin(
        &self,
        call: &Call,
        slot: Slot,
        request: &PinRequest<'_>,
        answer: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        match &self.pad {
            Some(pad) if pad.slot() == slot => pad.enter_pin(call, request, answer),
            _ => Err(Fault::DeviceGone.because("there is no such PIN pad")),
        }
    }
}

impl Drop for VirtualReader {
    fn drop(&mut self) {
        for slot in &self.slots {
            slot.power_off();
        }
        if let Some(life) = self.life.take() {
            life.end();
        }
    }
}

purser_plugin_api::export_driver!(VirtualReader);
