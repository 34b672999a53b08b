//! The credential file of a software SAM.
//!
//! A strict part of TOML: one `[[purchase_key]]` table for each key version.
//!
//! ```toml
//! [[purchase_key]]
//! version = 1                                  # as the card tells it in INITIALIZE, 0 to 255
//! algorithm = 0                                # 0 = two-key triple DES, the only one
//! key = "0123456789ABCDEFFEDCBA9876543210"     # the master key, 32 hex digits
//! levels = ["issuer", "asn"]                   # what the card's key is derived by, in this order
//! ```
//!
//! `levels` has one to three entries: `"issuer"` (the issuer id of the card's file 0015), `"asn"` (the card), or a
//! fixed factor of 16 hex digits such as a region's. Left out, it is `["asn"]`.
//!
//! The reader is written here, and not taken from a TOML crate, because it must leave no copy of a key behind: it
//! looks at the text where it lies, and writes key bytes straight into protected memory. The caller wipes the text.

mod reader;

use std::fmt;

pub(crate) use self::reader::parse;
use super::mac::Block;

/// How many keys a credential may hold. Each lies in locked memory, of which the smallest usual limit is 64 KiB.
const KEYS_MAX: usize = 64;

/// One level of key diversification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Issuer,
    Asn,
    Fixed(Block),
}

/// How many levels a card's key may be derived by (epurse facts §1.3).
const LEVELS_MAX: usize = 3;

/// A field of a `[[purchase_key]]` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialField {
    /// `version`.
    Version,
    /// `algorithm`.
    Algorithm,
    /// `key`.
    Key,
    /// `levels`.
    Levels,
}

/// Why a credential was not accepted. Names line and field, never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A line is none of the lines that the file may have.
    #[error("line {line} of the SAM credential is neither [[purchase_key]] nor field = value nor a comment")]
    UnknownLine {
        /// Counted from 1.
        line: usize,
    },
    /// A field comes before the first table.
    #[error("line {line} of the SAM credential: {field} must stand below a line [[purchase_key]]")]
    OutsideTable {
        /// Counted from 1.
        line: usize,
        /// Which field.
        field: CredentialField,
    },
    /// A field comes twice in one table.
    #[error("line {line} of the SAM credential: {field} stands twice in one [[purchase_key]]")]
    RepeatedField {
        /// Counted from 1.
        line: usize,
        /// Which field.
        field: CredentialField,
    },
    /// A field's value is not what the field takes.
    #[error("line {line} of the SAM credential: {field} is {}", field.expected())]
    WrongValue {
        /// Counted from 1.
        line: usize,
        /// Which field.
        field: CredentialField,
    },
    /// A table lacks a field.
    #[error("the [[purchase_key]] at line {line} of the SAM credential has no {field}: {field} is {}", field.expected())]
    MissingField {
        /// The line of the table, counted from 1.
        line: usize,
        /// Which field.
        field: CredentialField,
    },
    /// Two tables have one version.
    #[error("the [[purchase_key]] at line {line} of the SAM credential has the version of an earlier one")]
    RepeatedVersion {
        /// The line of the second table, counted from 1.
        line: usize,
    },
    /// There is no key in it.
    #[error("the SAM credential has no [[purchase_key]]: without a key no card can pay")]
    NoKeys,
    /// There are too many keys in it.
    #[error("the SAM credential has more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// The system gave no memory for the keys.
    #[error("the system gave no memory for the SAM's keys")]
    NoMemory,
}

impl CredentialError {
    /// True only where memory was short; else the same file gives the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NoMemory => true,
            Self::UnknownLine { .. }
            | Self::OutsideTable { .. }
            | Self::RepeatedField { .. }
            | Self::WrongValue { .. }
            | Self::MissingField { .. }
            | Self::RepeatedVersion { .. }
            | Self::NoKeys
            | Self::TooManyKeys => false,
        }
    }
}

impl CredentialField {
    const ALL: [Self; 4] = [Self::Version, Self::Algorithm, Self::Key, Self::Levels];

    fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Levels => "levels",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Version => "a number from 0 to 255",
            Self::Algorithm => "0 (two-key triple DES), the only one that Purser knows",
            Self::Key => "32 hex digits in quotes",
            Self::Levels => "a list of one to three of \"issuer\", \"asn\" or 16 hex digits",
        }
    }
}

impl fmt::Display for CredentialField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
