//! The header's other values.

/// ABI major version of this crate.
pub const ABI_MAJOR: u32 = 1;
/// ABI minor version of this crate.
pub const ABI_MINOR: u32 = 0;
/// The one exported symbol.
pub const ENTRY_SYMBOL: &str = "purser_driver_entry";

/// Id of the card reader ability.
pub const CARD_READER_1: &str = "purser.card-reader/1";
/// Id of the PIN pad ability.
pub const PIN_PAD_1: &str = "purser.pin-pad/1";

/// A device came.
pub const EVENT_DEVICE_ARRIVED: u32 = 1;
/// A device left.
pub const EVENT_DEVICE_LEFT: u32 = 2;
/// A card came.
pub const EVENT_CARD_INSERTED: u32 = 3;
/// A card left.
pub const EVENT_CARD_REMOVED: u32 = 4;
/// The number of digits on a PIN pad's display changed.
pub const EVENT_PIN_DIGITS: u32 = 5;

/// The device reads cards.
pub const CLASS_CARD_READER: u32 = 1;
/// The device takes PINs.
pub const CLASS_PIN_PAD: u32 = 2;

/// Cards in contact.
pub const INTERFACE_CONTACT: u32 = 1;
/// Cards in the field.
pub const INTERFACE_CONTACTLESS: u32 = 2;

/// A fault that needs a person.
pub const LOG_ERROR: u32 = 1;
/// Something that may need a person.
pub const LOG_WARN: u32 = 2;
/// Something worth knowing.
pub const LOG_INFO: u32 = 3;
/// For the driver's author.
pub const LOG_DEBUG: u32 = 4;

/// ISO/IEC 7816-3 T=0.
pub const PROTOCOL_T0: u32 = 1;
/// ISO/IEC 7816-3 T=1.
pub const PROTOCOL_T1: u32 = 2;
/// ISO/IEC 14443-4.
pub const PROTOCOL_TCL: u32 = 3;

/// The PIN's digits as ASCII `[P-4]`.
pub const PIN_FORMAT_DIGITS: u32 = 1;
/// An enciphered PIN block `[P-5]`.
pub const PIN_FORMAT_BLOCK: u32 = 2;

/// The tries left are not known.
pub const TRIES_UNKNOWN: u32 = u32::MAX;
