//! A shop's accumulated sales, paid with the lab's card: real TACs.

use std::sync::Arc;

use purser_lab::card::{Card, CardReply, Minor, Opening, Serial};
use purser_lab::issuer::{LAB_ISSUER, Masters, purchase_key_file};
use purser_ledger::{Amount, CardId, DebitKey, OperationId, Scheme, SchemeBytes, Wall};
use purser_provider_link::{Batch, BatchId, Claim, Item, ProviderName, Seal, TerminalName};
use purser_purse::pboc::{
    AlgorithmId, Asn, Attempt, CardRandom, ClaimEvidence, DebitAnswer, IssuerId, KeyVersion, Mac2, OfflineSn,
    Proof, PsamTerminalNumber, PurseAmount, PurseKind, SoftwareSam, Tac, TerminalSn, TerminalTime,
};

const NOW: i64 = 1_795_420_800;

pub(crate) fn yen(minor: u64) -> Amount {
    Amount::new(minor, "JPY".parse().unwrap()).unwrap()
}

/// A card with money, in a shop's reader.
pub(crate) struct Customer {
    card: Card,
    serial: [u8; 10],
    sam: SoftwareSam,
}

impl Customer {
    pub(crate) fn new(serial: &str) -> Self {
        let serial: [u8; 10] = hex::decode(serial).unwrap().try_into().unwrap();
        let masters = Masters::public_lab();
        let mut personalisation = masters.personalise(Serial(serial));
        personalisation.ep_purchase_needs_pin = false;
        let opening = Opening {
            ep: Minor(1_000_000),
            ..Opening::default()
        };
        let mut card = Card::new(Arc::new(personalisation), opening);
        card.power_on();
        let sam = SoftwareSam::from_credential(purchase_key_file(&masters).as_bytes()).unwrap();
        let mut customer = Self { card, serial, sam };
        let aid = customer.card.personalisation().aid.bytes().to_vec();
        customer.command(
            &[
                &[0x00, 0xA4, 0x04, 0x00, u8::try_from(aid.len()).unwrap()][..],
                &aid,
            ]
            .concat(),
        );
        customer
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
            other => panic!("{other:?}"),
        }
    }

    /// Pays: INITIALIZE, DEBIT, and the claim as the shop accumulates it.
    pub(crate) fn pay(&mut self, amount: u32, terminal: u8, terminal_sn: u32) -> Claim {
        let number = [0, 0, 0, 0, 0, terminal];
        let initialize = [
            &[0x80, 0x50, 0x01, 0x02, 0x0B, 0x01][..],
            &amount.to_be_bytes(),
            &number,
            &[0x0F],
        ];
        let said = self.command(&initialize.concat());
        let [_, _, asn @ ..] = self.serial;
        let attempt = Attempt {
            issuer_id: IssuerId::new(LAB_ISSUER.0),
            asn: Asn::new(asn),
            purse: PurseKind::Ep,
            key_index: 1,
            terminal_number: PsamTerminalNumber::new(number),
            terminal_sn: TerminalSn::new(terminal_sn),
            offline_sn: OfflineSn::new(u16::from_be_bytes(said[4..6].try_into().unwrap())),
            random: CardRandom::new(said[11..15].try_into().unwrap()),
            key_version: KeyVersion(said[9]),
            algorithm_id: AlgorithmId(said[10]),
            old_balance: PurseAmount::new(u32::from_be_bytes(said[..4].try_into().unwrap())),
            amount: PurseAmount::new(amount),
            time: TerminalTime::from_local(NOW).unwrap(),
        };
        let mac1 = self.sam.mac1(&attempt).unwrap();
        let sn = terminal_sn.to_be_bytes();
        let (date, time) = (attempt.time.date, attempt.time.time);
        let head = [0x80, 0x54, 0x01, 0x00, 0x0F];
        let debit = [
            &head[..],
            &sn,
            date.as_bytes(),
            time.as_bytes(),
            mac1.as_bytes(),
            &[0x08],
        ];
        let answer = self.command(&debit.concat());
        let answer = DebitAnswer {
            tac: Tac::new(answer[..4].try_into().unwrap()),
            mac2: Mac2::new(answer[4..].try_into().unwrap()),
        };
        self.claim(attempt, answer, number, terminal_sn)
    }

    fn claim(
        &self,
        attempt: Attempt,
        answer: DebitAnswer,
        terminal_number: [u8; 6],
        terminal_sn: u32,
    ) -> Claim {
        let amount = yen(u64::from(attempt.amount.minor()));
        let evidence = ClaimEvidence::new(attempt, Some(answer), Proof::Mac2Verified).unwrap();
        let mut operation = [0xA0; 16];
        operation[12..].copy_from_slice(&terminal_sn.to_be_bytes());
        Claim {
            operation: OperationId::new(operation),
            key: DebitKey {
                card: CardId::new(Scheme::Pboc, self.serial),
                terminal_number,
                terminal_sn,
            },
            generation: 0,
            amount,
            refund_owed: yen(0),
            sold_at: Wall {
                unix_seconds: NOW,
                utc_offset_seconds: 0,
                trusted: true,
            },
            parameters_version: 0,
            evidence: SchemeBytes::new(Scheme::Pboc, evidence.encode()).unwrap(),
        }
    }
}

/// The claim with a TAC that no card made.
pub(crate) fn forged(claim: &Claim) -> Claim {
    let mut bytes = claim.evidence.bytes().to_vec();
    // `50 01`, the proof, the mark of an answer, then the TAC.
    bytes[4] ^= 0x01;
    Claim {
        evidence: SchemeBytes::new(Scheme::Pboc, bytes).unwrap(),
        ..claim.clone()
    }
}

/// Seals claims.
pub(crate) fn seal(batch: u8, terminal: &str, items: &[Item]) -> Batch {
    seal_at(batch, terminal, 0, items)
}

/// Seals claims as a terminal of this generation, in the currency of the first one.
pub(crate) fn seal_at(batch: u8, terminal: &str, generation: u32, items: &[Item]) -> Batch {
    let currency = match &items[0] {
        Item::Claim(claim) => claim.amount.currency(),
        Item::LateRefund(refund) => refund.amount.currency(),
    };
    let mut seal = Seal::begin(BatchId([batch; 16]), currency);
    for item in items {
        seal.add(item).unwrap();
    }
    let at = Wall {
        unix_seconds: NOW,
        utc_offset_seconds: 0,
        trusted: true,
    };
    let provider = ProviderName::new("provider.example").unwrap();
    let owner = TerminalName::new(terminal).unwrap();
    seal.finish(owner, generation, provider, at).unwrap()
}
