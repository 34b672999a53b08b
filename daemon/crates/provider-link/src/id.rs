//! Names and numbers that terminal, provider and bank know each other by.

use std::fmt;
use std::str::FromStr;

use purser_ledger::{NAME_BYTES_MAX, NameError};

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}
pub(crate) use bytes_id;

bytes_id! {
    /// SHA-256 over a document's canonical bytes.
    Digest, 32
}
bytes_id! {
    /// A batch's number: random, made by the terminal that seals it, stored before it is sent.
    BatchId, 16
}
bytes_id! {
    /// A permit's number: random, made by the provider. A bank redeems it once, whatever its generation (money rule B1).
    PermitId, 16
}

bytes_id! {
    /// A load's number: random, made by the terminal, stored before the bank is asked.
    LoadId, 16
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name of 1 to [`NAME_BYTES_MAX`] visible ASCII characters.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with the name; ask for another.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if text.is_empty() || text.len() > NAME_BYTES_MAX {
                    Err(NameError::Length)
                } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
                    Ok(Self(text))
                } else {
                    Err(NameError::Character)
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
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
    /// The name under which a provider has enrolled a terminal: the one in the terminal's certificate.
    TerminalName
}
name_type! {
    /// A provider's name: the one in its certificate.
    ProviderName
}

/// How long a bank terminal id is (`ISO 8583:1987 DE 41`, ans 8).
pub const BANK_TERMINAL_ID_BYTES: usize = 8;

/// The number by which a bank knows a terminal, and so the account that it credits. Eight visible ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankTerminalId([u8; BANK_TERMINAL_ID_BYTES]);

impl BankTerminalId {
    /// Wraps the eight characters.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with them; ask the bank for the right ones.
    pub fn new(characters: [u8; BANK_TERMINAL_ID_BYTES]) -> Result<Self, NameError> {
        if characters.iter().all(u8::is_ascii_graphic) {
            Ok(Self(characters))
        } else {
            Err(NameError::Character)
        }
    }

    /// The eight characters.
    pub fn as_bytes(&self) -> &[u8; BANK_TERMINAL_ID_BYTES] {
        &self.0
    }
}

impl fmt::Debug for BankTerminalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A bank account: bank 4, branch 3, type 1, number 7 digits (`ISO 8583:1987 DE 102` in the reference dialect).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankAccount([u8; 15]);

/// The text is not a bank account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bank account is 15 digits: bank 4, branch 3, type 1, number 7")]
pub struct BankAccountError;

impl BankAccountError {
    /// False: the same text gives the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

impl BankAccount {
    /// Wraps fifteen ASCII digits.
    ///
    /// # Errors
    /// [`BankAccountError`] for anything else; ask for the account again.
    pub fn new(digits: [u8; 15]) -> Result<Self, BankAccountError> {
        if digits.iter().all(u8::is_ascii_digit) {
            Ok(Self(digits))
        } else {
            Err(BankAccountError)
        }
    }

    /// The fifteen ASCII digits.
    pub fn digits(&self) -> &[u8; 15] {
        &self.0
    }
}

impl FromStr for BankAccount {
    type Err = BankAccountError;

    fn from_str(text: &str) -> Result<Self, BankAccountError> {
        Self::new(text.as_bytes().try_into().map_err(|_| BankAccountError)?)
    }
}

impl fmt::Debug for BankAccount {
    /// Bank and branch, and the last two digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        write!(f, "{}-{}-…{}", &text[..4], &text[4..7], &text[13..])
    }
}
