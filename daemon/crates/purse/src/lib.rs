//! The terminal side of electronic purse cards: card dialogues, recovery after a lost answer, software SAM.
//!
//! A dialogue gives out command APDUs and takes the card's responses; somebody else moves the bytes. There is no
//! clock, no randomness, no file and no thread here, and one exception from purity: a [`pboc::SoftwareSam`] asks the kernel
//! for memory pages that stay out of core dumps.
//!
//! Begin at [`dialogue`] for the shape of every dialogue and at [`pboc`] for the scheme.

#![forbid(unsafe_code)]

pub mod apdu;
mod bytes;
pub mod dialogue;
pub mod error;
#[doc(hidden)]
pub mod fuzz;
mod key_memory;
pub mod pboc;
pub mod status;

pub use apdu::{CommandApdu, CommandName, Protocol};
pub use dialogue::{Dialogue, Turn};
pub use error::{CardError, Fault};
pub use status::StatusWord;
