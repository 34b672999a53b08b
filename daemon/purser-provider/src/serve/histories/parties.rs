//! Who takes part: cards that make genuine MACs and TACs, and the dice.

use purser_ledger::{Amount, CardId, Currency, DebitKey, OperationId, Scheme, SchemeBytes, Wall};
use purser_provider_link::{Claim, LoadId, LoadOrder};
use purser_purse::pboc::{
    AlgorithmId, Asn, Attempt, CardRandom, ClaimEvidence, DebitAnswer, IssuerId, KeyVersion, Mac2, OfflineSn,
    Proof, PsamTerminalNumber, PurseAmount, PurseKind, Tac, TerminalSn, TerminalTime,
};
use serde_json::{Value, json};

use crate::card_crypto::{DateTime, Initialize, Purchase};
use crate::masters::{CardKeys, KeyFile};

pub(super) const CARDS: [(&str, &str); 3] = [
    ("00000000202600000001", "JPY"),
    ("00000000202600000002", "JPY"),
    ("00000000202600000003", "EUR"),
];
/// Name, merchant, PSAM number.
pub(super) const TILLS: [(&str, &str, u8); 3] = [
    ("till-1", "kiosk", 1),
    ("till-2", "kiosk", 2),
    ("till-3", "other", 3),
];
pub(super) const DESKS: [&str; 2] = ["desk-1", "desk-2"];

const NOW: i64 = 1_795_420_800;

/// `SplitMix64`: the same seed, the same history.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap();
        usize::try_from(self.below(length)).unwrap()
    }

    /// Rather one of the first: what has to meet meets more often.
    pub(super) fn low(&mut self, length: usize) -> usize {
        self.index(length).min(self.index(length))
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(super) fn amount(&mut self) -> u32 {
        u32::try_from(1 + self.below(1_000)).unwrap()
    }
}

/// A load that is released, and not known to have happened.
pub(super) struct InDoubt {
    pub(super) order: LoadOrder,
    /// The load TAC, if the card was credited.
    pub(super) tac: Option<String>,
}

/// A card.
pub(super) struct Card {
    serial: [u8; 10],
    pub(super) currency: Currency,
    keys: CardKeys,
    balance: u32,
    online_sn: u16,
    offline_sn: u16,
    pub(super) in_doubt: Option<InDoubt>,
}

impl Card {
    pub(super) fn new((serial, currency): (&str, &str), keys: &KeyFile) -> Self {
        let serial: [u8; 10] = hex::decode(serial).unwrap().try_into().unwrap();
        Self {
            serial,
            currency: currency.parse().unwrap(),
            keys: keys.version(1).unwrap().card(&serial),
            balance: 0,
            online_sn: 0,
            offline_sn: 0,
            in_doubt: None,
        }
    }

    pub(super) fn amount(&self, minor: u32) -> Amount {
        Amount::new(u64::from(minor), self.currency).unwrap()
    }

    pub(super) fn order(&self, load: u8, minor: u32) -> LoadOrder {
        LoadOrder {
            id: LoadId([load; 16]),
            amount: self.amount(minor),
        }
    }

    /// Pays, with whatever it holds: the provider does not know what it was issued with.
    pub(super) fn pay(&mut self, minor: u32, number: u8, terminal_sn: u32) -> Claim {
        let terminal_number = [0, 0, 0, 0, 0, number];
        let [_, _, asn @ ..] = self.serial;
        let time = TerminalTime::from_local(NOW).unwrap();
        self.offline_sn += 1;
        let attempt = Attempt {
            issuer_id: IssuerId::new([1; 8]),
            asn: Asn::new(asn),
            purse: PurseKind::Ep,
            key_index: 1,
            terminal_number: PsamTerminalNumber::new(terminal_number),
            terminal_sn: TerminalSn::new(terminal_sn),
            offline_sn: OfflineSn::new(self.offline_sn),
            random: CardRandom::new([2; 4]),
            key_version: KeyVersion(1),
            algorithm_id: AlgorithmId(0),
            old_balance: PurseAmount::new(100_000),
            amount: PurseAmount::new(minor),
            time,
        };
        let mut at = DateTime::default();
        at[..4].copy_from_slice(time.date.as_bytes());
        at[4..].copy_from_slice(time.time.as_bytes());
        let purchase = Purchase {
            amount: minor,
            is_ep: true,
            terminal_number,
            terminal_sn,
            at,
        };
        let answer = DebitAnswer {
            tac: Tac::new(purchase.tac(&self.keys.tac)),
            mac2: Mac2::new(purchase.mac2(&self.keys.purchase, [2; 4], self.offline_sn)),
        };
        let evidence = ClaimEvidence::new(attempt, Some(answer), Proof::Mac2Verified).unwrap();
        let mut operation = [number; 16];
        operation[12..].copy_from_slice(&terminal_sn.to_be_bytes());
        Claim {
            operation: OperationId::new(operation),
            key: DebitKey {
                card: CardId::new(Scheme::Pboc, self.serial),
                terminal_number,
                terminal_sn,
            },
            generation: 0,
            amount: self.amount(minor),
            refund_owed: self.amount(0),
            sold_at: wall(),
            parameters_version: 0,
            evidence: SchemeBytes::new(Scheme::Pboc, evidence.encode()).unwrap(),
        }
    }

    /// INITIALIZE FOR LOAD: what went in, and what a terminal tells of it.
    pub(super) fn initialize(&self, minor: u32, number: [u8; 6], random: u64) -> (Initialize, Value) {
        let [.., a, b, c, d] = random.to_be_bytes();
        let initialize = Initialize {
            old_balance: self.balance,
            amount: minor,
            terminal_number: number,
            online_sn: self.online_sn,
            random: [a, b, c, d],
        };
        let told = json!({
            "card": hex::encode(self.serial), "terminal_number": hex::encode(number),
            "old_balance": self.balance, "online_sn": self.online_sn, "key_version": 1, "algorithm": 0,
            "random": hex::encode(initialize.random), "mac1": hex::encode(initialize.mac1(&self.keys.load)),
        });
        (initialize, told)
    }

    /// CREDIT FOR LOAD: the load TAC.
    pub(super) fn credit(&mut self, initialize: &Initialize, released: &Value) -> String {
        let part = |name: &str| hex::decode(released[name].as_str().unwrap()).unwrap();
        let at: DateTime = part("date_time").try_into().unwrap();
        assert_eq!(part("mac2"), initialize.mac2(&self.keys.load, &at));
        self.balance += initialize.amount;
        self.online_sn += 1;
        hex::encode(initialize.tac(&self.keys.tac, &at).unwrap())
    }
}

pub(super) fn wall() -> Wall {
    Wall {
        unix_seconds: NOW,
        utc_offset_seconds: 0,
        trusted: true,
    }
}

/// The claim with a TAC that no card made.
pub(super) fn forged(claim: &Claim) -> Claim {
    let mut bytes = claim.evidence.bytes().to_vec();
    bytes[4] ^= 0x01;
    Claim {
        evidence: SchemeBytes::new(Scheme::Pboc, bytes).unwrap(),
        ..claim.clone()
    }
}
