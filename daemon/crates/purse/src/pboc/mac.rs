//! The scheme's cryptography. Source: epurse facts §1.3.
//!
//! Nothing here keeps a key: keys come in by reference and results go into the caller's buffers, which wipe
//! themselves. What the cipher leaves on the stack is the caller's to wipe (see [`super::sam`]).

use des::cipher::{BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};

use super::attempt::Attempt;
use super::ids::{Mac1, Mac2};

pub(crate) type Block = [u8; 8];
pub(crate) type DoubleKey = [u8; 16];

/// Makes the key of the next level out of `key`: `3DES(key, factor) || 3DES(key, not factor)`.
pub(crate) fn diversify(key: &mut DoubleKey, factor: &Block) {
    let cipher = TdesEde2::new((&*key).into());
    key[..8].copy_from_slice(factor);
    key[8..].copy_from_slice(&factor.map(|byte| !byte));
    for half in key.as_chunks_mut::<8>().0 {
        cipher.encrypt_block(half.into());
    }
}

/// Makes SESPK out of the card's purchase key: `3DES(DPK, challenge || offline SN || end of the terminal SN)`.
pub(crate) fn session_key(card_key: &DoubleKey, attempt: &Attempt, session_key: &mut Block) {
    let [_, _, terminal_sn_end @ ..] = attempt.terminal_sn.to_bytes();
    session_key[..4].copy_from_slice(attempt.random.as_bytes());
    session_key[4..6].copy_from_slice(&attempt.offline_sn.to_bytes());
    session_key[6..].copy_from_slice(&terminal_sn_end);
    TdesEde2::new(card_key.into()).encrypt_block(session_key.into());
}

/// MAC1 of a purchase: amount, kind, PSAM terminal number, date, time.
pub(crate) fn purchase_mac1(session_key: &Block, attempt: &Attempt) -> Mac1 {
    let mut data = [0; 18];
    data[..4].copy_from_slice(&attempt.amount.to_bytes());
    data[4] = attempt.purse.purchase_type();
    data[5..11].copy_from_slice(attempt.terminal_number.as_bytes());
    data[11..15].copy_from_slice(attempt.time.date.as_bytes());
    data[15..].copy_from_slice(attempt.time.time.as_bytes());
    Mac1::new(mac(session_key, &data))
}

/// MAC2 of a purchase: the amount.
pub(crate) fn purchase_mac2(session_key: &Block, attempt: &Attempt) -> Mac2 {
    Mac2::new(mac(session_key, &attempt.amount.to_bytes()))
}

/// Single-DES CBC-MAC from an IV of zeros over the data, padded with 80 and zeros; its left 4 bytes.
pub(crate) fn mac(key: &Block, data: &[u8]) -> [u8; 4] {
    const PADDING: u8 = 0x80;
    let cipher = Des::new(key.into());
    let mut chain = Block::default();
    let (blocks, tail) = data.as_chunks::<8>();
    for block in blocks {
        xor_into(&mut chain, block);
        cipher.encrypt_block((&mut chain).into());
    }
    xor_into(&mut chain, tail);
    chain[tail.len()] ^= PADDING;
    cipher.encrypt_block((&mut chain).into());
    let [left @ .., _, _, _, _] = chain;
    left
}

fn xor_into(chain: &mut Block, data: &[u8]) {
    for (chained, byte) in chain.iter_mut().zip(data) {
        *chained ^= byte;
    }
}

#[cfg(test)]
mod tests;
