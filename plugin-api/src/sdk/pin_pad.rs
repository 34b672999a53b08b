//! `purser.pin-pad/1` as a trait `[P]`.

use std::fmt;

use super::guard::{answer, bytes, instance, with_output};
use super::{Call, Driver, DriverError, Fault, Output, Slot};
use crate::abi::{self, limits, values};

/// What the pad shows as the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownAmount {
    /// Minor units of the currency.
    pub minor: u64,
    /// ISO 4217 letters, such as `JPY`.
    pub currency: [u8; 3],
    /// Decimal digits of the minor unit (ISO 4217): 0 for JPY, 2 for EUR.
    pub minor_digits: u8,
}

/// In which form the PIN is wanted.
#[derive(Clone, Copy)]
pub enum PinFormat<'a> {
    /// Digits as ASCII, for a PIN that the card checks `[P-4]`.
    Digits,
    /// A PIN block enciphered inside the pad `[P-5]`.
    Block {
        /// The ISO 9564-1 format number: 0, 3 or 4.
        iso_9564_format: u32,
        /// Names the key inside the pad.
        key_id: &'a str,
        /// Account digits (ASCII) that the block binds; a secret.
        account: &'a [u8],
    },
}

impl fmt::Debug for PinFormat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digits => f.write_str("Digits"),
            Self::Block {
                iso_9564_format,
                key_id,
                ..
            } => f
                .debug_struct("Block")
                .field("iso_9564_format", iso_9564_format)
                .field("key_id", key_id)
                .finish_non_exhaustive(),
        }
    }
}

/// What the buyer is asked.
#[derive(Clone, Copy, Debug)]
pub struct PinRequest<'a> {
    /// Fewest digits, 4 or more.
    pub digits_min: usize,
    /// Most digits, 12 or fewer.
    pub digits_max: usize,
    /// What to show first, where there is an amount.
    pub amount: Option<ShownAmount>,
    /// Tries that the card has left, where that is known.
    pub tries_left: Option<u32>,
    /// In which form the PIN is wanted.
    pub format: PinFormat<'a>,
}

/// A driver with PIN pads. Rules: `[P-1]` to `[P-6]`.
pub trait PinPad: Driver {
    /// Lets the buyer enter a PIN and puts it into `answer`. Wipe every other copy before you return `[M-3]`.
    ///
    /// # Errors
    /// [`Fault::Cancelled`] (the buyer's key or [`Driver::cancel`]), [`Fault::Timeout`], [`Fault::DeviceGone`],
    /// [`Fault::Busy`], [`Fault::Unsupported`] (a format), [`Fault::Internal`].
    fn enter_pin(
        &self,
        call: &Call,
        slot: Slot,
        request: &PinRequest<'_>,
        answer: &mut Output<'_>,
    ) -> Result<(), DriverError>;
}

/// The ability's C table for one driver.
pub(super) struct Table<T>(std::marker::PhantomData<T>);

impl<T: PinPad> Table<T> {
    pub(super) const TABLE: &'static abi::PinPad1 = &abi::PinPad1 {
        struct_size: abi::struct_size::<abi::PinPad1>(),
        reserved: 0,
        enter_pin: Some(enter_pin::<T>),
    };
}

unsafe extern "C" fn enter_pin<T: PinPad>(
    driver: *mut abi::Instance,
    call: *const abi::Call,
    slot: u32,
    request: *const abi::PinRequest,
    pin: *mut abi::Buffer,
) -> i32 {
    let run = |call: &Call| {
        // SAFETY: the host passes what create made.
        let driver = unsafe { instance::<T>(driver) }?;
        // SAFETY: the host passes a request as the header has it, valid until the call returns [M-1].
        let request = unsafe { read_request(request) }?;
        // SAFETY: the host passes a buffer of its own [M-2].
        unsafe { with_output(pin, |output| driver.enter_pin(call, Slot(slot), &request, output)) }
    };
    // SAFETY: the host passes a call as the header has it.
    unsafe { answer(call, run) }
}

/// SAFETY: `raw` must be null or a request as the header has it, valid for `'a`.
unsafe fn read_request<'a>(raw: *const abi::PinRequest) -> Result<PinRequest<'a>, DriverError> {
    // SAFETY: the caller's promise.
    let raw = unsafe { raw.as_ref() }.ok_or_else(|| Fault::BadArgument.because("no PIN request"))?;
    let digits_min = usize::try_from(raw.digits_min).unwrap_or(usize::MAX);
    let digits_max = usize::try_from(raw.digits_max).unwrap_or(usize::MAX);
    if digits_min > digits_max || digits_max > limits::PIN_MAX_DIGITS {
        return Err(Fault::BadArgument.because("a PIN has 4 to 12 digits"));
    }
    // SAFETY: the caller's promise.
    let format = unsafe { read_format(raw) }?;
    let tries_left = (raw.tries_left != values::TRIES_UNKNOWN).then_some(raw.tries_left);
    Ok(PinRequest {
        digits_min,
        digits_max,
        amount: read_amount(raw)?,
        tries_left,
        format,
    })
}

fn read_amount(raw: &abi::PinRequest) -> Result<Option<ShownAmount>, DriverError> {
    if raw.currency == [0; 4] {
        return Ok(None);
    }
    let [a, b, c, _] = raw.currency;
    let minor_digits =
        u8::try_from(raw.minor_digits).map_err(|_| Fault::BadArgument.because("too many minor digits"))?;
    Ok(Some(ShownAmount {
        minor: raw.amount_minor,
        currency: [a, b, c],
        minor_digits,
    }))
}

/// SAFETY: `raw` must be a request as the header has it, valid for `'a`.
unsafe fn read_format<'a>(raw: &abi::PinRequest) -> Result<PinFormat<'a>, DriverError> {
    match raw.format {
        values::PIN_FORMAT_DIGITS => Ok(PinFormat::Digits),
        values::PIN_FORMAT_BLOCK => {
            // SAFETY: the caller's promise.
            let key_id = unsafe { bytes(raw.key_id, raw.key_id_length) }?;
            let key_id =
                std::str::from_utf8(key_id).map_err(|_| Fault::BadArgument.because("a key id is UTF-8"))?;
            // SAFETY: the caller's promise.
            let account = unsafe { bytes(raw.account, raw.account_length) }?;
            Ok(PinFormat::Block {
                iso_9564_format: raw.block_format,
                key_id,
                account,
            })
        }
        _ => Err(Fault::Unsupported.because("a PIN format that this SDK does not know")),
    }
}
