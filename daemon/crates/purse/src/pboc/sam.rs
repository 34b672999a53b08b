//! The software SAM: what a PSAM card does, with keys from a credential file.
//!
//! It puts a purchase key into a shop (money rule T3): for laboratories and low limits. Whoever has the key can
//! make MAC1 and MAC2 of every card of its region; TACs, which are what the issuer pays for, it cannot make.
//!
//! Keys lie in protected pages and are read where they lie. The card's key and the session key live in
//! buffers that wipe themselves, inside one function whose stack is wiped after it; no `SoftwareSam` method
//! gives a key out.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroizing, zeroize_stack};

use super::attempt::Attempt;
use super::credential::{self, CredentialError, Level};
use super::ids::{AlgorithmId, KeyVersion, Mac1, Mac2};
use super::mac::{self, Block, DoubleKey};
use crate::key_memory::{KeyMemory, NoMemory};

/// Purchase master keys by version, and what a PSAM does with them.
pub struct SoftwareSam {
    entries: Vec<Entry>,
    keys: KeyMemory,
}

struct Entry {
    version: KeyVersion,
    algorithm: AlgorithmId,
    levels: Vec<Level>,
}

/// Why the SAM cannot serve a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamError {
    /// The SAM holds no key of the version that the card uses.
    #[error(
        "the SAM has no purchase key of version {version}: get a credential from the provider, or take another card"
    )]
    UnknownKeyVersion {
        /// What the card uses.
        version: KeyVersion,
    },
    /// The card uses an algorithm that the SAM's key of this version is not for.
    #[error(
        "the card uses algorithm {algorithm} with its purchase key, which the SAM cannot: take another card"
    )]
    UnsupportedAlgorithm {
        /// What the card uses.
        algorithm: AlgorithmId,
    },
}

impl SamError {
    /// False: the same SAM gives the same answer to the same card.
    pub fn is_transient(self) -> bool {
        match self {
            Self::UnknownKeyVersion { .. } | Self::UnsupportedAlgorithm { .. } => false,
        }
    }
}

/// What MAC2 of an attempt has to be, or that nobody here can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mac2Check {
    /// A SAM has computed it.
    Expected(Mac2),
    /// No SAM here has the key any more; claims say so (rule P6).
    NotCheckable,
}

impl SoftwareSam {
    /// Reads a credential file. The layout is told at the module [`credential`](super::credential).
    ///
    /// The caller wipes `text` afterwards, and should have read it into memory that did not grow meanwhile.
    ///
    /// # Errors
    /// [`CredentialError`] with the line; correct the file.
    pub fn from_credential(text: &[u8]) -> Result<Self, CredentialError> {
        let parsed = credential::parse(text)?;
        let keys = KeyMemory::new(parsed.len(), |keys| {
            for (entry, key) in parsed.iter().zip(keys) {
                entry.write_key(key);
            }
        });
        zeroize_stack::<STACK_BYTES>();
        let keys = keys.map_err(|NoMemory| CredentialError::NoMemory)?;
        let entries = parsed.into_iter().map(|entry| Entry {
            version: entry.version,
            algorithm: entry.algorithm,
            levels: entry.levels,
        });
        Ok(Self {
            entries: entries.collect(),
            keys,
        })
    }

    /// False where the system's limit of locked memory (`RLIMIT_MEMLOCK`) is too small: the keys may then be
    /// written to swap. They stay out of core dumps either way. Tell the operator and go on.
    pub fn is_locked_in_memory(&self) -> bool {
        self.keys.is_locked()
    }

    /// The terminal's authenticator of the attempt.
    ///
    /// # Errors
    /// [`SamError`]: this card cannot pay here.
    pub fn mac1(&self, attempt: &Attempt) -> Result<Mac1, SamError> {
        self.macs(attempt).map(|macs| macs.mac1)
    }

    /// True where `mac2` is what the attempt's card answers when, and only when, it executed the debit.
    ///
    /// The session key is derived again from what the attempt stores, so this works after a restart (rule P6).
    /// The comparison takes the same time for every wrong value.
    ///
    /// # Errors
    /// [`SamError`] where the key is not here any more.
    pub fn check_mac2(&self, attempt: &Attempt, mac2: Mac2) -> Result<bool, SamError> {
        self.macs(attempt).map(|macs| is_equal(macs.mac2, mac2))
    }

    /// What [`Recover`](super::Recover) needs to judge a proof by itself.
    pub fn mac2_check(&self, attempt: &Attempt) -> Mac2Check {
        match self.macs(attempt) {
            Ok(macs) => Mac2Check::Expected(macs.mac2),
            Err(SamError::UnknownKeyVersion { .. } | SamError::UnsupportedAlgorithm { .. }) => {
                Mac2Check::NotCheckable
            }
        }
    }

    fn macs(&self, attempt: &Attempt) -> Result<Macs, SamError> {
        let version = attempt.key_version;
        let (entry, key) = self
            .entries
            .iter()
            .zip(self.keys.keys())
            .find(|(entry, _)| entry.version == version)
            .ok_or(SamError::UnknownKeyVersion { version })?;
        if entry.algorithm != attempt.algorithm_id {
            let algorithm = attempt.algorithm_id;
            return Err(SamError::UnsupportedAlgorithm { algorithm });
        }
        let macs = derive(key, &entry.levels, attempt);
        zeroize_stack::<STACK_BYTES>();
        Ok(macs)
    }
}

pub(crate) fn is_equal(expected: Mac2, found: Mac2) -> bool {
    expected.as_bytes().ct_eq(found.as_bytes()).into()
}

impl fmt::Debug for SoftwareSam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self.entries.iter().map(|entry| entry.version.0);
        f.debug_list().entries(versions).finish()
    }
}

/// How much stack is wiped after keys were used: several times what [`derive`] and the cipher below it take, also
/// without optimisation.
const STACK_BYTES: usize = 32 * 1024;

struct Macs {
    mac1: Mac1,
    mac2: Mac2,
}

/// The one place where a card's key and a session key exist. Not inlined, so that its stack lies below the caller's
/// and can be wiped from there: the cipher's constructors leave key schedules on it when they move them.
#[inline(never)]
fn derive(master_key: &DoubleKey, levels: &[Level], attempt: &Attempt) -> Macs {
    let mut card_key = Zeroizing::new(DoubleKey::default());
    card_key.copy_from_slice(master_key);
    for level in levels {
        let factor = match level {
            Level::Issuer => attempt.issuer_id.as_bytes(),
            Level::Asn => attempt.asn.as_bytes(),
            Level::Fixed(factor) => factor,
        };
        mac::diversify(&mut card_key, factor);
    }
    let mut session_key = Zeroizing::new(Block::default());
    mac::session_key(&card_key, attempt, &mut session_key);
    Macs {
        mac1: mac::purchase_mac1(&session_key, attempt),
        mac2: mac::purchase_mac2(&session_key, attempt),
    }
}
