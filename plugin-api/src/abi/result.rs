//! The result catalogue `[R]`: whose fault it is and whether the same call may be made again.

/// Done.
pub const OK: i32 = 0;
/// The buyer: no card lies in the slot. Nothing was sent.
pub const NO_CARD: i32 = 101;
/// The buyer: the connection's card was removed, reset or swapped. Nothing was sent.
pub const CARD_CHANGED: i32 = 102;
/// The card: it gave no answer to reset.
pub const CARD_MUTE: i32 = 103;
/// The buyer pressed cancel, or `cancel` was called.
pub const CANCELLED: i32 = 104;
/// The device: someone else holds it.
pub const BUSY: i32 = 201;
/// The device: it left. Nothing was sent.
pub const DEVICE_GONE: i32 = 202;
/// The device: nothing was sent before the deadline came.
pub const TIMEOUT: i32 = 203;
/// The device or the card: the card may or may not have executed the command.
pub const OUTCOME_UNKNOWN: i32 = 301;
/// The caller: an argument breaks the contract. Nothing was sent.
pub const BAD_ARGUMENT: i32 = 401;
/// The caller: this driver or device cannot do it. Nothing was sent.
pub const UNSUPPORTED: i32 = 402;
/// The driver: a fault of its own; counts as `OUTCOME_UNKNOWN` for a transmit.
pub const INTERNAL: i32 = 501;
