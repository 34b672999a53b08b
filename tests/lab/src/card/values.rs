//! The numbers and byte fields that cross the card's edge, one type each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Money as the card counts it.
///
/// Units: minor units; the currency is not on the card. Range: 0 to 2^32 − 1, the four bytes of a purse command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minor(pub u32);

impl Minor {
    /// The four bytes of a command or an answer, most significant first.
    pub fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A field of fixed length that text carries as hexadecimal digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field} needs exactly {digits} hexadecimal digits")]
pub struct NotAField {
    field: &'static str,
    digits: usize,
}

macro_rules! byte_field {
    ($(#[$doc:meta])* $name:ident, $length:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "hex::serde")] pub [u8; $length]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAField;

            fn from_str(digits: &str) -> Result<Self, NotAField> {
                let mut bytes = [0; $length];
                hex::decode_to_slice(digits, &mut bytes)
                    .map_err(|_| NotAField { field: $what, digits: 2 * $length })?;
                Ok(Self(bytes))
            }
        }
    };
}

byte_field!(
    /// The issuer's id: bytes 0–7 of file 0015.
    IssuerId, 8, "an issuer id"
);
byte_field!(
    /// The application's serial number: bytes 10–19 of file 0015.
    Serial, 10, "a serial number"
);
byte_field!(
    /// The right-most eight bytes of the serial number, which diversify the card's keys.
    Asn, 8, "an ASN"
);
byte_field!(
    /// The six bytes that name a PSAM (or a software SAM) in a purse command and in the log.
    PsamTerminalNumber, 6, "a PSAM terminal number"
);
byte_field!(
    /// A calendar day, packed BCD `YYYYMMDD`. The card stores it and does not judge it.
    CardDate, 4, "a date (YYYYMMDD)"
);
byte_field!(
    /// A time of day, packed BCD `hhmmss`. The card stores it and does not judge it.
    CardTime, 3, "a time (hhmmss)"
);
byte_field!(
    /// The message authentication code of a purse command: the left four bytes of a CBC-MAC.
    Mac, 4, "a MAC"
);

impl Serial {
    /// The part of the serial number that diversifies keys.
    pub fn asn(&self) -> Asn {
        let mut asn = [0; 8];
        asn.copy_from_slice(&self.0[2..]);
        Asn(asn)
    }
}

/// The terminal's own counter of purchases (called terminal SN in the standard), four bytes in a DEBIT command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TerminalSn(pub u32);

/// Why digits do not make a PIN.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a PIN has 4 to 12 decimal digits, an even number of them")]
pub struct NotAPin;

/// A card holder's PIN, packed BCD as VERIFY carries it. It never shows its digits.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Pin {
    packed: [u8; Pin::BYTES_MAX],
    length: usize,
}

impl Pin {
    /// The longest PIN in bytes: VERIFY's Lc ends at 06.
    pub const BYTES_MAX: usize = 6;
    /// The shortest PIN in bytes: VERIFY's Lc starts at 02.
    pub const BYTES_MIN: usize = 2;

    /// The packed bytes, as VERIFY's data field carries them.
    pub fn packed(&self) -> &[u8] {
        &self.packed[..self.length]
    }
}

impl FromStr for Pin {
    type Err = NotAPin;

    fn from_str(digits: &str) -> Result<Self, NotAPin> {
        let length = digits.len() / 2;
        let in_range = (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&length);
        if !in_range || !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_digit())
        {
            return Err(NotAPin);
        }
        let mut pin = Self {
            packed: [0; Self::BYTES_MAX],
            length,
        };
        hex::decode_to_slice(digits, &mut pin.packed[..length]).map_err(|_| NotAPin)?;
        Ok(pin)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

impl Serialize for Pin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.packed()))
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        digits.parse().map_err(serde::de::Error::custom)
    }
}
