//! The scheme's numbers, each with its own type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not the hex digits of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} is written as {digits} hex digits")]
pub struct IdError {
    /// What was to be read.
    pub id: &'static str,
    /// How many hex digits it has.
    pub digits: usize,
}

impl IdError {
    /// False: the same text gives the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $length:literal, $label:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $length]);

        impl $name {
            /// From the bytes as the card has them.
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes as the card has them.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// All hex digits, in capitals.
            pub fn to_hex(&self) -> String {
                hex::encode_upper(self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(digits: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $length];
                match hex::decode_to_slice(digits, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(_) => Err(IdError {
                        id: $label,
                        digits: 2 * $length,
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(digits: String) -> Result<Self, IdError> {
                digits.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_hex()
            }
        }
    };
}

macro_rules! shown_in_full {
    ($($name:ident)*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.to_hex())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }
    )* };
}

/// How many bytes of a purse's number logs may show: enough to tell two cards in a shop apart.
const SHOWN_BYTES: usize = 2;

macro_rules! shown_by_its_end {
    ($($name:ident)*) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let end = &self.0[self.0.len() - SHOWN_BYTES..];
                write!(f, "{}(*{})", stringify!($name), hex::encode_upper(end))
            }
        }
    )* };
}

byte_id! {
    /// Who issued a card (bytes 0 to 7 of file 0015).
    IssuerId, 8, "an issuer id"
}
byte_id! {
    /// The application serial number of a card (bytes 10 to 19 of file 0015). `Debug` shows its end only.
    SerialNumber, 10, "an application serial number"
}
byte_id! {
    /// The last 8 bytes of the application serial number: the card's name in key diversification and in claims.
    ///
    /// `Debug` shows its end only.
    Asn, 8, "an application serial number (ASN)"
}
byte_id! {
    /// The number of the terminal's PSAM (file 0016 of a PSAM card; with a software SAM the provider gives it out).
    PsamTerminalNumber, 6, "a PSAM terminal number"
}
byte_id! {
    /// The card's challenge of one INITIALIZE FOR PURCHASE.
    CardRandom, 4, "a card challenge"
}
byte_id! {
    /// The terminal's authenticator of one DEBIT FOR PURCHASE. `Debug` shows nothing: it lets a card pay.
    Mac1, 4, "a MAC1"
}
byte_id! {
    /// The card's answer that a terminal with the purchase key can check.
    Mac2, 4, "a MAC2"
}
byte_id! {
    /// The card's evidence for the issuer.
    ///
    /// **No terminal can check it:** it is made with the card's DTK, which only the issuer holds (epurse facts §1.2).
    /// It covers amount, kind, PSAM terminal number, terminal SN, date and time, but not the card's offline SN.
    Tac, 4, "a TAC"
}

byte_id! {
    /// The card's authenticator of one INITIALIZE FOR LOAD. Only the provider can check it.
    LoadMac1, 4, "a load's MAC1"
}
byte_id! {
    /// The provider's authenticator of one CREDIT FOR LOAD. `Debug` shows nothing: it lets a card take value.
    LoadMac2, 4, "a load's MAC2"
}
byte_id! {
    /// The card's evidence for the issuer that it has taken a load. **No terminal can check it.**
    LoadTac, 4, "a load's TAC"
}

shown_in_full! { IssuerId PsamTerminalNumber CardRandom Mac2 Tac LoadMac1 LoadTac }
shown_by_its_end! { SerialNumber Asn }

impl fmt::Debug for Mac1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac1(****)")
    }
}

impl fmt::Debug for LoadMac2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoadMac2(****)")
    }
}

impl SerialNumber {
    /// The diversification factor: bytes 12 to 19 of file 0015.
    pub fn asn(&self) -> Asn {
        let [_, _, asn @ ..] = self.0;
        Asn(asn)
    }
}

/// The card's counter of debits of one purse. Range: 0 to FFFF, where the card ends (`9402`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OfflineSn(u16);

impl OfflineSn {
    /// From the number.
    pub const fn new(sn: u16) -> Self {
        Self(sn)
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The value after one more debit; None at the end of the counter.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    pub(crate) fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

/// The card's counter of loads of one purse. Range: 0 to FFFF, where the card ends (`9402`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OnlineSn(u16);

impl OnlineSn {
    /// From the number.
    pub const fn new(sn: u16) -> Self {
        Self(sn)
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The value after one more load; none at the end of the counter.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    pub(crate) fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

/// The terminal's own counter of attempts (the PSAM's, or Purser's with a software SAM). Never used twice.
///
/// With card and PSAM terminal number it is the key under which a provider knows a claim (money rule C2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TerminalSn(u32);

impl TerminalSn {
    /// From the number.
    pub const fn new(sn: u32) -> Self {
        Self(sn)
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The next number; None at the end, where the terminal needs a new PSAM terminal number.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// The version of the purchase key that the card will use, as INITIALIZE tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyVersion(pub u8);

/// The algorithm of the purchase key, as INITIALIZE tells it: 00 is two-key triple DES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlgorithmId(pub u8);

impl AlgorithmId {
    /// Two-key triple DES: the only algorithm of the published description.
    pub const TRIPLE_DES: Self = Self(0x00);
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

impl fmt::Display for AlgorithmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}
