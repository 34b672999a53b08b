//! The record chain: each entry's digest covers its number, its content and all entries before it.

use hmac::{Hmac, KeyInit, Mac};
use purser_ledger::Head;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of the key, in bytes: SHA-256's output length, as RFC 2104 §3 asks for.
pub(crate) const KEY_BYTES: usize = 32;

/// The key of the record chain. Whoever lacks it cannot change entries and mend the chain.
pub(crate) struct ChainKey(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainKey(…)")
    }
}

impl ChainKey {
    pub(crate) fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// HMAC-SHA256 over, in this order: the entry's number as eight bytes, most significant first; the digest of the entry
    /// before it (32 zero bytes for the first entry); the content's bytes as stored. The layout never changes.
    pub(crate) fn digest(&self, number: u64, previous: &[u8; 32], content: &[u8]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        mac.update(&number.to_be_bytes());
        mac.update(previous);
        mac.update(content);
        mac.finalize().into_bytes().into()
    }

    /// HMAC-SHA256 over a head, apart from every digest of an entry by its first bytes: an entry's number stands there, and
    /// none is so high.
    pub(crate) fn vouch(&self, head: Head) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        mac.update(&u64::MAX.to_be_bytes());
        mac.update(&head.number.to_be_bytes());
        mac.update(&head.digest);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_a_digest_never_changes() {
        let key = ChainKey::new(Zeroizing::new([7; KEY_BYTES]));
        let first = key.digest(1, &[0; 32], b"{}");
        let second = key.digest(2, &first, b"{}");
        let as_hex = |digest: [u8; 32]| {
            digest
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(
            as_hex(first),
            "f8b9f8bf32b5d19b48f8cd65a5f8a1787fecdcd0bad512ccbd211727b6d4d435"
        );
        assert_eq!(
            as_hex(second),
            "e306c85e3a4e10f7ed11285f05b70e765298d106f8c9a6f01eb3df8072f73960"
        );
    }

    #[test]
    fn the_key_is_never_shown() {
        let shown = format!("{:?}", ChainKey::new(Zeroizing::new([0x41; KEY_BYTES])));
        assert!(!shown.contains("41") && !shown.contains("65"));
    }
}
