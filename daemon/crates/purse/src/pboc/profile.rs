//! Which application, purse and keys of a card a terminal uses.

use serde::{Deserialize, Serialize};

/// Which of the two purses of a PBOC card is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurseKind {
    /// The electronic purse ("wallet"): no PIN by the scheme, though the issuer may want one.
    Ep,
    /// The electronic deposit ("passbook"): always with PIN.
    Ed,
}

impl PurseKind {
    /// P2 of the purse commands, and the byte that names the purse in stored data.
    pub(crate) fn p2(self) -> u8 {
        match self {
            Self::Ed => 0x01,
            Self::Ep => 0x02,
        }
    }

    pub(crate) fn from_p2(p2: u8) -> Option<Self> {
        [Self::Ed, Self::Ep].into_iter().find(|kind| kind.p2() == p2)
    }

    /// The kind (TT) that a load of this purse has in MACs and in the log. Source: epurse facts §1.4.
    pub(crate) fn load_type(self) -> u8 {
        match self {
            Self::Ed => 0x01,
            Self::Ep => 0x02,
        }
    }

    /// The kind (TT) that a purchase from this purse has in MACs and in the log. Source: epurse facts §1.4.
    pub(crate) fn purchase_type(self) -> u8 {
        match self {
            Self::Ed => 0x05,
            Self::Ep => 0x06,
        }
    }
}

/// What a terminal has to know of the cards that it takes. The default is the common EP application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The application's name for SELECT, 5 to 16 bytes (ISO/IEC 7816-5).
    pub aid: Aid,
    /// Which purse pays.
    pub purse: PurseKind,
    /// The index of the card's purchase key.
    pub key_index: u8,
    /// The reference of the card's PIN in VERIFY.
    pub pin_kid: u8,
}

/// The name of a card application, 5 to 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Aid(Vec<u8>);

/// A text that is no application name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an application name (AID) is written as 10 to 32 hex digits")]
pub struct AidError;

impl AidError {
    /// False: the same text gives the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

/// The shortest and the longest application name, in bytes (ISO/IEC 7816-5).
const AID_BYTES: std::ops::RangeInclusive<usize> = 5..=16;

/// The common name of EP applications. Source: epurse facts §1.1.
const COMMON_AID: [u8; 9] = [0xA0, 0x00, 0x00, 0x00, 0x03, 0x86, 0x98, 0x07, 0x01];

impl Aid {
    /// From the bytes.
    ///
    /// # Errors
    /// [`AidError`] for fewer than 5 or more than 16 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, AidError> {
        if AID_BYTES.contains(&bytes.len()) {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(AidError)
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for Aid {
    type Error = AidError;

    fn try_from(digits: String) -> Result<Self, AidError> {
        hex::decode(digits)
            .map_err(|_| AidError)
            .and_then(|bytes| Self::new(&bytes))
    }
}

impl From<Aid> for String {
    fn from(aid: Aid) -> Self {
        hex::encode_upper(aid.0)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            aid: Aid(COMMON_AID.to_vec()),
            purse: PurseKind::Ep,
            key_index: 0x01,
            pin_kid: 0x00,
        }
    }
}
