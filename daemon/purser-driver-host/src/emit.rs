//! What the driver calls: `emit` and `log`, from any thread (`[T-3]`).

#![allow(unsafe_code, reason = "reads what vendor code passes")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use purser_driver_wire::limits::{LOG_MAX_BYTES, NAME_MAX_BYTES, PIN_MAX_DIGITS};
use purser_driver_wire::{Classes, Device, DeviceEvent, Interfaces, LogLevel, Quota, SlotId, Text, ToDaemon};
use purser_plugin_api::abi::{Event, Host, result, struct_size, values};

use crate::link::Outbox;

/// What `emit` and `log` need; set once before the driver is made.
struct Way {
    outbox: &'static Outbox,
    started: Instant,
    quota: Mutex<Quota>,
}

impl Way {
    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_dropped(&self, count: u32) {
        if count > 0 {
            self.outbox.send(&ToDaemon::LogsDropped { count });
        }
    }
}

/// Tells how many lines were dropped since that was last told, where no line tells it.
pub(crate) fn tell_dropped() {
    if let Some(way) = WAY.get() {
        let dropped = way.quota().take_refused();
        way.tell_dropped(dropped);
    }
}

/// Broken rules of calls that the daemon was not told yet.
static BREACHES: AtomicU32 = AtomicU32::new(0);

/// Notes that a call broke a rule; its answer says which.
pub(crate) fn note_breach() {
    BREACHES.fetch_add(1, Ordering::Relaxed);
}

/// Tells how many rules the calls broke since that was last told. Behind the answer, which says which.
pub(crate) fn tell_breaches() {
    let count = BREACHES.swap(0, Ordering::Relaxed);
    if let Some(way) = WAY.get().filter(|_| count > 0) {
        way.outbox.send(&ToDaemon::Breaches { count });
    }
}

static WAY: OnceLock<Way> = OnceLock::new();

static HOST: Host = Host {
    struct_size: struct_size::<Host>(),
    abi_major: values::ABI_MAJOR,
    abi_minor: values::ABI_MINOR,
    reserved: 0,
    emit,
    log,
};

/// The table that a driver is given.
pub(crate) fn host(outbox: &'static Outbox) -> *const Host {
    WAY.get_or_init(|| Way {
        outbox,
        started: Instant::now(),
        quota: Mutex::new(Quota::log_lines()),
    });
    &raw const HOST
}

unsafe extern "C" fn emit(_host: *const Host, event: *const Event) -> i32 {
    let Some(way) = WAY.get() else {
        return result::BAD_ARGUMENT;
    };
    // SAFETY: [M-1]: null or an event that is valid until this returns.
    match unsafe { read_event(event) } {
        Some(event) => {
            way.outbox.send(&ToDaemon::Event(event));
            result::OK
        }
        None => {
            way.outbox.send(&ToDaemon::Breaches { count: 1 });
            result::BAD_ARGUMENT
        }
    }
}

unsafe extern "C" fn log(_host: *const Host, level: u32, text: *const u8, length: u32) {
    let Some(way) = WAY.get() else { return };
    // SAFETY: [M-1]: null or a text that is valid until this returns.
    let Some(text) = (unsafe { read_bytes(text, length, LOG_MAX_BYTES) }) else {
        return;
    };
    let elapsed = way.started.elapsed();
    let Some(dropped) = way.quota().take(elapsed) else {
        return;
    };
    way.tell_dropped(dropped);
    let level = match level {
        values::LOG_ERROR => LogLevel::Error,
        values::LOG_WARN => LogLevel::Warn,
        values::LOG_INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    way.outbox.send(&ToDaemon::Log {
        level,
        text: Text::cut(&String::from_utf8_lossy(text)),
    });
}

/// SAFETY: `event` must be null or an event as the header has it.
unsafe fn read_event(event: *const Event) -> Option<DeviceEvent> {
    // SAFETY: the caller's promise.
    let event = unsafe { event.as_ref() }?;
    if !usize::try_from(event.struct_size).is_ok_and(|size| size >= size_of::<Event>()) {
        return None;
    }
    let slot = SlotId(event.slot);
    match event.kind {
        values::EVENT_DEVICE_ARRIVED => {
            // SAFETY: the caller's promise.
            let name = unsafe { read_bytes(event.name, event.name_length, NAME_MAX_BYTES) }?;
            let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
            let has = |set: u32, bit: u32| set & bit != 0;
            Some(DeviceEvent::DeviceArrived(Device {
                slot,
                name: Text::cut(name),
                classes: Classes {
                    card_reader: has(event.classes, values::CLASS_CARD_READER),
                    pin_pad: has(event.classes, values::CLASS_PIN_PAD),
                },
                interfaces: Interfaces {
                    contact: has(event.interfaces, values::INTERFACE_CONTACT),
                    contactless: has(event.interfaces, values::INTERFACE_CONTACTLESS),
                },
            }))
        }
        values::EVENT_DEVICE_LEFT => Some(DeviceEvent::DeviceLeft(slot)),
        values::EVENT_CARD_INSERTED => Some(DeviceEvent::CardInserted(slot)),
        values::EVENT_CARD_REMOVED => Some(DeviceEvent::CardRemoved(slot)),
        values::EVENT_PIN_DIGITS => {
            let digits = u8::try_from(event.pin_digits).ok()?;
            (usize::from(digits) <= PIN_MAX_DIGITS).then_some(DeviceEvent::PinDigits { slot, digits })
        }
        _ => None,
    }
}

/// The bytes, cut to `bytes_max`.
///
/// SAFETY: `bytes` must be null or point at `length` bytes that are valid for `'a`.
unsafe fn read_bytes<'a>(bytes: *const u8, length: u32, bytes_max: usize) -> Option<&'a [u8]> {
    let length = usize::try_from(length).ok()?.min(bytes_max);
    if bytes.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(bytes, length) })
}
