//! The head of the record chain: a number and a digest that vouch for every entry up to it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The newest entry's number and chained digest. Printed on slips; `purserd verify-journal --expect` takes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head {
    /// The entry's number; the first entry has 1, an empty journal's head has 0.
    pub number: u64,
    /// The digest over this entry and all before it.
    pub digest: [u8; 32],
}

impl Head {
    /// The head of a journal without entries.
    pub const EMPTY: Self = Self {
        number: 0,
        digest: [0; 32],
    };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, hex::encode(self.digest))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is a number, a colon and 64 hexadecimal digits")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (number, digest) = text.trim().split_once(':').ok_or(HeadError)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digest, &mut bytes).map_err(|_| HeadError)?;
        Ok(Self {
            number: number.parse().map_err(|_| HeadError)?,
            digest: bytes,
        })
    }
}

impl TryFrom<String> for Head {
    type Error = HeadError;

    fn try_from(text: String) -> Result<Self, HeadError> {
        text.parse()
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}
