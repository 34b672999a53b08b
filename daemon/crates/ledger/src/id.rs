//! Names and numbers with a meaning: each its own type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest reference or device name, in bytes: fits a till's order number and a log line.
pub const NAME_BYTES_MAX: usize = 64;

/// Purser's own number of one sale, vend, load, settlement or collection. Random, made when the operation is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(#[serde(with = "hex::serde")] [u8; 16]);

impl OperationId {
    /// Wraps sixteen random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// The sixteen bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a name was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or longer than [`NAME_BYTES_MAX`].
    #[error("a name has 1 to {NAME_BYTES_MAX} characters")]
    Length,
    /// A character that is not visible ASCII.
    #[error("a name is made of visible ASCII characters without spaces")]
    Character,
}

impl NameError {
    /// False: the same name gives the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Length | Self::Character => false,
        }
    }
}

fn checked_name(text: String) -> Result<String, NameError> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(NameError::Length);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NameError::Character);
    }
    Ok(text)
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Wraps a name of 1 to [`NAME_BYTES_MAX`] visible ASCII characters.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with the name; ask for another.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                checked_name(text.into()).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name_type! {
    /// The caller's own name of an operation, one for each sale attempt; a repeat with the same reference is the same sale.
    Reference
}

name_type! {
    /// The name of a device as the configuration and its driver give it.
    DeviceName
}

/// The user id of the process that asked for an operation and owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner(pub u32);

/// A card technology's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// The PBOC / EN 1546 electronic purse on CPU cards.
    Pboc,
}

/// The most bytes that a scheme may ask the journal to keep in one value: bounds an entry's size.
pub const SCHEME_BYTES_MAX: usize = 1024;

/// Bytes that only their scheme (and the provider) can read: evidence, or what a check after a restart needs.
///
/// Kept byte for byte. The scheme puts its own version into the bytes. At most [`SCHEME_BYTES_MAX`] long.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemeBytes {
    scheme: Scheme,
    #[serde(deserialize_with = "bounded_hex", serialize_with = "hex::serde::serialize")]
    bytes: Vec<u8>,
}

impl SchemeBytes {
    /// Wraps a scheme's bytes; none for more than [`SCHEME_BYTES_MAX`].
    pub fn new(scheme: Scheme, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= SCHEME_BYTES_MAX).then_some(Self { scheme, bytes })
    }

    /// The scheme that can read the bytes.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SchemeBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.scheme, self.bytes.len())
    }
}

fn bounded_hex<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let bytes: Vec<u8> = hex::serde::deserialize(deserializer)?;
    if bytes.len() > SCHEME_BYTES_MAX {
        return Err(serde::de::Error::custom("scheme bytes are too long"));
    }
    Ok(bytes)
}

/// The bytes by which a scheme names one card (PBOC: the application serial number). Shown masked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardId {
    scheme: Scheme,
    #[serde(with = "hex::serde")]
    serial: [u8; 10],
}

impl CardId {
    /// Wraps a card's serial number.
    pub fn new(scheme: Scheme, serial: [u8; 10]) -> Self {
        Self { scheme, serial }
    }

    /// The scheme that issued the serial number.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The whole serial number. Not for logs: use `Display` there.
    pub fn serial(&self) -> &[u8; 10] {
        &self.serial
    }
}

impl fmt::Display for CardId {
    /// The last four hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…{}", hex::encode(&self.serial[8..]))
    }
}

impl fmt::Debug for CardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What makes one debit unique in the world: card, PSAM terminal number, terminal serial number (money rule C2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebitKey {
    /// The card.
    pub card: CardId,
    /// The PSAM terminal number, six bytes.
    #[serde(with = "hex::serde")]
    pub terminal_number: [u8; 6],
    /// The terminal serial number: never used twice by one PSAM terminal number.
    pub terminal_sn: u32,
}
