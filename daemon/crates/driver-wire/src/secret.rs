//! Bytes that can carry a PIN or card data: bounded, masked in Debug, wiped when dropped.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::limits;

/// Why bytes cannot be the secret they should be. Names no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Fewer or more bytes than the type allows.
    #[error("wrong length")]
    Length,
    /// Something else than the digits 0 to 9.
    #[error(transparent)]
    Digits(#[from] NotDigits),
}

/// Something else than the digits 0 to 9 where only they may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not only digits")]
pub struct NotDigits;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $min:expr, $max:expr, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<Vec<u8>>);

        impl $name {
            /// Takes a copy of `bytes`; wiping the original is the caller's.
            ///
            /// # Errors
            /// [`SecretError`] for bytes that this type cannot hold.
            pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
                if !($min..=$max).contains(&bytes.len()) {
                    return Err(SecretError::Length);
                }
                $check(bytes)?;
                Ok(Self(Zeroizing::new(bytes.to_vec())))
            }

            /// The bytes. Whoever copies them wipes the copy.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(masked)"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The bytes are borrowed from the frame, which wipes itself; the one copy is ours.
                struct Bytes;
                impl Visitor<'_> for Bytes {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(stringify!($name))
                    }

                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        $name::new(bytes).map_err(E::custom)
                    }
                }
                deserializer.deserialize_bytes(Bytes)
            }
        }
    };
}

secret! {
    /// A command to a card: 4 to 65544 bytes. May be VERIFY with a PIN in it.
    Command, limits::COMMAND_MIN_BYTES, limits::COMMAND_MAX_BYTES, anything
}

secret! {
    /// A card's response: 2 to 65538 bytes, the last two its status word.
    Response, limits::RESPONSE_MIN_BYTES, limits::RESPONSE_MAX_BYTES, anything
}

secret! {
    /// A PIN: 4 to 12 ASCII digits.
    PinDigits, limits::PIN_MIN_DIGITS, limits::PIN_MAX_DIGITS, digits
}

secret! {
    /// An enciphered PIN block: 1 to 64 bytes.
    PinBlock, 1, limits::PIN_BLOCK_MAX_BYTES, anything
}

secret! {
    /// The account digits that a PIN block binds: 12 to 19 ASCII digits, or none where its format binds none.
    Account, 0, 19, digits
}

fn anything(_: &[u8]) -> Result<(), NotDigits> {
    Ok(())
}

fn digits(bytes: &[u8]) -> Result<(), NotDigits> {
    if bytes.iter().all(u8::is_ascii_digit) {
        Ok(())
    } else {
        Err(NotDigits)
    }
}
