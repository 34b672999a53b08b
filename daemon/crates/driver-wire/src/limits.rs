//! Limits of the wire. Those that the driver contract fixes have the same values there; the driver host asserts
//! it when it is compiled.

/// Version of these messages. Daemon and driver host must have the same.
pub const WIRE_VERSION: u32 = 1;
/// Longest ATR, in bytes (ISO/IEC 7816-3 §8.2.1).
pub const ATR_MAX_BYTES: usize = 33;
/// Shortest command, in bytes: CLA INS P1 P2.
pub const COMMAND_MIN_BYTES: usize = 4;
/// Longest command, in bytes (ISO/IEC 7816-4 §5.1, extended case 4).
pub const COMMAND_MAX_BYTES: usize = 65_544;
/// Shortest response, in bytes: the status word.
pub const RESPONSE_MIN_BYTES: usize = 2;
/// Longest response, in bytes: 65536 and the status word.
pub const RESPONSE_MAX_BYTES: usize = 65_538;
/// Fewest digits of a PIN (ISO 9564-1).
pub const PIN_MIN_DIGITS: usize = 4;
/// Most digits of a PIN (ISO 9564-1).
pub const PIN_MAX_DIGITS: usize = 12;
/// Longest enciphered PIN block, in bytes.
pub const PIN_BLOCK_MAX_BYTES: usize = 64;
/// Longest detail text, in bytes.
pub const DETAIL_MAX_BYTES: usize = 256;
/// Longest log text, in bytes.
pub const LOG_MAX_BYTES: usize = 1024;
/// Longest id, version or name, in bytes.
pub const NAME_MAX_BYTES: usize = 64;
/// Longest settings text, in bytes.
pub const SETTINGS_MAX_BYTES: usize = 65_536;
/// Longest path of a driver, in bytes: Linux's `PATH_MAX`.
pub const PATH_MAX_BYTES: usize = 4096;
/// Most abilities of one driver: far more than there are.
pub const ABILITIES_MAX: usize = 16;
/// Most devices of one instance at a time.
pub const SLOTS_MAX: usize = 32;
/// Longest frame without its length prefix: the longest text or command, and room for the fields around it.
pub const FRAME_MAX_BYTES: usize = COMMAND_MAX_BYTES + 512;
