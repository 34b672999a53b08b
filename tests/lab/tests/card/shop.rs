//! A shop's terminal, a few lines of DES, and shorthands.

use std::sync::Arc;

use des::cipher::{BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};
use purser_lab::card::{Card, CardReply, Minor, Opening, Personalisation};
use purser_lab::chip::Chip;
use purser_lab::issuer::{LAB_SERIAL, Masters};

pub(crate) const SELECT: &str = "00A4040009A00000000386980701";
pub(crate) const VERIFY: &str = "0020000003123456";
pub(crate) const TERMINAL: &str = "112233445566";
pub(crate) const DATE_TIME: &str = "20261102153000";
pub(crate) const PURCHASE_MASTER: &str = "00112233445566778899AABBCCDDEEFF";
pub(crate) const TAC_MASTER: &str = "0123456789ABCDEFFEDCBA9876543210";
pub(crate) const LOAD_MASTER: &str = "0F1E2D3C4B5A69788796A5B4C3D2E1F0";
pub(crate) const ASN: &str = "0000202600000001";

/// A card with 1,000 in each purse, changed as the test wants.
pub(crate) fn card_with(change: impl FnOnce(&mut Personalisation)) -> Card {
    let mut personalisation = Masters::public_lab().personalise(LAB_SERIAL);
    change(&mut personalisation);
    let opening = Opening {
        ed: Minor(1000),
        ep: Minor(1000),
        sn: 0,
    };
    let mut card = Card::new(Arc::new(personalisation), opening);
    card.power_on();
    card
}

pub(crate) fn card() -> Card {
    card_with(|_| ())
}

/// Sends hexadecimal digits, answers hexadecimal digits.
pub(crate) fn send(card: &mut impl Chip, apdu: &str) -> String {
    match card.process(&bytes(apdu)) {
        CardReply::Answer(answer) => hex::encode_upper(answer),
        other => panic!("{apdu} got {other:?}"),
    }
}

/// Selects, verifies the PIN, and checks both.
pub(crate) fn open(card: &mut Card) {
    assert!(send(card, SELECT).ends_with("9000"));
    assert_eq!(send(card, VERIFY), "9000");
}

pub(crate) fn bytes(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

pub(crate) fn initialize(purse: u8, amount: u32) -> String {
    format!("805001{purse:02X}0B01{amount:08X}{TERMINAL}")
}

pub(crate) fn initialize_load(purse: u8, amount: u32) -> String {
    format!("805000{purse:02X}0B01{amount:08X}{TERMINAL}")
}

/// What INITIALIZE FOR PURCHASE answered, and all that the shop computes from it.
pub(crate) struct Sale {
    pub(crate) old_balance: u32,
    pub(crate) sn: u16,
    pub(crate) debit: String,
    pub(crate) mac2: String,
    pub(crate) tac: String,
}

impl Sale {
    /// Begins a purchase of this amount with this terminal SN.
    pub(crate) fn begin(card: &mut Card, purse: u8, amount: u32, terminal_sn: u32) -> Self {
        let answer = send(card, &initialize(purse, amount));
        assert_eq!(answer.len(), 34, "{answer}");
        assert_eq!(
            &answer[12..22],
            "0000000100",
            "no overdraft, key version 1, algorithm 0"
        );
        assert!(answer.ends_with("9000"));
        let (sn, rnd) = (&answer[8..12], &answer[22..30]);
        let kind = if purse == 1 { 0x05 } else { 0x06 };
        let session = tdes(
            &diversify(PURCHASE_MASTER),
            &format!("{rnd}{sn}{:04X}", terminal_sn & 0xFFFF),
        );
        let mac1 = mac(&session, &format!("{amount:08X}{kind:02X}{TERMINAL}{DATE_TIME}"));
        let covered = format!("{amount:08X}{kind:02X}{TERMINAL}{terminal_sn:08X}{DATE_TIME}");
        Self {
            old_balance: u32::from_str_radix(&answer[..8], 16).unwrap(),
            sn: u16::from_str_radix(sn, 16).unwrap(),
            debit: format!("805401000F{terminal_sn:08X}{DATE_TIME}{mac1}08"),
            mac2: mac(&session, &format!("{amount:08X}")),
            tac: mac(&tac_key(), &covered),
        }
    }

    pub(crate) fn answer(&self) -> String {
        format!("{}{}9000", self.tac, self.mac2)
    }

    /// GET TRANSACTION PROVE for the SN that this sale makes.
    pub(crate) fn prove(&self, purse: u8) -> String {
        format!("805A00{:02X}02{:04X}08", purse + 4, self.sn + 1)
    }

    pub(crate) fn proof(&self) -> String {
        format!("{}{}9000", self.mac2, self.tac)
    }
}

pub(crate) fn diversify(master: &str) -> String {
    diversify_by(master, ASN)
}

pub(crate) fn diversify_by(master: &str, factor: &str) -> String {
    let complement: Vec<u8> = bytes(factor).iter().map(|byte| !byte).collect();
    tdes(master, factor) + &tdes(master, &hex::encode(complement))
}

pub(crate) fn tac_key() -> String {
    let key = bytes(&diversify(TAC_MASTER));
    let halves = key[..8].iter().zip(&key[8..]);
    hex::encode(halves.map(|(left, right)| left ^ right).collect::<Vec<u8>>())
}

pub(crate) fn tdes(key: &str, block: &str) -> String {
    let key: [u8; 16] = bytes(key).try_into().unwrap();
    let block: [u8; 8] = bytes(block).try_into().unwrap();
    let mut block = block.into();
    TdesEde2::new(&key.into()).encrypt_block(&mut block);
    hex::encode_upper(block)
}

pub(crate) fn mac(key: &str, data: &str) -> String {
    let key: [u8; 8] = bytes(key).try_into().unwrap();
    let cipher = Des::new(&key.into());
    let mut data = bytes(data);
    data.push(0x80);
    data.resize(data.len().next_multiple_of(8), 0);
    let last = data.chunks(8).fold([0; 8], |chain, block| {
        let mixed: [u8; 8] = std::array::from_fn(|i| chain[i] ^ block[i]);
        let mut mixed = mixed.into();
        cipher.encrypt_block(&mut mixed);
        mixed.into()
    });
    hex::encode_upper(&last[..4])
}
