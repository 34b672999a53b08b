//! The header's limits. Each carries its reason there.

/// Longest ATR, in bytes (ISO/IEC 7816-3 §8.2.1).
pub const ATR_MAX_BYTES: usize = 33;
/// Longest command, in bytes (ISO/IEC 7816-4 §5.1, extended case 4).
pub const COMMAND_MAX_BYTES: usize = 65_544;
/// Shortest command, in bytes: the header alone.
pub const COMMAND_MIN_BYTES: usize = 4;
/// Longest response with its status word, in bytes.
pub const RESPONSE_MAX_BYTES: usize = 65_538;
/// Most digits of a PIN (ISO 9564-1).
pub const PIN_MAX_DIGITS: usize = 12;
/// Longest enciphered PIN block, in bytes.
pub const PIN_BLOCK_MAX_BYTES: usize = 64;
/// Longest detail text, in bytes.
pub const DETAIL_MAX_BYTES: usize = 256;
/// Longest log text, in bytes.
pub const LOG_MAX_BYTES: usize = 1024;
/// Longest driver id, version, device name or key id, in bytes.
pub const NAME_MAX_BYTES: usize = 64;
/// Longest settings text, in bytes.
pub const SETTINGS_MAX_BYTES: usize = 65_536;
/// Most devices of one instance at a time.
pub const SLOTS_MAX: usize = 32;
