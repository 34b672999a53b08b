//! Write a driver in Rust without `unsafe`.
//!
//! Implement [`Driver`], then [`CardReader`] and/or [`PinPad`], list them in [`Driver::ABILITIES`], and call
//! [`export_driver!`](crate::export_driver) once in a crate of type `cdylib`. All calls come from one thread, one at a
//! time, but [`Driver::cancel`] (`[T-1]`, `[T-2]`); the traits take `&self` because of it and because a driver's own
//! threads usually share its state.
//!
//! A panic in an entry is answered as [`Fault::Internal`] when the driver is built with `panic = "unwind"`. With
//! `panic = "abort"` it ends the process, which Purser treats as a crash: also safe.

mod call;
mod card_reader;
mod entry;
mod error;
mod guard;
mod host;
mod output;
mod pin_pad;

pub use call::{Call, CallNumber};
pub use card_reader::{Card, CardReader, Connection, Protocol};
pub use entry::{Ability, EntryTable};
pub use error::{DriverError, Fault};
pub use host::{Class, Device, Host, Interface, LogLevel, Slot};
pub use output::{Output, OutputFull};
pub use pin_pad::{PinFormat, PinPad, PinRequest, ShownAmount};

/// A device driver.
pub trait Driver: Sized + Send + Sync + 'static {
    /// Its id: lower-case letters, digits and `-`, at most 64 bytes. The same in each version.
    const ID: &'static str;

    /// Its version: printable ASCII, at most 64 bytes. `env!("CARGO_PKG_VERSION")` is a good value.
    const VERSION: &'static str;

    /// What it offers: [`Ability::card_reader`] and [`Ability::pin_pad`].
    const ABILITIES: &'static [Ability];

    /// Makes the instance: reads its settings, opens its devices and announces them `[E-1]`.
    ///
    /// `settings` is a TOML document, perhaps empty.
    ///
    /// # Errors
    /// [`Fault::BadArgument`] for settings that cannot be used, with a detail that names the key. Purser does not try
    /// again after it or after [`Fault::Unsupported`]; it does after any other fault.
    fn create(host: Host, settings: &str, call: &Call) -> Result<Self, DriverError>;

    /// Asks that the call with this number ends soon with [`Fault::Cancelled`]. Must return at once; comes from
    /// another thread than the call. Never ends a transmit `[L-5]`. It may overtake its call: remember the number and
    /// compare it with [`Call::number`] while you wait `[L-4]`.
    fn cancel(&self, call: CallNumber) {
        let _ = call;
    }
}
