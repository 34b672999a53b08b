//! What the PSAM's issuer fixed when it was made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::card::{Aid, Interface, Key16, PsamTerminalNumber, Serial};

/// How many factors diversify a card's key under the PSAM's: 1 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Levels(u8);

impl Levels {
    /// The card's ASN alone.
    pub const ASN_ALONE: Self = Self(1);

    /// How many they are.
    pub fn count(self) -> usize {
        usize::from(self.0)
    }
}

/// Why a number is not a number of levels.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a key is diversified at 1, 2 or 3 levels")]
pub struct NotLevels;

impl TryFrom<u8> for Levels {
    type Error = NotLevels;

    fn try_from(levels: u8) -> Result<Self, NotLevels> {
        if (1..=3).contains(&levels) {
            Ok(Self(levels))
        } else {
            Err(NotLevels)
        }
    }
}

impl From<Levels> for u8 {
    fn from(levels: Levels) -> Self {
        levels.0
    }
}

impl FromStr for Levels {
    type Err = NotLevels;

    fn from_str(number: &str) -> Result<Self, NotLevels> {
        Self::try_from(number.parse::<u8>().map_err(|_| NotLevels)?)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In which order 8070 carries the factors. Products differ. Keys are always derived from the upper level down to the
/// card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactorOrder {
    /// The card's ASN, then the levels above it.
    #[default]
    AsnFirst,
    /// The uppermost level first, the card's ASN last.
    UpperFirst,
}

impl FactorOrder {
    /// Its name in Purser's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsnFirst => "asn-first",
            Self::UpperFirst => "upper-first",
        }
    }
}

/// The purchase key of a PSAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PsamKey {
    /// The key above all levels that 8070 tells.
    pub master: Key16,
    /// The version that a card has to tell; another is 9403.
    pub version: u8,
    /// The algorithm id that a card has to tell; another is 9403.
    pub algorithm: u8,
    /// How many factors 8070 has to bring.
    pub levels: Levels,
}

/// All that the PSAM's issuer fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PsamPersonalisation {
    /// The PSAM's own serial number: bytes 0–9 of file 0015.
    pub serial: Serial,
    /// Its version: byte 10 of file 0015.
    pub version: u8,
    /// The key-card type: byte 11 of file 0015.
    pub key_card_type: u8,
    /// The PSAM terminal number: file 0016, and what MAC1 covers.
    pub terminal_number: PsamTerminalNumber,
    /// The name of the purchase ADF.
    pub adf_name: Aid,
    /// The file id of the purchase ADF.
    pub adf_id: u16,
    /// The purchase key.
    pub key: PsamKey,
    /// In which order factors come.
    pub factor_order: FactorOrder,
    /// Wrong MAC2 in a row until the PSAM is locked. Range: 1 to 255.
    pub mac_tries_max: u8,
    /// How it talks.
    pub interface: Interface,
}
