//! `purser.card-reader/1` as a trait `[C]`.

use super::guard::{answer, bytes, instance, with_output};
use super::{Call, Driver, DriverError, Fault, Output, Slot};
use crate::abi::{self, limits, values};

/// Names one connection; not 0, used once in the life of the process `[C-2]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection(pub u32);

/// How commands travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ISO/IEC 7816-3 T=0.
    T0,
    /// ISO/IEC 7816-3 T=1.
    T1,
    /// ISO/IEC 14443-4.
    Tcl,
}

/// A card that was powered and is ours alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The connection's number.
    pub connection: Connection,
    /// How commands travel.
    pub protocol: Protocol,
    /// True for a card in the field.
    pub contactless: bool,
    /// The answer to reset, at most 33 bytes; empty where a contactless reader gives none.
    pub atr: Vec<u8>,
}

/// A driver with card readers. Rules: `[C-1]` to `[C-7]`.
pub trait CardReader: Driver {
    /// Powers the card in the slot and takes exclusive access to it. Does not wait for a card.
    ///
    /// # Errors
    /// [`Fault::NoCard`], [`Fault::CardMute`], [`Fault::Busy`] (name the holder), [`Fault::DeviceGone`],
    /// [`Fault::Unsupported`], [`Fault::Timeout`], [`Fault::Cancelled`], [`Fault::Internal`]. After any of them the card
    /// is without power.
    fn connect(&self, call: &Call, slot: Slot) -> Result<Card, DriverError>;

    /// Sends one command exactly once and puts its one response, status word included, into `response` `[C-6]`.
    ///
    /// # Errors
    /// Nothing was sent: [`Fault::CardChanged`], [`Fault::DeviceGone`], [`Fault::Timeout`], [`Fault::BadArgument`],
    /// [`Fault::Unsupported`]. Something may have been sent: [`Fault::OutcomeUnknown`], and end the connection `[C-7]`.
    fn transmit(
        &self,
        call: &Call,
        slot: Slot,
        connection: Connection,
        command: &[u8],
        response: &mut Output<'_>,
    ) -> Result<(), DriverError>;

    /// Powers the card off or resets it, and gives up exclusive access `[C-4]`.
    ///
    /// # Errors
    /// [`Fault::CardChanged`] or [`Fault::DeviceGone`] when the connection had ended already. After any other fault
    /// Purser ends the process, since the card's state is not known.
    fn disconnect(&self, call: &Call, slot: Slot, connection: Connection) -> Result<(), DriverError>;
}

/// The ability's C table for one driver.
pub(super) struct Table<T>(std::marker::PhantomData<T>);

impl<T: CardReader> Table<T> {
    pub(super) const TABLE: &'static abi::CardReader1 = &abi::CardReader1 {
        struct_size: abi::struct_size::<abi::CardReader1>(),
        reserved: 0,
        connect: Some(connect::<T>),
        transmit: Some(transmit::<T>),
        disconnect: Some(disconnect::<T>),
    };
}

unsafe extern "C" fn connect<T: CardReader>(
    driver: *mut abi::Instance,
    call: *const abi::Call,
    slot: u32,
    card: *mut abi::Card,
) -> i32 {
    let run = |call: &Call| {
        // SAFETY: the host passes what create made.
        let driver = unsafe { instance::<T>(driver) }?;
        // SAFETY: the host passes a card of its own [M-1].
        let out = unsafe { card.as_mut() }.ok_or_else(|| Fault::BadArgument.because("no card to fill"))?;
        fill(out, &driver.connect(call, Slot(slot))?)
    };
    // SAFETY: the host passes a call as the header has it.
    unsafe { answer(call, run) }
}

unsafe extern "C" fn transmit<T: CardReader>(
    driver: *mut abi::Instance,
    call: *const abi::Call,
    slot: u32,
    connection: u32,
    command: *const u8,
    command_length: u32,
    response: *mut abi::Buffer,
) -> i32 {
    let run = |call: &Call| {
        // SAFETY: the host passes what create made.
        let driver = unsafe { instance::<T>(driver) }?;
        // SAFETY: [M-1].
        let command = unsafe { bytes(command, command_length) }?;
        if !(limits::COMMAND_MIN_BYTES..=limits::COMMAND_MAX_BYTES).contains(&command.len()) {
            return Err(Fault::BadArgument.because("a command has 4 to 65544 bytes"));
        }
        let run = |output: &mut Output<'_>| {
            driver.transmit(call, Slot(slot), Connection(connection), command, output)?;
            if output.filled().len() < 2 {
                return Err(Fault::OutcomeUnknown.because("the response has no status word"));
            }
            Ok(())
        };
        // SAFETY: the host passes a buffer of its own [M-2].
        unsafe { with_output(response, run) }
    };
    // SAFETY: the host passes a call as the header has it.
    unsafe { answer(call, run) }
}

unsafe extern "C" fn disconnect<T: CardReader>(
    driver: *mut abi::Instance,
    call: *const abi::Call,
    slot: u32,
    connection: u32,
) -> i32 {
    let run = |call: &Call| {
        // SAFETY: the host passes what create made.
        let driver = unsafe { instance::<T>(driver) }?;
        driver.disconnect(call, Slot(slot), Connection(connection))
    };
    // SAFETY: the host passes a call as the header has it.
    unsafe { answer(call, run) }
}

fn fill(out: &mut abi::Card, card: &Card) -> Result<(), DriverError> {
    let atr = out
        .atr
        .get_mut(..card.atr.len())
        .ok_or_else(|| Fault::Internal.because("an ATR has at most 33 bytes"))?;
    atr.copy_from_slice(&card.atr);
    out.atr_length = u32::try_from(card.atr.len()).expect("at most 33");
    out.connection = card.connection.0;
    out.protocol = match card.protocol {
        Protocol::T0 => values::PROTOCOL_T0,
        Protocol::T1 => values::PROTOCOL_T1,
        Protocol::Tcl => values::PROTOCOL_TCL,
    };
    out.contactless = u32::from(card.contactless);
    Ok(())
}
