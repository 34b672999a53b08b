//! The issuer's side of the scheme's cryptography: what only who holds all master keys can do.
//!
//! Source: epurse facts §1.3 and §1.5. Checked against the published vectors that the project keeps.

use des::cipher::{BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A two-key triple DES key.
pub(crate) type Key = [u8; 16];
type Block = [u8; 8];

/// The kind of a load onto the EP purse, the "wallet" (epurse facts §1.4).
const LOAD_EP: u8 = 0x02;
const PURCHASE_ED: u8 = 0x05;
const PURCHASE_EP: u8 = 0x06;

/// A card's key out of a master: `3DES(master, ASN) || 3DES(master, not ASN)`.
pub(crate) fn diversify(master: &Key, asn: &Block) -> Zeroizing<Key> {
    let cipher = TdesEde2::new(master.into());
    let mut key = Zeroizing::new(Key::default());
    key[..8].copy_from_slice(asn);
    key[8..].copy_from_slice(&asn.map(|byte| !byte));
    for half in key.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(half.into());
    }
    key
}

/// What an operator compares to see that two keys are the same: the first three bytes of `3DES(key, 0)`.
pub(crate) fn check_value(key: &Key) -> [u8; 3] {
    let mut block = Block::default();
    TdesEde2::new(key.into()).encrypt_block((&mut block).into());
    [block[0], block[1], block[2]]
}

/// Single-DES CBC-MAC over the data, padded with 80 00…; the left four bytes.
fn mac(key: &Block, data: &[u8]) -> [u8; 4] {
    let cipher = Des::new(key.into());
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(8), 0x00);
    let mut state = Block::default();
    for block in padded.as_chunks::<8>().0 {
        for (byte, input) in state.iter_mut().zip(block) {
            *byte ^= input;
        }
        cipher.encrypt_block((&mut state).into());
    }
    [state[0], state[1], state[2], state[3]]
}

/// `3DES(DLK, card's random || online SN || 8000)`.
fn load_session_key(card_key: &Key, random: [u8; 4], online_sn: u16) -> Zeroizing<Block> {
    let mut session = Zeroizing::new(Block::default());
    session[..4].copy_from_slice(&random);
    session[4..6].copy_from_slice(&online_sn.to_be_bytes());
    session[6] = 0x80;
    TdesEde2::new(card_key.into()).encrypt_block((&mut *session).into());
    session
}

/// The key of a card's TAC: its halves, added bit by bit.
fn tac_key(card_key: &Key) -> Zeroizing<Block> {
    let mut key = Zeroizing::new(Block::default());
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = card_key[index] ^ card_key[index + 8];
    }
    key
}

/// One INITIALIZE FOR LOAD: what went in and what the card answered, but for its MAC1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Initialize {
    pub(crate) old_balance: u32,
    pub(crate) amount: u32,
    pub(crate) terminal_number: [u8; 6],
    pub(crate) online_sn: u16,
    pub(crate) random: [u8; 4],
}

/// The date and time of a CREDIT, BCD: `YYYYMMDDhhmmss`.
pub(crate) type DateTime = [u8; 7];

impl Initialize {
    fn tail(&self) -> Vec<u8> {
        [&self.amount.to_be_bytes()[..], &[LOAD_EP], &self.terminal_number].concat()
    }

    /// MAC1 = MAC(SESLK, old balance || amount || kind || terminal number).
    pub(crate) fn mac1(&self, card_load_key: &Key) -> [u8; 4] {
        let session = load_session_key(card_load_key, self.random, self.online_sn);
        mac(
            &session,
            &[&self.old_balance.to_be_bytes()[..], &self.tail()].concat(),
        )
    }

    /// MAC2 = MAC(SESLK, amount || kind || terminal number || date || time): it lets the card credit itself.
    pub(crate) fn mac2(&self, card_load_key: &Key, at: &DateTime) -> [u8; 4] {
        let session = load_session_key(card_load_key, self.random, self.online_sn);
        mac(&session, &[&self.tail()[..], at].concat())
    }

