//! Loads at the provider.

use des::cipher::{BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};
use purser_engine::{LoadAnswer, LoadAsk, LoadPhase, LoadWhat, ProviderFailure, SendAttempt};
use purser_lab::card::CardKeys;
use purser_ledger::{Amount, CardId, Scheme};
use purser_provider_link::{CardSaid, Digest, LoadId, LoadOrder};
use purser_provider_rules::Evidence;
use purser_provider_rules::books::{released, voided};
use purser_provider_rules::load::{Answer, Initialized, Known, LoadRecord, Phase, Refusal, VoidChallenge};

use super::Provider;
use crate::flaw::Flaw;

/// The kind of a load onto the EP purse (epurse facts §1.4).
const LOAD_EP: u8 = 0x02;

type Key = [u8; 16];
type Block = [u8; 8];

/// What the provider keeps of one attempt.
#[derive(Clone, Debug)]
struct Answered {
    number: u8,
    said: CardSaid,
    date_time: [u8; 7],
    mac2: [u8; 4],
}

/// What the provider keeps of one load.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) record: LoadRecord,
    answered: Vec<Answered>,
}

/// The keys of one card that a load needs.
pub(super) struct Keys {
    load: Key,
    tac: Key,
}

impl Keys {
    pub(super) fn of(keys: &CardKeys) -> Self {
        let key = |digits: String| {
            let mut key = Key::default();
            hex::decode_to_slice(digits, &mut key).expect("a key has 32 digits");
            key
        };
        Self {
            load: key(keys.load.to_hex()),
            tac: key(keys.tac.to_hex()),
        }
    }
}

impl Provider {
    /// The bank has booked a load.
    pub(crate) fn open(&mut self, id: LoadId, amount: Amount) {
        let record = LoadRecord::open(None, id, amount, Evidence::Valid).expect("it is booked");
        let answered = Vec::new();
        self.loads.insert(id, Kept { record, answered });
    }

    pub(crate) fn phase(&self, id: LoadId) -> Option<Phase> {
        self.loads.get(&id).map(|kept| kept.record.phase())
    }

    pub(crate) fn ask(&mut self, ask: &LoadAsk) -> Result<LoadAnswer, ProviderFailure> {
        let kept = self.kept(ask.order)?.clone();
        let record = match &ask.what {
            LoadWhat::Show => Ok(kept.record.clone()),
            LoadWhat::BeginVoid if self.flaw == Flaw::ProviderVoidsWithoutProof => Ok(believed(&kept.record)),
            LoadWhat::BeginVoid => {
                self.challenges = self.challenges.wrapping_add(1);
                kept.record.begin_void(VoidChallenge([self.challenges; 6]))
            }
            LoadWhat::ProveVoid(said) => {
                let it = self.initialized(said, kept.record.amount());
                kept.record.void(&it, VoidChallenge(said.terminal_number))
            }
            LoadWhat::Confirm(tac) => kept.record.confirm(self.judge_tac(&kept, *tac)),
        };
        let record = record.map_err(refused)?;
        let answer = standing(&record);
        self.ended(kept.record.phase(), &record);
        if let Some(kept) = self.loads.get_mut(&record.id()) {
            kept.record = record;
        }
        Ok(answer)
    }

    /// What the end of a load moves in the books.
    fn ended(&mut self, before: Phase, record: &LoadRecord) {
        let amount = record.amount();
        match (before, record.phase(), record.card()) {
            (Phase::Released, Phase::Voided, _) => self.book(&[voided(amount)]),
            (Phase::Released, Phase::Done, Some(card)) => {
                let (shadow, transfers) = self.shadow(card).load(amount);
                self.shadows.insert(card.clone(), shadow);
                self.book(&transfers);
            }
            _ => {}
        }
    }

    pub(crate) fn attempt(&mut self, send: &SendAttempt) -> Result<LoadAnswer, ProviderFailure> {
        let kept = self.kept(send.order)?.clone();
        let said = &send.said;
        let amount = kept.record.amount();
        let it = self.initialized(said, amount);
        let known = self.known(kept.record.id(), &it.card);
        let number = match kept.record.attempt(send.number, &it, &known).map_err(refused)? {
            Answer::ReleaseAgain(number) => number,
            Answer::Release(record) => {
                if kept.record.phase() == Phase::Open {
                    self.book(&[released(amount)]);
                }
                self.before = Some(kept.clone());
                self.seconds = (self.seconds + 1) % 60;
                let seconds = self.seconds / 10 * 16 + self.seconds % 10;
                let date_time = [0x20, 0x26, 0x11, 0x23, 0x12, 0x00, seconds];
                let session = session_key(&self.cards[&said.card].load, said);
                let mac2 = mac(&session, &[&tail(said, amount)[..], &date_time].concat());
                let answered = Answered {
                    number: send.number,
                    said: said.clone(),
                    date_time,
                    mac2,
                };
                let kept = self.loads.get_mut(&record.id()).expect("it was found");
                kept.record = record;
                kept.answered.push(answered);
                send.number
            }
        };
        let kept = self.kept(send.order)?;
        let answered = kept.answered.iter().find(|it| it.number == number);
        let answered = answered.expect("an attempt that was released is kept");
        Ok(LoadAnswer::Mac2 {
            number,
            date_time: answered.date_time,
            mac2: answered.mac2,
        })
    }

