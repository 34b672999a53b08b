//! The driver under test, and what it tells.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use purser_pcsc::{Listener, Pcsc};
use purser_plugin_api::abi::limits::RESPONSE_MAX_BYTES;
use purser_plugin_api::sdk::{
    Call, CallNumber, Card, CardReader, Connection, Device, DriverError, Interface, LogLevel, Output, Slot,
};

use super::PATIENCE;

/// One thing that the driver told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Arrived(Slot, String, Vec<Interface>),
    Left(Slot),
    Inserted(Slot),
    Removed(Slot),
}

/// Hears the driver.
#[derive(Default)]
pub(crate) struct Ear {
    told: Mutex<VecDeque<Told>>,
    log: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Listener for Ear {
    fn device_arrived(&self, device: &Device<'_>) {
        self.hear(Told::Arrived(
            device.slot,
            device.name.to_owned(),
            device.interfaces.to_vec(),
        ));
    }

    fn device_left(&self, slot: Slot) {
        self.hear(Told::Left(slot));
    }

    fn card_inserted(&self, slot: Slot) {
        self.hear(Told::Inserted(slot));
    }

    fn card_removed(&self, slot: Slot) {
        self.hear(Told::Removed(slot));
    }

    fn log(&self, _level: LogLevel, text: &str) {
        self.log.lock().expect("no panic").push(text.to_owned());
    }
}

impl Ear {
    fn hear(&self, told: Told) {
        self.told.lock().expect("no panic").push_back(told);
        self.changed.notify_all();
    }
}

/// The driver and its ear.
pub(crate) struct Bench {
    pub(crate) driver: Pcsc,
    ear: Arc<Ear>,
    calls: AtomicU64,
}

impl Bench {
    /// A driver that takes the first reader only, which has arrived.
    pub(crate) fn with_first_reader() -> (Self, Slot) {
        let bench = Self::open("readers = [\"Virtual PCD 00 00\"]");
        let slot = bench.arrival();
        (bench, slot)
    }

    /// A driver with these settings.
    pub(crate) fn open(settings: &str) -> Self {
        let ear = Arc::new(Ear::default());
        let call = Call::new(CallNumber::new(0), PATIENCE);
        let listener: Arc<dyn Listener> = Arc::<Ear>::clone(&ear);
        let driver = Pcsc::open(listener, settings, &call).expect("the settings are right");
        Self {
            driver,
            ear,
            calls: AtomicU64::new(1),
        }
    }

    /// What the driver told, in its order; waits for it.
    pub(crate) fn next(&self) -> Told {
        let told = self.ear.told.lock().expect("no panic");
        let waited = self
            .ear
            .changed
            .wait_timeout_while(told, PATIENCE, |told| told.is_empty());
        let (mut told, _) = waited.expect("no panic");
        assert!(!told.is_empty(), "nothing was told; log: {:?}", self.log());
        told.pop_front().expect("not empty")
    }

    /// What the driver has told and nobody has asked for.
    pub(crate) fn told_already(&self) -> Vec<Told> {
        self.ear.told.lock().expect("no panic").drain(..).collect()
    }

    /// Waits for the arrival of a reader, past what else is told.
    pub(crate) fn arrival(&self) -> Slot {
        loop {
            if let Told::Arrived(slot, _, _) = self.next() {
                return slot;
            }
        }
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.ear.log.lock().expect("no panic").clone()
    }

    /// A call with plenty of time.
    pub(crate) fn call(&self) -> Call {
        self.call_within(PATIENCE)
    }

    pub(crate) fn call_within(&self, time: Duration) -> Call {
        Call::new(CallNumber::new(self.calls.fetch_add(1, Ordering::SeqCst)), time)
    }

    pub(crate) fn connect(&self, slot: Slot) -> Result<Card, DriverError> {
        self.driver.connect(&self.call(), slot)
    }

    /// Connects to a card that was told of.
    pub(crate) fn connected(&self, slot: Slot) -> Card {
        assert_eq!(self.next(), Told::Inserted(slot));
        self.connect(slot).expect("a card that was told of")
    }

    pub(crate) fn transmit(
        &self,
        slot: Slot,
        connection: Connection,
        command: &[u8],
    ) -> Result<Vec<u8>, DriverError> {
        let mut memory = vec![0; RESPONSE_MAX_BYTES];
        let mut response = Output::new(&mut memory);
        self.driver
            .transmit(&self.call(), slot, connection, command, &mut response)?;
        Ok(response.filled().to_vec())
    }

    pub(crate) fn disconnect(&self, slot: Slot, connection: Connection) -> Result<(), DriverError> {
        self.driver.disconnect(&self.call(), slot, connection)
    }
}
