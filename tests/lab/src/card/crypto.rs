//! The card's cryptography: 3DES with two-part keys, the purse MAC, diversification.
//!
//! Written from the published layouts with RustCrypto's DES; it shares no line with the terminal's side, so that a
//! sale between the two is evidence and not an echo.

use std::fmt;
use std::str::FromStr;

use des::cipher::{Block, BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::values::Mac;

/// One DES block.
const BLOCK: usize = 8;
/// The longest data that the purse ever authenticates (a purchase TAC: 22 bytes) with its padding.
const MAC_DATA_MAX: usize = 32;

/// A two-part 3DES key (`K1 ‖ K2`, used as K1, K2, K1). It never shows its bytes.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key16([u8; 16]);

impl Key16 {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes as hexadecimal digits, for a key file. They are secret wherever the key is.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// One block under this key, EDE with K1, K2, K1.
    pub(crate) fn encrypt(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let cipher = TdesEde2::new(&self.0.into());
        let mut block: Block<TdesEde2> = block.into();
        cipher.encrypt_block(&mut block);
        block.into()
    }

    /// The card's key under this master: `3DES(MK, F) ‖ 3DES(MK, ¬F)` for an eight-byte factor.
    pub fn diversify(&self, factor: [u8; BLOCK]) -> Self {
        let mut key = [0; 16];
        key[..BLOCK].copy_from_slice(&self.encrypt(factor));
        key[BLOCK..].copy_from_slice(&self.encrypt(factor.map(|byte| !byte)));
        Self(key)
    }

    /// The key of a TAC: the two halves, exclusive or.
    pub(crate) fn tac_key(&self) -> Key8 {
        let mut key = [0; BLOCK];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = self.0[index] ^ self.0[index + BLOCK];
        }
        Key8(key)
    }

    /// SESPK: the session key of one purchase.
    pub(crate) fn purchase_session(&self, rnd: [u8; 4], offline_sn: u16, terminal_sn: u32) -> Key8 {
        let [_, _, high, low] = terminal_sn.to_be_bytes();
        self.session(rnd, offline_sn, [high, low])
    }

    /// SESLK: the session key of one load.
    pub(crate) fn load_session(&self, rnd: [u8; 4], online_sn: u16) -> Key8 {
        self.session(rnd, online_sn, [0x80, 0x00])
    }

    fn session(&self, rnd: [u8; 4], sn: u16, tail: [u8; 2]) -> Key8 {
        let mut block = [0; BLOCK];
        block[..4].copy_from_slice(&rnd);
        block[4..6].copy_from_slice(&sn.to_be_bytes());
        block[6..].copy_from_slice(&tail);
        Key8(self.encrypt(block))
    }
}

impl fmt::Debug for Key16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key16(..)")
    }
}

/// Why text is not a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a purse key has exactly 32 hexadecimal digits")]
pub struct NotAKey;

impl FromStr for Key16 {
    type Err = NotAKey;

    fn from_str(digits: &str) -> Result<Self, NotAKey> {
        let mut key = Self([0; 16]);
        hex::decode_to_slice(digits, &mut key.0).map_err(|_| NotAKey)?;
        Ok(key)
    }
}

impl Serialize for Key16 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Key16 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        digits.parse().map_err(serde::de::Error::custom)
    }
}

/// A single-DES key: a session key or a TAC key. It never shows its bytes.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key8([u8; BLOCK]);

impl Key8 {
    /// The purse MAC: DES-CBC over the data padded with `80 00…` (always), IV 0, left four bytes.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Mac {
        let cipher = Des::new(&self.0.into());
        let (data, length) = padded(parts);
        let mut chain: Block<Des> = [0; BLOCK].into();
        for block in data[..length].chunks_exact(BLOCK) {
            for (byte, input) in chain.iter_mut().zip(block) {
                *byte ^= input;
            }
            cipher.encrypt_block(&mut chain);
        }
        let chain: [u8; BLOCK] = chain.into();
        let [a, b, c, d, ..] = chain;
        Mac([a, b, c, d])
    }
}