    fn kept(&self, order: LoadOrder) -> Result<&Kept, ProviderFailure> {
        let kept = self.loads.get(&order.id);
        let kept = kept.filter(|kept| kept.record.amount() == order.amount);
        kept.ok_or_else(|| failure("UnknownLoad", false))
    }

    /// What the provider knows of the card beside this load.
    fn known(&self, id: LoadId, card: &CardId) -> Known {
        let others = self.loads.values().map(|kept| &kept.record);
        let of_card = |it: &&LoadRecord| it.id() != id && it.card() == Some(card);
        let others: Vec<&LoadRecord> = others.filter(of_card).collect();
        let proven = |it: &&LoadRecord| {
            let last = it.last()?.online_sn;
            match it.phase() {
                Phase::Done => last.checked_add(1),
                Phase::Voided => Some(last),
                Phase::Open | Phase::Released => None,
            }
        };
        Known {
            in_doubt: others
                .iter()
                .find(|it| it.phase() == Phase::Released)
                .map(|it| it.id()),
            online_sn_least: others.iter().filter_map(proven).max().unwrap_or(0),
        }
    }

    fn initialized(&self, said: &CardSaid, amount: Amount) -> Initialized {
        let mac1 = match self.cards.get(&said.card) {
            None => Evidence::UnknownKey,
            Some(keys) => {
                let session = session_key(&keys.load, said);
                let data = [&said.old_balance.to_be_bytes()[..], &tail(said, amount)].concat();
                if mac(&session, &data) == said.mac1 {
                    Evidence::Valid
                } else {
                    Evidence::Invalid
                }
            }
        };
        let mut content = [0; 32];
        content[..4].copy_from_slice(&said.random);
        content[4..8].copy_from_slice(&said.mac1);
        content[8..14].copy_from_slice(&said.terminal_number);
        Initialized {
            card: CardId::new(Scheme::Pboc, said.card),
            online_sn: said.online_sn,
            mac1,
            content: Digest(content),
        }
    }

    fn judge_tac(&self, kept: &Kept, tac: [u8; 4]) -> Evidence {
        let amount = kept.record.amount();
        let is_of = |answered: &Answered| {
            let said = &answered.said;
            let tac_key = self.cards[&said.card].tac;
            let key: Block = std::array::from_fn(|index| tac_key[index] ^ tac_key[index + 8]);
            let new = said.old_balance + u32::try_from(amount.minor()).unwrap_or(0);
            let sn = said.online_sn.to_be_bytes();
            let data = [
                &new.to_be_bytes()[..],
                &sn,
                &tail(said, amount),
                &answered.date_time,
            ]
            .concat();
            mac(&key, &data) == tac
        };
        if kept.answered.iter().any(is_of) {
            Evidence::Valid
        } else {
            Evidence::Invalid
        }
    }
}

fn standing(record: &LoadRecord) -> LoadAnswer {
    LoadAnswer::Standing {
        phase: match record.phase() {
            Phase::Open => LoadPhase::Open,
            Phase::Released => LoadPhase::Released,
            Phase::Done => LoadPhase::Done,
            Phase::Voided => LoadPhase::Voided,
        },
        last_attempt: record.last().map_or(0, |it| it.number),
        void_challenge: record.challenge().map(|it| it.0),
    }
}

/// A provider that believes a terminal without a card's proof.
fn believed(record: &LoadRecord) -> LoadRecord {
    let mut stored = record.stored();
    stored.phase = Phase::Voided;
    LoadRecord::restore(stored)
}

fn refused(refusal: Refusal) -> ProviderFailure {
    failure(refusal.name(), refusal.is_transient())
}

pub(crate) fn failure(name: &'static str, is_transient: bool) -> ProviderFailure {
    ProviderFailure {
        name,
        is_transient,
        text: name.to_owned(),
    }
}

fn tail(said: &CardSaid, amount: Amount) -> Vec<u8> {
    let minor = u32::try_from(amount.minor()).unwrap_or(0);
    [&minor.to_be_bytes()[..], &[LOAD_EP], &said.terminal_number].concat()
}

fn session_key(load_key: &Key, said: &CardSaid) -> Block {
    let mut session = Block::default();
    session[..4].copy_from_slice(&said.random);
    session[4..6].copy_from_slice(&said.online_sn.to_be_bytes());
    session[6] = 0x80;
    TdesEde2::new(load_key.into()).encrypt_block((&mut session).into());
    session
}

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
