//! The card's end of the vpcd protocol: how a virtual card sits in a reader.
//!
//! The card is the TCP client; the reader (pcscd with vpcd, or Purser's virtual reader) listens. An open connection
//! is a card in the reader, closing it takes the card away, closing it inside a command is a tear.
//!
//! Source: vsmartcard's vpcd, checked against the real one.

mod frame;
mod reader;
mod slot;
mod status;
mod thread;

pub use frame::{Frame, FrameError, FrameReader, encode, fuzz};
pub use status::{Place, PsamStatus, Status};
pub use thread::{CardThread, CardThreadError, ChipThread, PsamThread};
