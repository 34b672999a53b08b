//! The Rust mirror of `purser/driver.h`, ABI 1.0. Names, order and types are the header's; so are the meanings.

mod layout;
pub mod limits;
pub mod result;
pub mod values;

use std::ffi::c_void;

pub use layout::{FieldLayout, LAYOUT, StructLayout};

/// What a struct of the contract says as its `struct_size`.
#[allow(
    clippy::as_conversions,
    reason = "TryFrom is not const; the assertion keeps the value exact"
)]
pub const fn struct_size<T>() -> u32 {
    assert!(size_of::<T>() <= 1024);
    size_of::<T>() as u32
}

/// `struct purser_instance`: one running instance, opaque to the driver host.
#[repr(C)]
pub struct Instance {
    _opaque: [u8; 0],
}

/// `struct purser_buffer` `[M-2]`.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    /// Where the callee writes.
    pub data: *mut u8,
    /// How much it may write, in bytes.
    pub capacity: u32,
    /// How much it wrote, in bytes.
    pub length: u32,
}

/// `struct purser_call`.
#[repr(C)]
#[derive(Debug)]
pub struct Call {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// Time that the driver has, in milliseconds from the call on, never 0 `[T-4]`.
    pub deadline_ms: u32,
    /// Names this call for `cancel`.
    pub number: u64,
    /// One sentence for the operator `[R-3]`.
    pub detail: *mut Buffer,
}

/// `struct purser_event` `[E]`.
#[repr(C)]
#[derive(Debug)]
pub struct Event {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// One of the `EVENT_*` values.
    pub kind: u32,
    /// The device.
    pub slot: u32,
    /// Digits on the PIN pad's display.
    pub pin_digits: u32,
    /// Set of `CLASS_*` values.
    pub classes: u32,
    /// Set of `INTERFACE_*` values.
    pub interfaces: u32,
    /// Length of `name`, in bytes.
    pub name_length: u32,
    /// 0.
    pub reserved: u32,
    /// The device's stable name, UTF-8.
    pub name: *const u8,
}

/// `struct purser_host`: what the driver may call.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// The driver host's ABI major version.
    pub abi_major: u32,
    /// The driver host's ABI minor version.
    pub abi_minor: u32,
    /// 0.
    pub reserved: u32,
    /// Reports one event.
    pub emit: unsafe extern "C" fn(host: *const Host, event: *const Event) -> i32,
    /// Writes one line to the log.
    pub log: unsafe extern "C" fn(host: *const Host, level: u32, text: *const u8, length: u32),
}

/// `struct purser_driver_entry` `[L]`.
#[repr(C)]
#[derive(Debug)]
pub struct DriverEntry {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// ABI major version that the driver was compiled for.
    pub abi_major: u32,
    /// ABI minor version that the driver was compiled for.
    pub abi_minor: u32,
    /// 0.
    pub reserved: u32,
    /// The driver's id.
    pub id: *const u8,
    /// The driver's version.
    pub version: *const u8,
    /// Length of `id`, in bytes.
    pub id_length: u32,
    /// Length of `version`, in bytes.
    pub version_length: u32,
    /// Finds an ability's table `[G-4]`.
    pub get_extension: Option<unsafe extern "C" fn(id: *const u8, id_length: u32) -> *const c_void>,
    /// Makes the instance.
    pub create: Option<
        unsafe extern "C" fn(
            host: *const Host,
            call: *const Call,
            settings: *const u8,
            settings_length: u32,
            instance: *mut *mut Instance,
        ) -> i32,
    >,
    /// Ends the instance.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance, call: *const Call) -> i32>,
    /// Asks a waiting call to end `[L-5]`.
    pub cancel: Option<unsafe extern "C" fn(instance: *mut Instance, call_number: u64) -> i32>,
}

/// The type of the one exported symbol, [`values::ENTRY_SYMBOL`].
pub type EntryFunction = unsafe extern "C" fn() -> *const DriverEntry;

/// `struct purser_card`.
#[repr(C)]
#[derive(Debug)]
pub struct Card {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// The connection's number `[C-2]`.
    pub connection: u32,
    /// One of the `PROTOCOL_*` values.
    pub protocol: u32,
    /// 1 for a card in the field, 0 for one in contact.
    pub contactless: u32,
    /// Length of the ATR, in bytes.
    pub atr_length: u32,
    /// The answer to reset.
    pub atr: [u8; limits::ATR_MAX_BYTES],
    /// 0.
    pub reserved: [u8; 3],
}

/// `struct purser_card_reader_1` `[C]`.
#[repr(C)]
#[derive(Debug)]
pub struct CardReader1 {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Powers the card and takes exclusive access.
    pub connect: Option<
        unsafe extern "C" fn(instance: *mut Instance, call: *const Call, slot: u32, card: *mut Card) -> i32,
    >,
    /// Sends one command and waits for its one response.
    pub transmit: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            call: *const Call,
            slot: u32,
            connection: u32,
            command: *const u8,
            command_length: u32,
            response: *mut Buffer,
        ) -> i32,
    >,
    /// Powers the card off and gives up exclusive access.
    pub disconnect: Option<
        unsafe extern "C" fn(instance: *mut Instance, call: *const Call, slot: u32, connection: u32) -> i32,
    >,
}

/// `struct purser_pin_request`.
#[repr(C)]
pub struct PinRequest {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// One of the `PIN_FORMAT_*` values.
    pub format: u32,
    /// Fewest digits.
    pub digits_min: u32,
    /// Most digits.
    pub digits_max: u32,
    /// What the buyer is to pay, in minor units.
    pub amount_minor: u64,
    /// ISO 4217 letters and a zero byte; all zero when no amount is shown.
    pub currency: [u8; 4],
    /// Decimal digits of the currency's minor unit.
    pub minor_digits: u32,
    /// Tries that the card has left.
    pub tries_left: u32,
    /// ISO 9564-1 format number.
    pub block_format: u32,
    /// Length of `key_id`, in bytes.
    pub key_id_length: u32,
    /// Length of `account`, in digits.
    pub account_length: u32,
    /// Names the key inside the pad.
    pub key_id: *const u8,
    /// Account digits that the block binds.
    pub account: *const u8,
}

/// `struct purser_pin_pad_1` `[P]`.
#[repr(C)]
#[derive(Debug)]
pub struct PinPad1 {
    /// Size of this struct as its maker knew it, in bytes `[G-2]`.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Lets the buyer enter a PIN.
    pub enter_pin: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            call: *const Call,
            slot: u32,
            request: *const PinRequest,
            answer: *mut Buffer,
        ) -> i32,
    >,
}
