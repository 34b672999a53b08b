//! The card's PIN.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::profile::Profile;
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::dialogue::{Answer, Exchange, one_command_dialogue};
use crate::error::CardError;

/// The fewest digits of a card PIN (Lc 02 of VERIFY).
pub const PIN_DIGITS_MIN: usize = 4;
/// The most digits of a card PIN (Lc 06 of VERIFY).
pub const PIN_DIGITS_MAX: usize = 12;

/// A card PIN of 4 to 12 digits, packed two digits to a byte for VERIFY.
///
/// An odd number of digits is filled up with one nibble F. The published descriptions show even numbers only; the
/// filling is Purser's choice, the one that EMV and ISO 9564 PIN blocks make.
///
/// The digits are wiped when the PIN is dropped; `Debug` shows nothing of them, not even how many there are.
pub struct Pin(Zeroizing<Vec<u8>>);

/// Digits that are no PIN. It does not tell what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Too few or too many digits.
    #[error("a PIN has {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")]
    Length,
    /// Something else than a digit.
    #[error("a PIN has digits only")]
    NotADigit,
}

impl PinError {
    /// False: the same digits give the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Length | Self::NotADigit => false,
        }
    }
}

/// What fills up a PIN with an odd number of digits.
const FILLER: u8 = 0x0F;

impl Pin {
    /// Takes the PIN over from ASCII digits and wipes them, whether they are a PIN or not.
    ///
    /// # Errors
    /// [`PinError`]: ask for the PIN again.
    pub fn from_digits(digits: &mut [u8]) -> Result<Self, PinError> {
        let pin = Self::packed(digits);
        digits.zeroize();
        pin
    }

    fn packed(digits: &[u8]) -> Result<Self, PinError> {
        if !(PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&digits.len()) {
            return Err(PinError::Length);
        }
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(PinError::NotADigit);
        }
        // The full capacity at once: a vector that grew would leave a copy behind.
        let mut packed = Zeroizing::new(Vec::with_capacity(PIN_DIGITS_MAX / 2));
        packed.extend(digits.chunks(2).map(|pair| {
            let low = pair.get(1).map_or(FILLER, |digit| digit - b'0');
            (pair[0] - b'0') << 4 | low
        }));
        Ok(Self(packed))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(****)")
    }
}

/// VERIFY: shows the card its PIN.
///
/// It is **never repeated**, whatever the card answers (rule P2): each VERIFY may cost one of the buyer's tries.
///
/// ```text
///   VERIFY ── 9000 ──▶ Ok   ── 63Cx ──▶ WrongPin{x}   ── 6983, 63C0 ──▶ PinBlocked   ── else ──▶ CardError
/// ```
#[derive(Debug)]
pub struct VerifyPin {
    exchange: Exchange,
}

impl VerifyPin {
    /// Shows `pin` to the card's PIN `profile.pin_kid`, and uses it up.
    pub fn new(profile: &Profile, pin: Pin, protocol: Protocol) -> Self {
        let header = [0x00, 0x20, 0x00, profile.pin_kid];
        let verify = CommandApdu::new(CommandName::Verify, header, &pin.0, None, protocol);
        Self {
            exchange: Exchange::new(verify, protocol),
        }
    }
}

fn verified(answer: Answer) -> Result<(), CardError> {
    answer.accepted().map(drop)
}

one_command_dialogue!(VerifyPin => (), verified);
