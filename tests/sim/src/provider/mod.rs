//! The provider: its own rules, the issuer's cryptography, and a store of what it has committed.
//!
//! Each message is one commit: what it changed is kept, and its answer follows, or is lost. There is no state beside it, so that a
//! crash of the provider is a message that was lost, or one whose answer was.

pub(crate) mod batches;
pub(crate) mod loads;

use std::collections::BTreeMap;
use std::sync::Arc;

use purser_engine::{LoadAnswer, LoadAsk, ProviderFailure, SendAttempt};
use purser_lab::card::{Asn, CardDate, CardKeys, CardTime, Mac, Minor, Purchase, PurseKind, TerminalSn};
use purser_lab::issuer::verify_purchase_tac;
use purser_ledger::{Amount, CardId, DebitKey, Scheme};
use purser_provider_link::{Batch, BatchId, Claim, Item, LoadId, PermitId, TerminalName};
use purser_provider_rules::Evidence;
use purser_provider_rules::books::{Account, Books, BooksError, Transfer};
use purser_provider_rules::judge::Charge;
use purser_provider_rules::shadow::Shadow;
use purser_purse::pboc::ClaimEvidence;

use crate::flaw::Flaw;
use crate::kit::Kit;

/// A message to the provider. One that was sent may arrive again at any time, or for the first time.
#[derive(Clone)]
pub(crate) enum Message {
    Announce(Box<Batch>),
    Page(BatchId, u32, Vec<Item>),
    AskPermit(BatchId),
    Void(Box<Batch>),
    Ask(LoadAsk),
    Attempt(SendAttempt),
}

/// How the provider answers a message.
pub(crate) enum Heard {
    Batch(batches::Answer),
    Page,
    Load(Result<LoadAnswer, ProviderFailure>),
}

/// How the provider judges evidence.
pub(crate) enum Issuer {
    /// Every fifth debit's evidence is not the card's: for claims that no card has made.
    FifthIsForged,
    /// By the keys of the cards.
    Keys(Arc<Kit>),
}

/// A permit that was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) permit: PermitId,
    pub(crate) batch: BatchId,
    pub(crate) total: Amount,
}

pub(crate) struct Provider {
    pub(crate) loads: BTreeMap<LoadId, loads::Kept>,
    pub(crate) batches: BTreeMap<BatchId, batches::Kept>,
    pub(crate) charges: BTreeMap<DebitKey, Charge>,
    /// What the merchant owes, also by its other terminals.
    pub(crate) debt: Amount,
    /// Every permit that left it.
    pub(crate) given: Vec<Given>,
    pub(crate) books: Books,
    /// What the books refused.
    pub(crate) broken: Option<BooksError>,
    /// The PSAM terminal number of each terminal that is known by one.
    pub(crate) terminals: BTreeMap<TerminalName, [u8; 6]>,
    cards: BTreeMap<[u8; 10], loads::Keys>,
    shadows: BTreeMap<CardId, Shadow>,
    challenges: u8,
    seconds: u8,
    issuer: Issuer,
    flaw: Flaw,
    /// What the last message about a load has changed, as it was before.
    before: Option<loads::Kept>,
}

impl Provider {
    pub(crate) fn new(debt: Amount, issuer: Issuer, flaw: Flaw) -> Self {
        Self {
            loads: BTreeMap::new(),
            batches: BTreeMap::new(),
            charges: BTreeMap::new(),
            debt,
            given: Vec::new(),
            books: Books::new(debt.currency()),
            broken: None,
            terminals: BTreeMap::new(),
            cards: BTreeMap::new(),
            shadows: BTreeMap::new(),
            challenges: 0,
            seconds: 0,
            issuer,
            flaw,
            before: None,
        }
    }

    /// Issues a card with value on it.
    pub(crate) fn issue(&mut self, serial: [u8; 10], keys: &CardKeys, opening: Amount) {
        self.cards.insert(serial, loads::Keys::of(keys));
        let (shadow, _) = Shadow::default().load(opening);
        self.shadows.insert(CardId::new(Scheme::Pboc, serial), shadow);
        if !opening.is_zero() {
            let (from, to) = (Account::Issued, Account::Outstanding);
            self.book(&[Transfer {
                from,
                to,
                amount: opening,
            }]);
        }
    }

    /// Takes a message.
    pub(crate) fn hear(&mut self, message: &Message, now_unix_seconds: i64) -> Heard {
        match message {
            Message::Announce(batch) => Heard::Batch(self.announce(batch)),
            Message::Page(id, number, items) => {
                self.page(*id, *number, items);
                Heard::Page
            }
            Message::AskPermit(id) => Heard::Batch(self.permit(*id, now_unix_seconds)),
            Message::Void(batch) => {
                self.announce(batch);
                self.give_up(batch.id);
                Heard::Batch(self.announce(batch))
            }
            Message::Ask(ask) => Heard::Load(self.ask(ask)),
            Message::Attempt(send) => Heard::Load(self.attempt(send)),
        }
    }

    /// The provider's process dies and starts again: nothing that was committed is lost.
    pub(crate) fn crash(&mut self) {
        if let (Flaw::ProviderForgetsRelease, Some(before)) = (self.flaw, self.before.take()) {
            self.loads.insert(before.record.id(), before);
        }
    }

    fn book(&mut self, transfers: &[Transfer]) {
        match self.books.after(transfers) {
            Ok(books) => self.books = books,
            Err(error) => self.broken = self.broken.or(Some(error)),
        }
    }

    fn shadow(&self, card: &CardId) -> Shadow {
        self.shadows.get(card).copied().unwrap_or_default()
    }

    /// What checking a claim's evidence comes to.
    fn evidence(&self, claim: &Claim) -> Evidence {
        let kit = match &self.issuer {
            Issuer::FifthIsForged if claim.key.terminal_sn % 5 == 4 => return Evidence::Invalid,
            Issuer::FifthIsForged => return Evidence::Valid,
            Issuer::Keys(kit) => kit,
        };
        let Ok(evidence) = ClaimEvidence::decode(claim.evidence.bytes()) else {
            return Evidence::Invalid;
        };
        let attempt = evidence.attempt();
        let is_of = attempt.asn.as_bytes()[..] == claim.key.card.serial()[2..]
            && *attempt.terminal_number.as_bytes() == claim.key.terminal_number
            && attempt.terminal_sn.value() == claim.key.terminal_sn
            && u64::from(attempt.amount.minor()) == claim.amount.minor();
        if !is_of {
            return Evidence::Differs;
        }
        let Some(answer) = evidence.answer() else {
            return Evidence::Missing;
        };
        let purchase = Purchase {
            purse: PurseKind::Ep,
            amount: Minor(attempt.amount.minor()),
            terminal: purser_lab::card::PsamTerminalNumber(*attempt.terminal_number.as_bytes()),
            terminal_sn: TerminalSn(attempt.terminal_sn.value()),
            date: CardDate(*attempt.time.date.as_bytes()),
            time: CardTime(*attempt.time.time.as_bytes()),
        };
        let card = Asn(*attempt.asn.as_bytes());
        if verify_purchase_tac(&kit.masters, card, &purchase, Mac(*answer.tac.as_bytes())) {
            Evidence::Valid
        } else {
            Evidence::Invalid
        }
    }
}
