//! What a driver may tell Purser: events `[E]` and log lines.

use std::fmt;

use crate::abi::{self, limits, values};

/// One device of an instance, by the number that the driver gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// What a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads cards.
    CardReader,
    /// Takes PINs.
    PinPad,
}

/// How a card reader reaches cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Cards in contact.
    Contact,
    /// Cards in the field.
    Contactless,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// A fault that needs a person.
    Error,
    /// Something that may need a person.
    Warn,
    /// Something worth knowing.
    Info,
    /// For the driver's author.
    Debug,
}

/// A device that arrived `[E-1]`.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    /// Its number, unique among the present devices.
    pub slot: Slot,
    /// Its name, the same over restarts; 1 to 64 bytes, cut if longer.
    pub name: &'a str,
    /// What it can do.
    pub classes: &'a [Class],
    /// How it reaches cards; empty for a device that reads none.
    pub interfaces: &'a [Interface],
}

/// The way back to Purser; may be copied and used from any thread `[T-3]`.
#[derive(Clone, Copy)]
pub struct Host {
    raw: Option<&'static abi::Host>,
}

impl Host {
    /// A host that hears nothing; for a driver's own tests.
    pub fn deaf() -> Self {
        Self { raw: None }
    }

    /// SAFETY: `raw` must be null or the host's table as `[T-3]` has it, valid until the process ends.
    pub(super) unsafe fn from_raw(raw: *const abi::Host) -> Self {
        // SAFETY: the caller's promise.
        Self {
            raw: unsafe { raw.as_ref() },
        }
    }

    /// Announces a device.
    pub fn device_arrived(&self, device: &Device<'_>) {
        let name = cut(device.name, limits::NAME_MAX_BYTES);
        let mut event = event(values::EVENT_DEVICE_ARRIVED, device.slot);
        event.classes = device
            .classes
            .iter()
            .fold(0, |set, class| set | class_bit(*class));
        event.interfaces = device
            .interfaces
            .iter()
            .fold(0, |set, interface| set | interface_bit(*interface));
        event.name = name.as_ptr();
        event.name_length = length(name);
        self.emit(&event);
    }

    /// Ends a device's slot `[E-2]`.
    pub fn device_left(&self, slot: Slot) {
        self.emit(&event(values::EVENT_DEVICE_LEFT, slot));
    }

    /// Tells that a card came `[E-3]`.
    pub fn card_inserted(&self, slot: Slot) {
        self.emit(&event(values::EVENT_CARD_INSERTED, slot));
    }

    /// Tells that the card left `[E-3]`.
    pub fn card_removed(&self, slot: Slot) {
        self.emit(&event(values::EVENT_CARD_REMOVED, slot));
    }

    /// Tells how many digits stand on the PIN pad's display `[E-4]`.
    pub fn pin_digits(&self, slot: Slot, digits: u32) {
        let mut event = event(values::EVENT_PIN_DIGITS, slot);
        event.pin_digits = digits;
        self.emit(&event);
    }

    /// Writes a line to Purser's log. Never put secrets into it `[G-7]`.
    pub fn log(&self, level: LogLevel, text: &str) {
        let level = match level {
            LogLevel::Error => values::LOG_ERROR,
            LogLevel::Warn => values::LOG_WARN,
            LogLevel::Info => values::LOG_INFO,
            LogLevel::Debug => values::LOG_DEBUG,
        };
        let text = cut(text, limits::LOG_MAX_BYTES);
        if let Some(raw) = self.raw {
            // SAFETY: [T-3]: any thread may call it; `text` is valid until it returns [M-1].
            unsafe { (raw.log)(raw, level, text.as_ptr(), length(text)) };
        }
    }

    fn emit(&self, event: &abi::Event) {
        if let Some(raw) = self.raw {
            // SAFETY: [T-3]: any thread may call it; the event and its name are valid until it returns [M-1].
            // Its answer says only that the host counted a broken rule, which a driver cannot mend.
            let _ = unsafe { (raw.emit)(raw, event) };
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

fn event(kind: u32, slot: Slot) -> abi::Event {
    abi::Event {
        struct_size: abi::struct_size::<abi::Event>(),
        kind,
        slot: slot.0,
        pin_digits: 0,
        classes: 0,
        interfaces: 0,
        name_length: 0,
        reserved: 0,
        name: std::ptr::null(),
    }
}

fn class_bit(class: Class) -> u32 {
    match class {
        Class::CardReader => values::CLASS_CARD_READER,
        Class::PinPad => values::CLASS_PIN_PAD,
    }
}

fn interface_bit(interface: Interface) -> u32 {
    match interface {
        Interface::Contact => values::INTERFACE_CONTACT,
        Interface::Contactless => values::INTERFACE_CONTACTLESS,
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).expect("a text that was cut to a limit below u32::MAX")
}
