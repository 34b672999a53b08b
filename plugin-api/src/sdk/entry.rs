//! The entry table of a Rust driver, and the macro that exports it.

use std::ffi::c_void;

use super::guard::{answer, bytes, instance};
use super::{Call, CallNumber, CardReader, Driver, Fault, Host, PinPad, card_reader, pin_pad};
use crate::abi::{self, result, struct_size, values};

/// One ability that a driver offers: an id and the table behind it `[G-4]`.
#[derive(Debug)]
pub struct Ability {
    id: &'static str,
    table: *const c_void,
}

// SAFETY: the pointer leads to a table that is never written.
unsafe impl Send for Ability {}
// SAFETY: as above.
unsafe impl Sync for Ability {}

impl Ability {
    /// `purser.card-reader/1`.
    pub const fn card_reader<T: CardReader>() -> Self {
        Self {
            id: values::CARD_READER_1,
            table: std::ptr::from_ref(card_reader::Table::<T>::TABLE).cast::<c_void>(),
        }
    }

    /// `purser.pin-pad/1`.
    pub const fn pin_pad<T: PinPad>() -> Self {
        Self {
            id: values::PIN_PAD_1,
            table: std::ptr::from_ref(pin_pad::Table::<T>::TABLE).cast::<c_void>(),
        }
    }
}

/// What [`export_driver!`](crate::export_driver) exports.
#[repr(transparent)]
#[derive(Debug)]
pub struct EntryTable(abi::DriverEntry);

// SAFETY: the table is never written, and its pointers lead to constants.
unsafe impl Sync for EntryTable {}

impl EntryTable {
    /// The table of one driver.
    pub const fn new<T: Driver>() -> Self {
        Self(abi::DriverEntry {
            struct_size: struct_size::<abi::DriverEntry>(),
            abi_major: values::ABI_MAJOR,
            abi_minor: values::ABI_MINOR,
            reserved: 0,
            id: T::ID.as_ptr(),
            version: T::VERSION.as_ptr(),
            id_length: name_length(T::ID),
            version_length: name_length(T::VERSION),
            get_extension: Some(get_extension::<T>),
            create: Some(create::<T>),
            destroy: Some(destroy::<T>),
            cancel: Some(cancel::<T>),
        })
    }

    /// What the exported symbol answers.
    pub const fn as_ptr(&'static self) -> *const abi::DriverEntry {
        std::ptr::from_ref(&self.0)
    }
}

/// Exports a [`Driver`](crate::sdk::Driver) as the shared object's one symbol. Use it once, in a crate of type `cdylib`.
///
/// ```
/// use purser_plugin_api::sdk::{Ability, Call, Driver, DriverError, Host};
///
/// struct Nothing;
///
/// impl Driver for Nothing {
///     const ID: &'static str = "nothing";
///     const VERSION: &'static str = "1.0.0";
///     const ABILITIES: &'static [Ability] = &[];
///
///     fn create(_host: Host, _settings: &str, _call: &Call) -> Result<Self, DriverError> {
///         Ok(Self)
///     }
/// }
///
/// purser_plugin_api::export_driver!(Nothing);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_driver {
    ($driver:ty) => {
        const _: () = {
            static ENTRY: $crate::sdk::EntryTable = $crate::sdk::EntryTable::new::<$driver>();

            #[allow(unsafe_code, reason = "the one exported symbol of the driver contract")]
            #[unsafe(no_mangle)]
            extern "C" fn purser_driver_entry() -> *const $crate::abi::DriverEntry {
                ENTRY.as_ptr()
            }
        };
    };
}

unsafe extern "C" fn get_extension<T: Driver>(id: *const u8, id_length: u32) -> *const c_void {
    // SAFETY: the host passes an id that is valid until the call returns [M-1].
    let Ok(id) = (unsafe { bytes(id, id_length) }) else {
        return std::ptr::null();
    };
    let found = T::ABILITIES.iter().find(|ability| ability.id.as_bytes() == id);
    found.map_or(std::ptr::null(), |ability| ability.table)
}

unsafe extern "C" fn create<T: Driver>(
    host: *const abi::Host,
    call: *const abi::Call,
    settings: *const u8,
    settings_length: u32,
    out: *mut *mut abi::Instance,
) -> i32 {
    let run = |call: &Call| {
        // SAFETY: the host's table is valid until the process ends.
        let host = unsafe { Host::from_raw(host) };
        // SAFETY: [M-1].
        let settings = unsafe { bytes(settings, settings_length) }?;
        let settings =
            std::str::from_utf8(settings).map_err(|_| Fault::BadArgument.because("settings are UTF-8"))?;
        let made = T::create(host, settings, call)?;
        // SAFETY: the host passes a place of its own, or null.
        let out =
            unsafe { out.as_mut() }.ok_or_else(|| Fault::BadArgument.because("no place for the instance"))?;
        *out = Box::into_raw(Box::new(made)).cast::<abi::Instance>();
        Ok(())
    };
    // SAFETY: the host passes a call as the header has it.
    unsafe { answer(call, run) }
}

unsafe extern "C" fn destroy<T: Driver>(driver: *mut abi::Instance, call: *const abi::Call) -> i32 {
    let run = |_: &Call| {
        if !driver.is_null() {
            // SAFETY: create made it from a Box<T>; the host passes it here once and never again [L-1].
            drop(unsafe { Box::from_raw(driver.cast::<T>()) });
        }
        Ok(())
    };
    // SAFETY: the host passes a call as the header has it.
    unsafe { answer(call, run) }
}

unsafe extern "C" fn cancel<T: Driver>(driver: *mut abi::Instance, call_number: u64) -> i32 {
    let run = || {
        // SAFETY: the host passes what create made, and not after destroy.
        if let Ok(driver) = unsafe { instance::<T>(driver) } {
            driver.cancel(CallNumber::new(call_number));
        }
    };
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(()) => result::OK,
        Err(_) => result::INTERNAL,
    }
}

#[allow(
    clippy::as_conversions,
    reason = "TryFrom is not const; the assertion keeps the value exact"
)]
const fn name_length(name: &str) -> u32 {
    assert!(
        !name.is_empty() && name.len() <= abi::limits::NAME_MAX_BYTES,
        "1 to 64 bytes"
    );
    name.len() as u32
}
