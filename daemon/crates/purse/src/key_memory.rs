//! The pages that hold a SAM's keys.
//!
//! This is the crate's one exception from purity: it asks the kernel for memory. The pages are left out of core
//! dumps (`MADV_DONTDUMP`), lie between two pages that nobody can touch, are kept from swap where the limit of
//! locked memory allows it (`mlock`), and are wiped before they are given back.

use shrouded::{Expose, Policy, ShroudedBytes};

use crate::pboc::DoubleKey;

/// Keys of 16 bytes in protected pages.
pub(crate) struct KeyMemory {
    bytes: ShroudedBytes,
    is_locked: bool,
}

/// The kernel gave no memory at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

impl KeyMemory {
    /// Takes pages for `count` keys (at least one) and lets `fill` write them where they will stay.
    pub(crate) fn new(count: usize, fill: impl Fn(&mut [DoubleKey])) -> Result<Self, NoMemory> {
        let length = count * size_of::<DoubleKey>();
        let under =
            |policy| ShroudedBytes::new_with_policy(length, policy, |bytes| fill(bytes.as_chunks_mut().0));
        // A lock that the system refuses is no reason to stop selling, but one to tell.
        match under(Policy::Strict) {
            Ok(bytes) => Ok(Self {
                bytes,
                is_locked: true,
            }),
            Err(_) => under(Policy::BestEffort).map_err(|_| NoMemory).map(|bytes| Self {
                bytes,
                is_locked: false,
            }),
        }
    }

    pub(crate) fn keys(&self) -> &[DoubleKey] {
        self.bytes.expose().as_chunks().0
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.is_locked
    }
}
