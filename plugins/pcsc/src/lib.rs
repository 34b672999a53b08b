//! A card reader driver for every reader that pcscd (PC/SC) knows, contact and contactless.
//!
//! ```text
//!   Purser's calls ──▶ Reader::connect ──▶ connector thread ── SCardConnect ──┐
//!                      Reader::transmit ───────────────── SCardTransmit ──────┼──▶ pcscd ──▶ reader ──▶ card
//!   Purser's events ◀─ watch thread ◀──────────── SCardGetStatusChange ───────┘
//! ```
//!
//! Threads and the library's blocking calls:
//!
//! * The *watch* thread alone waits for readers and cards ([`SCardGetStatusChange`][pcsc::Context::get_status_change])
//!   and alone emits events. It is woken by pcscd, and by `SCardCancel` when the driver ends.
//! * `SCardConnect` waits inside pcscd for as long as another program has the card locked, and nothing can wake it. So
//!   each connect runs in a *connector* thread: the call answers in time or when it is cancelled, and what such a
//!   thread opens too late is powered off at once.
//! * `SCardTransmit` and `SCardDisconnect` run in the calling thread. A command is never given up `[L-5]`: where a
//!   reader does not answer before the deadline, Purser ends the process, and pcscd resets the card of a client that
//!   died while it held it.
//!
//! Each connection has a PC/SC context of its own: contexts run their calls one after the other.

mod connector;
mod fault;
mod holder;
mod naming;
mod pattern;
mod reader;
mod readers;
mod settings;
mod watch;

use std::fmt;
use std::sync::Arc;

use purser_plugin_api::sdk::{
    Ability, Call, CallNumber, Card, CardReader, Connection, Device, Driver, DriverError, Host, LogLevel,
    Output, Slot,
};

use readers::Readers;
use settings::Settings;
use watch::Watch;

pub use settings::fuzz;

/// Who hears what the driver tells: Purser's [`Host`], or a test.
pub trait Listener: Send + Sync + 'static {
    /// A reader arrived.
    fn device_arrived(&self, device: &Device<'_>);
    /// A reader left.
    fn device_left(&self, slot: Slot);
    /// A card came.
    fn card_inserted(&self, slot: Slot);
    /// The card left.
    fn card_removed(&self, slot: Slot);
    /// A line for the log.
    fn log(&self, level: LogLevel, text: &str);
}

/// The driver.
pub struct Pcsc {
    readers: Arc<Readers>,
    watch: Watch,
}

impl Pcsc {
    /// Makes the driver and waits for the first look at the readers, as far as `call` has time; see
    /// [`Driver::create`].
    ///
    /// # Errors
    /// [`Fault::BadArgument`](purser_plugin_api::sdk::Fault::BadArgument) for settings that cannot be used. A pcscd that
    /// does not run is no error: readers arrive when it does.
    pub fn open(listener: Arc<dyn Listener>, settings: &str, call: &Call) -> Result<Self, DriverError> {
        let settings = Settings::parse(settings)?;
        let readers = Arc::new(Readers::default());
        let watch = Watch::start(listener, settings, Arc::clone(&readers))?;
        watch.first_look(call);
        Ok(Self { readers, watch })
    }
}

impl Driver for Pcsc {
    const ID: &'static str = "pcsc";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABILITIES: &'static [Ability] = &[Ability::card_reader::<Self>()];

    fn create(host: Host, settings: &str, call: &Call) -> Result<Self, DriverError> {
        Self::open(Arc::new(host), settings, call)
    }

    fn cancel(&self, call: CallNumber) {
        self.readers.cancel(call);
    }
}

impl CardReader for Pcsc {
    fn connect(&self, call: &Call, slot: Slot) -> Result<Card, DriverError> {
        self.readers.find(slot)?.connect(call)
    }

    fn transmit(
        &self,
        call: &Call,
        slot: Slot,
        connection: Connection,
        command: &[u8],
        response: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        self.readers
            .find(slot)?
            .transmit(call, connection, command, response)
    }

    fn disconnect(&self, _call: &Call, slot: Slot, connection: Connection) -> Result<(), DriverError> {
        self.readers.find(slot)?.disconnect(connection)
    }
}

impl Drop for Pcsc {
    fn drop(&mut self) {
        self.readers.power_off();
        self.watch.end();
    }
}

impl fmt::Debug for Pcsc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pcsc")
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

impl Listener for Host {
    fn device_arrived(&self, device: &Device<'_>) {
        Host::device_arrived(self, device);
    }

    fn device_left(&self, slot: Slot) {
        Host::device_left(self, slot);
    }

    fn card_inserted(&self, slot: Slot) {
        Host::card_inserted(self, slot);
    }

    fn card_removed(&self, slot: Slot) {
        Host::card_removed(self, slot);
    }

    fn log(&self, level: LogLevel, text: &str) {
        Host::log(self, level, text);
    }
}

purser_plugin_api::export_driver!(Pcsc);
