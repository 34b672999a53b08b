//! The messages between the daemon and a driver host, and how they are framed. Pure: no input, output, clock or
//! randomness.
//!
//! Both ends are built together and version-locked, so that the encoding may change with every release; the contract
//! with vendors is `purser/driver.h`. A conversation:
//!
//! ```text
//! daemon                                driver host
//!   Load {path, sha256}  ───────────▶     checks the bytes, loads them
//!                        ◀───────────   Hello {driver id, version, ABI, abilities}   or NotLoaded
//!   Create {settings}    ───────────▶     create()
//!                        ◀───────────   Event …, Created
//!   Call, Cancel         ───────────▶
//!                        ◀───────────   Answer, Event, Log
//!   Stop                 ───────────▶     destroy(), exit; so does the end of the stream
//! ```
//!
//! Whatever can carry a PIN is a type that masks itself and is wiped when dropped; encoded frames are wiped too.

mod call;
mod codec;
mod device;
mod fault;
mod frame;
pub mod fuzz;
pub mod limits;
mod message;
mod quota;
mod secret;
mod text;

pub use call::{
    BlockFormat, Call, CallId, Card, ConnectionNumber, PinEntry, PinFormat, PinRequest, Protocol, Reply,
    ShownAmount,
};
pub use codec::{DecodeError, EncodeError, decode, encode};
pub use device::{Classes, Device, DeviceEvent, Interfaces, SlotId};
pub use fault::{CallFailure, Fault};
pub use frame::{Frame, FrameDecoder, FrameError};
pub use message::{Abi, CallRequest, Hello, LoadFault, LoadOrder, LogLevel, Sha256, ToDaemon, ToHost};
pub use quota::Quota;
pub use secret::{Account, Command, NotDigits, PinBlock, PinDigits, Response, SecretError};
pub use text::{Text, TextTooLong};
