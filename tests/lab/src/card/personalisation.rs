//! What the issuer fixed when the card was made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::crypto::Key16;
use super::values::{CardDate, IssuerId, Minor, Pin, Serial};

/// An application identifier: 5 to 16 bytes.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Aid(Vec<u8>);

impl Aid {
    /// The AID by which electronic purse applications of this kind are commonly selected.
    pub const COMMON_PURSE: [u8; 9] = [0xA0, 0x00, 0x00, 0x00, 0x03, 0x86, 0x98, 0x07, 0x01];
    /// The shortest AID in bytes (ISO/IEC 7816-4: a registered provider id alone).
    const BYTES_MIN: usize = 5;
    /// The longest AID in bytes (ISO/IEC 7816-4).
    const BYTES_MAX: usize = 16;

    /// The bytes of the identifier.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Aid {
    fn default() -> Self {
        Self(Self::COMMON_PURSE.to_vec())
    }
}

/// Why digits are not an AID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an AID has 10 to 32 hexadecimal digits, an even number of them")]
pub struct NotAnAid;

impl FromStr for Aid {
    type Err = NotAnAid;

    fn from_str(digits: &str) -> Result<Self, NotAnAid> {
        let bytes = hex::decode(digits).map_err(|_| NotAnAid)?;
        if (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(NotAnAid)
        }
    }
}

impl TryFrom<String> for Aid {
    type Error = NotAnAid;

    fn try_from(digits: String) -> Result<Self, NotAnAid> {
        digits.parse()
    }
}

impl From<Aid> for String {
    fn from(aid: Aid) -> Self {
        aid.to_string()
    }
}

impl fmt::Display for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The card's own keys, already diversified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardKeys {
    /// DPK: purchase.
    pub purchase: Key16,
    /// DTK: evidence (TAC). Only the issuer has its master.
    pub tac: Key16,
    /// DLK: load.
    pub load: Key16,
    /// The index by which INITIALIZE names the keys; another is 9403.
    pub index: u8,
    /// The version that INITIALIZE returns.
    pub version: u8,
    /// The algorithm id that INITIALIZE returns: 00 is 3DES.
    pub algorithm: u8,
}

/// Which purses the application holds (byte 8 of file 0015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purses {
    /// 01: the electronic deposit ("passbook") alone.
    EdOnly,
    /// 02: the electronic purse ("wallet") alone.
    EpOnly,
    /// 03: both.
    #[default]
    Both,
}

impl Purses {
    /// The application type byte.
    pub fn application_type(self) -> u8 {
        match self {
            Self::EdOnly => 0x01,
            Self::EpOnly => 0x02,
            Self::Both => 0x03,
        }
    }
}

/// How the card talks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// T=CL or T=1: whole command, whole answer.
    #[default]
    Whole,
    /// Contact T=0: answers of commands with data wait for GET RESPONSE (61xx), and a wrong Le is 6Cxx.
    T0,
}

impl Interface {
    /// The answer to reset that announces this interface.
    pub fn atr(self) -> &'static [u8] {
        match self {
            Self::Whole => &[0x3B, 0x80, 0x80, 0x01, 0x01],
            Self::T0 => &[0x3B, 0x65, 0x00, 0x00, b'P', b'U', b'R', b'S', b'E'],
        }
    }
}

/// Which counter value a log record carries. Products differ, so nobody may depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogSn {
    /// The value that INITIALIZE returned.
    #[default]
    BeforeIncrement,
    /// The value after the operation.
    AfterIncrement,
}

/// All that the issuer fixed. A [`super::Card`] shares it, so that cards are cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Personalisation {
    /// The name by which the application is selected. A card of another scheme has another.
    pub aid: Aid,
    /// The issuer's id.
    pub issuer: IssuerId,
    /// Which purses there are.
    pub purses: Purses,
    /// The application version in file 0015 and in the selection answer.
    pub application_version: u8,
    /// The application serial number.
    pub serial: Serial,
    /// First day of validity. The card tells it and does not enforce it: that is the terminal's duty.
    pub start: CardDate,
    /// Last day of validity, told and not enforced likewise.
    pub expiry: CardDate,
    /// The card holder's PIN (key id 00).
    pub pin: Pin,
    /// Wrong PINs in a row until the PIN is blocked. Range: 1 to 15.
    pub pin_tries_max: u8,
    /// The card's keys.
    pub keys: CardKeys,
    /// The issuer's usage right of the EP balance: whether a purchase needs the PIN. (ED always does.)
    pub ep_purchase_needs_pin: bool,
    /// Whether GET BALANCE needs the PIN.
    pub balance_needs_pin: bool,
    /// Whether INITIALIZE accepts amount 0. Where it does not, it answers 6A80.
    pub zero_amount_accepted: bool,
    /// The most that each purse may hold; a load above it is 6985.
    pub balance_max: Minor,
    /// How the card talks.
    pub interface: Interface,
    /// What the log's SN means on this card.
    pub log_sn: LogSn,
}
