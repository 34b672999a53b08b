//! Recordings of a driver's traffic. Pure: no input, output, clock or randomness.
//!
//! A recording is a text: one JSON object on each line, so that an operator can read it before it is given to a vendor.
//! The first line is `{"purser_recording":1}`, the format's version; a reader refuses another. Each further line is an
//! [`Entry`]: `at_ms` since the recording began, and one of
//!
//! | key | is |
//! | --- | --- |
//! | `ready` | the driver is ready: its id, version, abilities and devices. First, and after each restart |
//! | `call` | a call went to the driver |
//! | `cancel` | it was asked to end that call soon |
//! | `answer` | it answered |
//! | `event` | it told of a device |
//! | `down` | its process ended |
//! | `gap` | so many lines are missing: they came faster than the disk took them |
//! | `full` | the file has reached its limit; the recording ends |
//!
//! A file that ends without a line feed was cut, by a crash or a full disk: [`lines`] gives what is whole and says so.
//!
//! # What is masked
//!
//! Shown is only what is known to hold no secret; all else is masked ([`Masked`]). So in a recording stand no PIN, PIN
//! block, account or key, no event of a digit that was typed (their number is the PIN's length), no purse id (the application
//! serial number, also in what SELECT answers and in an ATR's historical bytes), no serial number of a PSAM, no TAC (it is
//! evidence: with it a claim could be forged), no data of a command that is not in the table of `mask.rs`, and no detail text
//! of the driver's. Two calls match when their masked forms are equal ([`Call`]).

pub mod fuzz;
mod line;
mod mask;
mod masked;

pub use line::{Answer, Call, Cut, DeviceState, Entry, LineError, Lines, Ready, What, header, lines};
pub use mask::Masker;
pub use masked::{Hidden, Masked, NotMasked};

/// Version of the format.
pub const VERSION: u32 = 1;

/// Longest line, in bytes: the longest command or response in hexadecimal digits, and the fields around it.
pub const LINE_BYTES_MAX: usize = 2 * purser_driver_wire::limits::FRAME_MAX_BYTES + 4096;
