//! The place in the recording.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use purser_driver_recording::{Answer, Call, DeviceState, Masker, What, lines};
use purser_driver_wire::{ConnectionNumber, DeviceEvent, Fault as WireFault, SlotId};
use purser_plugin_api::sdk::{
    Class, Connection, Device, DriverError, Fault, Host, Interface, LogLevel, Slot,
};

/// Longest recording that is played, in bytes: what Purser records at most, and room.
const RECORDING_BYTES_MAX: u64 = 32 << 20;

/// The next connection number of this process `[C-2]`.
static NEXT_CONNECTION: AtomicU32 = AtomicU32::new(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Play {
    left: VecDeque<What>,
    pub(crate) masker: Masker,
    /// The recording's number of each connection that lives.
    connections: BTreeMap<u32, ConnectionNumber>,
    present: Vec<SlotId>,
}

impl Play {
    /// Reads a recording.
    pub(crate) fn load(path: &Path) -> Result<Self, DriverError> {
        let bad = |text: String| Fault::BadArgument.because(format!("{}: {text}", path.display()));
        let found = fs::metadata(path).map_err(|error| bad(error.to_string()))?;
        if found.len() > RECORDING_BYTES_MAX {
            return Err(bad("this is too long for a recording".to_owned()));
        }
        let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        let (entries, _) = lines(&text).map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            left: entries.into_iter().map(|entry| entry.what).collect(),
            masker: Masker::default(),
            connections: BTreeMap::new(),
            present: Vec::new(),
        })
    }

    /// Tells what happened before the next call.
    pub(crate) fn tell_events(&mut self, host: &Host) {
        while let Some(what) = self.left.pop_front_if(|what| !matches!(what, What::Call { .. })) {
            self.tell(host, what);
        }
    }

    /// The recorded answer, if this is the next recorded call. What happened before the call after it is told too.
    ///
    /// # Errors
    /// The words for another call; the recording stays where it is.
    pub(crate) fn answer_to(&mut self, call: &Call, host: &Host) -> Result<Answer, &'static str> {
        let id = match self.left.front() {
            Some(What::Call {
                id, call: recorded, ..
            }) if recorded == call => *id,
            Some(_) => return Err("the recording has another call here"),
            None => return Err("the recording has ended"),
        };
        self.left.pop_front();
        let mut answered = None;
        while let Some(what) = self.left.pop_front_if(|what| !matches!(what, What::Call { .. })) {
            match what {
                What::Answer { id: of, answer } if of == id => answered = Some(answer),
                other => self.tell(host, other),
            }
        }
        // The driver died in the middle.
        Ok(answered.unwrap_or(Answer::Failed {
            fault: match call {
                Call::Transmit { .. } => WireFault::OutcomeUnknown,
                Call::Connect { .. } | Call::Disconnect { .. } | Call::EnterPin { .. } => {
                    WireFault::DeviceGone
                }
            },
        }))
    }

    /// A number for a connection that the recording knows by this one.
    pub(crate) fn begin_connection(&mut self, recorded: ConnectionNumber) -> Connection {
        let number = NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed);
        self.connections.insert(number, recorded);
        Connection(number)
    }

    /// The recording's number of a connection `[C-5]`.
    pub(crate) fn recorded(&self, connection: Connection) -> Result<ConnectionNumber, DriverError> {
        let recorded = self.connections.get(&connection.0).copied();
        recorded.ok_or_else(|| Fault::CardChanged.into())
    }

    pub(crate) fn end_connection(&mut self, connection: Connection) {
        self.connections.remove(&connection.0);
    }

    fn tell(&mut self, host: &Host, what: What) {
        match what {
            What::Ready(ready) => {
                self.all_leave(host);
                for state in ready.devices {
                    self.arrive(host, &state);
                }
            }
            What::Event(event) => self.tell_event(host, event),
            What::Down {} => self.all_leave(host),
            What::Gap { .. } => host.log(
                LogLevel::Warn,
                "lines are missing in the recording; what follows may not fit",
            ),
            What::Call { .. } | What::Cancel { .. } | What::Answer { .. } | What::Full {} => {}
        }
    }

    fn tell_event(&mut self, host: &Host, event: DeviceEvent) {
        match event {
            DeviceEvent::DeviceArrived(device) => self.arrive(
                host,
                &DeviceState {
                    device,
                    has_card: false,
                },
            ),
            DeviceEvent::DeviceLeft(slot) => {
                self.present.retain(|present| *present != slot);
                host.device_left(Slot(slot.0));
            }
            DeviceEvent::CardInserted(slot) => host.card_inserted(Slot(slot.0)),
            DeviceEvent::CardRemoved(slot) => host.card_removed(Slot(slot.0)),
            // No recording has it: how many digits were typed is the length of the PIN.
            DeviceEvent::PinDigits { .. } => {}
        }
    }

    fn arrive(&mut self, host: &Host, DeviceState { device, has_card }: &DeviceState) {
        let classes = [
            device.classes.card_reader.then_some(Class::CardReader),
            device.classes.pin_pad.then_some(Class::PinPad),
        ];
        let interfaces = [
            device.interfaces.contact.then_some(Interface::Contact),
            device.interfaces.contactless.then_some(Interface::Contactless),
        ];
        let slot = Slot(device.slot.0);
        host.device_arrived(&Device {
            slot,
            name: device.name.as_str(),
            classes: &classes.into_iter().flatten().collect::<Vec<_>>(),
            interfaces: &interfaces.into_iter().flatten().collect::<Vec<_>>(),
        });
        self.present.push(device.slot);
        if *has_card {
            host.card_inserted(slot);
        }
    }

    fn all_leave(&mut self, host: &Host) {
        for slot in std::mem::take(&mut self.present) {
            host.device_left(Slot(slot.0));
        }
        self.connections.clear();
    }
}