    /// TAC = MAC(TAC key, new balance || online SN before the load || amount || kind || terminal number || date || time).
    /// None where the new balance would not be one.
    pub(crate) fn tac(&self, card_tac_key: &Key, at: &DateTime) -> Option<[u8; 4]> {
        let new_balance = self.old_balance.checked_add(self.amount)?;
        let sn = self.online_sn.to_be_bytes();
        let data = [&new_balance.to_be_bytes()[..], &sn, &self.tail(), at].concat();
        Some(mac(&tac_key(card_tac_key), &data))
    }
}

/// What a purchase TAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purchase {
    pub(crate) amount: u32,
    pub(crate) is_ep: bool,
    pub(crate) terminal_number: [u8; 6],
    pub(crate) terminal_sn: u32,
    pub(crate) at: DateTime,
}

impl Purchase {
    /// MAC2 = MAC(SESPK, amount), SESPK = 3DES(DPK, card's random || offline SN || last two bytes of the terminal SN). It is the only
    /// thing in a card's answer to a debit that covers the card's own counter.
    pub(crate) fn mac2(&self, card_purchase_key: &Key, random: [u8; 4], offline_sn: u16) -> [u8; 4] {
        let mut session = Zeroizing::new(Block::default());
        session[..4].copy_from_slice(&random);
        session[4..6].copy_from_slice(&offline_sn.to_be_bytes());
        session[6..].copy_from_slice(&self.terminal_sn.to_be_bytes()[2..]);
        TdesEde2::new(card_purchase_key.into()).encrypt_block((&mut *session).into());
        mac(&session, &self.amount.to_be_bytes())
    }

    /// TAC = MAC(TAC key, amount || kind || terminal number || terminal SN || date || time).
    pub(crate) fn tac(&self, card_tac_key: &Key) -> [u8; 4] {
        let kind = if self.is_ep { PURCHASE_EP } else { PURCHASE_ED };
        let amount = self.amount.to_be_bytes();
        let sn = self.terminal_sn.to_be_bytes();
        let data = [&amount[..], &[kind], &self.terminal_number, &sn, &self.at].concat();
        mac(&tac_key(card_tac_key), &data)
    }
}

/// Compares without telling by time where they differ.
pub(crate) fn is_equal(expected: &[u8], found: &[u8]) -> bool {
    expected.ct_eq(found).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(digits: &str) -> [u8; N] {
        let mut bytes = [0; N];
        hex::decode_to_slice(digits, &mut bytes).unwrap();
        bytes
    }

    const KEY: &str = "11223344556677888877665544332211";

    /// The values of the published example, which is a load onto the ED purse: its kind is put in by hand.
    #[test]
    fn load_macs_are_those_of_the_published_example() {
        let session = load_session_key(&bytes(KEY), bytes("11223344"), 0);
        assert_eq!(*session, bytes("9B1D924E05595603"));
        let mac1 = mac(&session, &bytes::<15>("000000000000100001001122334455"));
        assert_eq!(mac1, bytes("2988AE5A"));
        let mac2 = mac(&session, &bytes::<18>("000010000100112233445520111221214822"));
        assert_eq!(mac2, bytes("3A845BF0"));
    }

    const DTK: &str = "00112233445566778899aabbccddeeff";

    /// Values that the project's vectors give; the lab's card and its programs in another language make the same.
    #[test]
    fn tacs_and_card_keys_are_those_of_the_vectors() {
        assert_eq!(*tac_key(&bytes(DTK)), [0x88; 8]);
        let purchase = Purchase {
            amount: 0x1000,
            is_ep: true,
            terminal_number: bytes("001122334455"),
            terminal_sn: 1,
            at: bytes("20120229135100"),
        };
        assert_eq!(purchase.tac(&bytes(DTK)), bytes("B3A0D49C"));
        let initialize = Initialize {
            old_balance: 0,
            amount: 0x1000,
            terminal_number: bytes("001122334455"),
            online_sn: 0,
            random: bytes("11223344"),
        };
        assert_eq!(
            initialize.tac(&bytes(DTK), &bytes("20111221214822")),
            Some(bytes("422E9358"))
        );
        let key = diversify(
            &bytes("0123456789abcdeffedcba9876543210"),
            &bytes("0000000123456789"),
        );
        assert_eq!(*key, bytes("D1238BE9B65C2C76BBF68392F083FD6D"));
    }
}
