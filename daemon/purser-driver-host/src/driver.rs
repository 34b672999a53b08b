//! The driver's tables, checked against the contract before they are used.

#![allow(unsafe_code, reason = "reads tables that vendor code gave")]

use std::ffi::c_void;

use purser_driver_wire::limits::{NAME_MAX_BYTES, WIRE_VERSION};
use purser_driver_wire::{Abi, Hello, LoadFault, Text};
use purser_plugin_api::abi::{CardReader1, DriverEntry, PinPad1, values};

use crate::load::NotLoaded;

/// An id that no contract will ever have: a driver that answers it answers anything, also abilities that it has not.
const NO_ABILITY: &str = "purser.no-ability/0";

/// A driver whose tables keep the contract. The references are valid until the process ends (`[L-3]`).
#[derive(Clone, Copy)]
pub(crate) struct Driver {
    pub(crate) entry: &'static DriverEntry,
    pub(crate) card_reader: Option<&'static CardReader1>,
    pub(crate) pin_pad: Option<&'static PinPad1>,
}

impl Driver {
    /// Checks the entry table and asks for the abilities.
    ///
    /// SAFETY: `entry` must be what a driver's `purser_driver_entry` answered.
    ///
    /// # Errors
    /// [`NotLoaded`] names the broken rule.
    pub(crate) unsafe fn new(entry: *const DriverEntry) -> Result<Self, NotLoaded> {
        // SAFETY: the caller's promise: a table that starts with three numbers.
        let entry = unsafe { checked_entry(entry) }?;
        // SAFETY: only whether there is a table is looked at.
        if unsafe { find::<u32>(entry, NO_ABILITY) }.is_some() {
            return Err(broken(
                "[G-4] get_extension answers an id that no driver can know",
            ));
        }
        // SAFETY: the tables of these ids have these types.
        let card_reader = unsafe { find::<CardReader1>(entry, values::CARD_READER_1) };
        // SAFETY: as above.
        let pin_pad = unsafe { find::<PinPad1>(entry, values::PIN_PAD_1) };
        let driver = Self {
            entry,
            card_reader: sized(card_reader)?,
            pin_pad: sized(pin_pad)?,
        };
        let reader_is_whole = driver.card_reader.is_none_or(|table| {
            table.connect.is_some() && table.transmit.is_some() && table.disconnect.is_some()
        });
        if !reader_is_whole || driver.pin_pad.is_some_and(|table| table.enter_pin.is_none()) {
            return Err(broken("[G-4] an ability's table lacks a function"));
        }
        Ok(driver)
    }

    /// What the driver says about itself.
    ///
    /// # Errors
    /// [`NotLoaded`] for an id or version that breaks the contract.
    pub(crate) fn hello(&self) -> Result<Hello, NotLoaded> {
        // SAFETY: [L-3]: id and version are valid until the process ends.
        let id = unsafe { name(self.entry.id, self.entry.id_length) };
        // SAFETY: as above.
        let version = unsafe { name(self.entry.version, self.entry.version_length) };
        let is_id = |name: &&str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let is_version = |name: &&str| name.bytes().all(|byte| byte.is_ascii_graphic());
        let mut abilities = Vec::new();
        if self.card_reader.is_some() {
            abilities.push(Text::cut(values::CARD_READER_1));
        }
        if self.pin_pad.is_some() {
            abilities.push(Text::cut(values::PIN_PAD_1));
        }
        Ok(Hello {
            wire_version: WIRE_VERSION,
            driver_id: Text::cut(
                id.filter(is_id)
                    .ok_or_else(|| broken("[L-3] the id is not one"))?,
            ),
            driver_version: Text::cut(
                version
                    .filter(is_version)
                    .ok_or_else(|| broken("[L-3] the version is not one"))?,
            ),
            abi: Abi {
                major: self.entry.abi_major,
                minor: self.entry.abi_minor,
            },
            abilities,
        })
    }
}

fn broken(detail: &str) -> NotLoaded {
    NotLoaded::new(LoadFault::BadTable, detail)
}

/// SAFETY: `entry` must be null or a table that starts with struct_size, abi_major and abi_minor.
unsafe fn checked_entry(entry: *const DriverEntry) -> Result<&'static DriverEntry, NotLoaded> {
    if entry.is_null() || !entry.is_aligned() {
        return Err(broken("[L-3] purser_driver_entry answered no table"));
    }
    // SAFETY: the caller's promise.
    let struct_size = unsafe { (&raw const (*entry).struct_size).read() };
    // SAFETY: as above.
    let abi_major = unsafe { (&raw const (*entry).abi_major).read() };
    if abi_major != values::ABI_MAJOR {
        let detail = format!(
            "[G-3] the driver is for ABI {abi_major}, this release has {}",
            values::ABI_MAJOR
        );
        return Err(NotLoaded::new(LoadFault::Abi, &detail));
    }
    if !is_at_least::<DriverEntry>(struct_size) {
        return Err(broken("[G-2] the entry table is too short"));
    }
    // SAFETY: the table is as long as it says [G-2], and constant until the process ends [L-3].
    let entry = unsafe { &*entry };
    if entry.get_extension.is_none() || entry.create.is_none() || entry.destroy.is_none() {
        return Err(broken("[L-1] the entry table lacks a function"));
    }
    Ok(entry)
}

/// SAFETY: the driver's table for `id`, if there is one, must be a `T`, perhaps with fewer or more fields.
unsafe fn find<T>(entry: &DriverEntry, id: &str) -> Option<*const T> {
    let get_extension = entry.get_extension?;
    let id_length = u32::try_from(id.len()).expect("an id of this crate's own");
    // SAFETY: [L-2]: may be called at any time; the id is valid until it returns.
    let table: *const c_void = unsafe { get_extension(id.as_ptr(), id_length) };
    (!table.is_null()).then(|| table.cast::<T>())
}

fn sized<T>(table: Option<*const T>) -> Result<Option<&'static T>, NotLoaded> {
    let Some(table) = table else { return Ok(None) };
    if !table.is_aligned() {
        return Err(broken("[G-4] an ability's table is not aligned"));
    }
    // SAFETY: the contract's tables start with a u32 of their size [G-2].
    let size = unsafe { table.cast::<u32>().read() };
    if !is_at_least::<T>(size) {
        return Err(broken("[G-2] an ability's table is too short"));
    }
    // SAFETY: the table is as long as it says, and constant until the process ends [L-3].
    Ok(Some(unsafe { &*table }))
}

fn is_at_least<T>(struct_size: u32) -> bool {
    usize::try_from(struct_size).is_ok_and(|size| size >= size_of::<T>())
}

/// SAFETY: `text` must be null or point at `length` bytes that are valid until the process ends.
unsafe fn name(text: *const u8, length: u32) -> Option<&'static str> {
    let length = usize::try_from(length).ok()?;
    if text.is_null() || length == 0 || length > NAME_MAX_BYTES {
        return None;
    }
    // SAFETY: the caller's promise.
    std::str::from_utf8(unsafe { std::slice::from_raw_parts(text, length) }).ok()
}
