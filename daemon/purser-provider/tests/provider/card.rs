//! The lab's card as a loading terminal meets it.

use std::sync::Arc;

use purser_lab::card::{Card, CardReply, Minor, Opening, PurseKind, Serial};
use purser_lab::issuer::Masters;
use serde_json::{Value, json};

use crate::support::CARD;

/// A card in a terminal.
pub(crate) struct Inserted {
    card: Card,
    serial: String,
}

impl Inserted {
    /// The card that the furnished provider has issued, empty.
    pub(crate) fn new() -> Self {
        Self::of(CARD)
    }

    /// Any card, empty.
    pub(crate) fn of(serial: &str) -> Self {
        let mut digits = [0; 10];
        hex::decode_to_slice(serial, &mut digits).unwrap();
        let personalisation = Masters::public_lab().personalise(Serial(digits));
        let mut card = Self {
            card: Card::new(Arc::new(personalisation), Opening::default()),
            serial: serial.to_owned(),
        };
        card.insert();
        card
    }

    /// Power, SELECT, VERIFY.
    pub(crate) fn insert(&mut self) {
        self.card.power_on();
        let aid = self.card.personalisation().aid.bytes().to_vec();
        let length = u8::try_from(aid.len()).unwrap();
        self.command(&[&[0x00, 0xA4, 0x04, 0x00, length][..], &aid].concat());
        self.command(&hex::decode("0020000003123456").unwrap());
    }

    fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
        match self.card.process(apdu) {
            CardReply::Answer(mut answer) => {
                assert_eq!(
                    answer.split_off(answer.len() - 2),
                    [0x90, 0x00],
                    "{}",
                    hex::encode(apdu)
                );
                answer
            }
            other => panic!("{other:?} to {}", hex::encode(apdu)),
        }
    }

    /// INITIALIZE FOR LOAD, as a provider wants to have it.
    pub(crate) fn initialize(&mut self, amount: u32, terminal_number: &str) -> Value {
        let number = hex::decode(terminal_number).unwrap();
        let data = [&[0x01][..], &amount.to_be_bytes(), &number].concat();
        let said = self.command(&[&[0x80, 0x50, 0x00, 0x02, 0x0B][..], &data, &[0x10]].concat());
        json!({
            "card": self.serial, "terminal_number": terminal_number,
            "old_balance": u32::from_be_bytes(said[..4].try_into().unwrap()),
            "online_sn": u16::from_be_bytes(said[4..6].try_into().unwrap()),
            "key_version": said[6], "algorithm": said[7],
            "random": hex::encode(&said[8..12]), "mac1": hex::encode(&said[12..16]),
        })
    }

    /// CREDIT FOR LOAD with what the provider has released; the load TAC.
    pub(crate) fn credit(&mut self, released: &Value) -> String {
        let part = |name: &str| hex::decode(released[name].as_str().unwrap()).unwrap();
        let apdu = [
            &[0x80, 0x52, 0x00, 0x00, 0x0B][..],
            &part("date_time"),
            &part("mac2"),
            &[0x04],
        ]
        .concat();
        hex::encode(self.command(&apdu))
    }

    /// GET TRANSACTION PROVE of the last load.
    pub(crate) fn proof(&mut self, online_sn: u16) -> String {
        let apdu = [
            &[0x80, 0x5A, 0x00, 0x02, 0x02][..],
            &online_sn.to_be_bytes(),
            &[0x04],
        ]
        .concat();
        hex::encode(self.command(&apdu))
    }

    pub(crate) fn balance(&self) -> Minor {
        self.card.balance(PurseKind::Ep)
    }
}
