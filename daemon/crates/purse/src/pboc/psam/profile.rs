//! What a terminal has to know of its PSAM: where its purchase key lies, and which factors it wants.

use serde::{Deserialize, Serialize};

use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::pboc::credential::Level;
use crate::pboc::identify::CardFacts;
use crate::pboc::mac::Block;
use crate::pboc::profile::Aid;

/// The settings of one vendor's PSAM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PsamProfile {
    /// The application that holds the purchase key.
    pub adf: PsamAdf,
    /// What the card's key is derived by.
    pub levels: PsamLevels,
    /// In which order the PSAM wants those factors.
    pub factor_order: FactorOrder,
}

/// The name of a PSAM's purchase application: a file id of 2 bytes, or an application name of 5 to 16.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum PsamAdf {
    /// Selected by its file id (ISO/IEC 7816-4 SELECT, P1 = 00).
    FileId([u8; 2]),
    /// Selected by its name (ISO/IEC 7816-4 SELECT, P1 = 04).
    Aid(Aid),
}

/// A text that names no application of a PSAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PSAM's application is written as 4 hex digits (a file id) or 10 to 32 (an application name)")]
pub struct PsamAdfError;

impl PsamAdfError {
    /// False: the same text gives the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

/// The levels by which a card's key is derived from the PSAM's, from the uppermost down to the card.
///
/// One to three, written as in a software SAM's credential: `issuer`, 16 hex digits of a fixed factor, and as the last
/// one `asn`, the card.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct PsamLevels(Vec<Level>);

/// A list that is no list of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "levels are one to three of \"issuer\", \"asn\" or 16 hex digits; \"asn\" is the last and stands once"
)]
pub struct PsamLevelsError;

impl PsamLevelsError {
    /// False: the same list gives the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

/// In which order a PSAM takes the diversification factors. Vendors differ (epurse facts §1.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactorOrder {
    /// The card's first, then the level above it, and so on up. The order of most PSAMs.
    #[default]
    AsnFirst,
    /// From the uppermost level down to the card.
    UpperFirst,
}

/// As many as INIT_SAM_FOR_PURCHASE takes (epurse facts §1.7).
const LEVELS_MAX: usize = 3;

impl PsamLevels {
    /// The factors for this card, in the order in which the PSAM wants them.
    pub(crate) fn factors(&self, order: FactorOrder, card: &CardFacts) -> Vec<Block> {
        let factor = |level: &Level| match level {
            Level::Issuer => *card.issuer_id.as_bytes(),
            Level::Asn => *card.asn.as_bytes(),
            Level::Fixed(factor) => *factor,
        };
        match order {
            FactorOrder::UpperFirst => self.0.iter().map(factor).collect(),
            FactorOrder::AsnFirst => self.0.iter().rev().map(factor).collect(),
        }
    }
}

impl Default for PsamLevels {
    fn default() -> Self {
        Self(vec![Level::Asn])
    }
}

impl TryFrom<Vec<String>> for PsamLevels {
    type Error = PsamLevelsError;

    fn try_from(names: Vec<String>) -> Result<Self, PsamLevelsError> {
        let levels: Option<Vec<Level>> = names.iter().map(|name| level(name)).collect();
        let levels = levels.ok_or(PsamLevelsError)?;
        let cards = levels.iter().filter(|level| **level == Level::Asn).count();
        if levels.len() <= LEVELS_MAX && cards == 1 && levels.last() == Some(&Level::Asn) {
            Ok(Self(levels))
        } else {
            Err(PsamLevelsError)
        }
    }
}

fn level(name: &str) -> Option<Level> {
    match name {
        "issuer" => Some(Level::Issuer),
        "asn" => Some(Level::Asn),
        digits => {
            let mut factor = Block::default();
            hex::decode_to_slice(digits, &mut factor).ok()?;
            Some(Level::Fixed(factor))
        }
    }
}

impl PsamAdf {
    /// The file id under which most PSAMs keep their purchase application. Not of the standard: vendors choose it.
    const COMMON: Self = Self::FileId([0xDF, 0x01]);

    pub(crate) fn select(&self, protocol: Protocol) -> CommandApdu {
        let (p1, name) = match self {
            Self::FileId(id) => (0x00, &id[..]),
            Self::Aid(aid) => (0x04, aid.as_bytes()),
        };
        let header = [0x00, 0xA4, p1, 0x00];
        CommandApdu::new(CommandName::Select, header, name, Some(0x00), protocol)
    }
}

impl Default for PsamAdf {
    fn default() -> Self {
        Self::COMMON
    }
}

impl TryFrom<String> for PsamAdf {
    type Error = PsamAdfError;

    fn try_from(digits: String) -> Result<Self, PsamAdfError> {
        let bytes = hex::decode(digits).map_err(|_| PsamAdfError)?;
        match <[u8; 2]>::try_from(&*bytes) {
            Ok(id) => Ok(Self::FileId(id)),
            Err(_) => Aid::new(&bytes).map(Self::Aid).map_err(|_| PsamAdfError),
        }
    }
}

impl From<PsamAdf> for String {
    fn from(adf: PsamAdf) -> Self {
        match adf {
            PsamAdf::FileId(id) => hex::encode_upper(id),
            PsamAdf::Aid(aid) => aid.into(),
        }
    }
}