impl fmt::Debug for Key8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key8(..)")
    }
}

/// The parts, joined and padded, with the length in bytes that counts.
fn padded(parts: &[&[u8]]) -> ([u8; MAC_DATA_MAX], usize) {
    let mut data = [0; MAC_DATA_MAX];
    let mut length = 0;
    for part in parts {
        data[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    data[length] = 0x80;
    (data, (length / BLOCK + 1) * BLOCK)
}

#[cfg(test)]
mod tests {
    //! Values marked published come from the blog pages cnblogs.com/ttss 4280376 and 4280430; the others are ours,
    //! recomputed with a second implementation, and stand as regression values.

    use super::*;

    fn key(digits: &str) -> Key16 {
        digits.parse().unwrap()
    }

    fn bytes(digits: &str) -> Vec<u8> {
        hex::decode(digits).unwrap()
    }

    const BLOG_KEY: &str = "11223344556677888877665544332211";
    const RND: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

    #[test]
    fn load_session_key_and_macs_equal_the_published_ones() {
        let session = key(BLOG_KEY).load_session(RND, 0);
        assert_eq!(session.0.to_vec(), bytes("9B1D924E05595603"));
        assert_eq!(
            session
                .mac(&[&bytes("000000000000100001001122334455")])
                .to_string(),
            "2988AE5A"
        );
        assert_eq!(
            session
                .mac(&[&bytes("000010000100112233445520111221214822")])
                .to_string(),
            "3A845BF0"
        );
    }

    #[test]
    fn purchase_session_key_and_macs_equal_the_published_ones() {
        let session = key(BLOG_KEY).purchase_session(RND, 0, 1);
        assert_eq!(session.0.to_vec(), bytes("003238ABC57659DD"));
        assert_eq!(
            session
                .mac(&[&bytes("000010000600112233445520120229135100")])
                .to_string(),
            "F15CAB75"
        );
        assert_eq!(session.mac(&[&bytes("00001000")]).to_string(), "56988A13");
    }

    #[test]
    fn tac_key_and_tacs_keep_their_regression_values() {
        let tac_key = key("00112233445566778899aabbccddeeff").tac_key();
        assert_eq!(tac_key.0, [0x88; 8]);
        let purchase = bytes("00001000060011223344550000000120120229135100");
        assert_eq!(tac_key.mac(&[&purchase]).to_string(), "B3A0D49C");
        let load = bytes("000010000000000010000200112233445520111221214822");
        assert_eq!(tac_key.mac(&[&load]).to_string(), "422E9358");
    }

    #[test]
    fn diversification_keeps_its_regression_values_at_one_and_two_levels() {
        let master = key("0123456789abcdeffedcba9876543210");
        let asn = [0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89];
        assert_eq!(master.diversify(asn).to_hex(), "d1238be9b65c2c76bbf68392f083fd6d");
        let two = master.diversify([0x22; 8]).diversify(asn);
        assert_eq!(two.to_hex(), "f0f2b49b8c10307c0d42947936693c21");
    }

    #[test]
    fn the_parts_of_a_mac_are_joined_before_they_are_padded() {
        let key = key(BLOG_KEY).load_session(RND, 7);
        let whole = bytes("000102030405060708090A0B0C0D0E0F10111213");
        for cut in 0..=whole.len() {
            assert_eq!(key.mac(&[&whole[..cut], &whole[cut..]]), key.mac(&[&whole]));
        }
    }

    #[test]
    fn aligned_data_gets_a_whole_block_of_padding() {
        assert_eq!(padded(&[&[1; 8]]).1, 16);
        assert_eq!(padded(&[&[1; 7]]).1, 8);
        assert_eq!(padded(&[]).1, 8);
    }

    #[test]
    fn keys_do_not_show_their_bytes() {
        let key = key(BLOG_KEY);
        assert_eq!(format!("{key:?} {:?}", key.tac_key()), "Key16(..) Key8(..)");
    }
}
