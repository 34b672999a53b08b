//! What is tried with every crash point: the cards, their ways, and the SAMs.

use crate::kit::CardKind;

/// What the card does at the first DEBIT that it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AtDebit {
    /// It leaves before it receives it.
    NotReceived,
    /// It executes it and leaves: the answer is lost.
    AnswerLost,
    /// It executes it and answers.
    Answered,
    /// It executes it and answers noise.
    Garbage,
}

/// Where the card goes when it is first out of the engine's sight: after a tear, or after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Away {
    /// Nowhere.
    Stays,
    /// It is taken out and put in again.
    Returns,
    /// Another shop debits it.
    Debited,
    /// It is loaded elsewhere.
    Loaded,
    /// Another shop debits it, then it is loaded.
    Both,
}

/// The cards and the money on them. The last one is empty after the sale and another shop's debit: then it refuses INITIALIZE
/// with any amount.
const CARDS: [(CardKind, u32); 4] = [
    (CardKind::NeedsPin, 1_000),
    (CardKind::PinFree, 1_000),
    (CardKind::RefusesZero, 1_000),
    (CardKind::RefusesZero, 350),
];
const AT_DEBIT: [AtDebit; 4] = [
    AtDebit::NotReceived,
    AtDebit::AnswerLost,
    AtDebit::Answered,
    AtDebit::Garbage,
];
const AWAY: [Away; 5] = [
    Away::Stays,
    Away::Returns,
    Away::Debited,
    Away::Loaded,
    Away::Both,
];
/// The SAM of the shop, and when it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AtSam {
    /// Keys in the process.
    Software,
    /// A PSAM that stays in its reader.
    Psam,
    /// A PSAM that loses its power before it gets the sale's INIT_SAM.
    LostBeforeInit,
    /// A PSAM that loses its power before the intent is on the disk.
    LostBeforeIntent,
    /// A PSAM that loses its power before the card gets its DEBIT.
    LostBeforeDebit,
    /// A PSAM that loses its power before it gets MAC2.
    LostBeforeCheck,
    /// A PSAM that has checked MAC2, and its answer is lost.
    CheckLost,
    /// A PSAM that is taken out before it gets MAC2, and put in when nothing else happens.
    OutBeforeCheck,
    /// A PSAM that refuses the sale's INIT_SAM as if it were locked.
    InitRefused,
    /// A PSAM that refuses to check MAC2.
    CheckRefused,
    /// A PSAM whose driver is killed before it gets MAC2, for the sake of somebody else's card.
    CheckHeldUp,
}

const AT_SAM: [AtSam; 11] = [
    AtSam::Software,
    AtSam::Psam,
    AtSam::LostBeforeInit,
    AtSam::LostBeforeIntent,
    AtSam::LostBeforeDebit,
    AtSam::LostBeforeCheck,
    AtSam::CheckLost,
    AtSam::OutBeforeCheck,
    AtSam::InitRefused,
    AtSam::CheckRefused,
    AtSam::CheckHeldUp,
];

/// One sale: the card, what it does, where it goes, and the SAM.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) card: CardKind,
    pub(super) balance: u32,
    pub(super) at_debit: AtDebit,
    pub(super) away: Away,
    pub(super) at_sam: AtSam,
}

impl Case {
    /// Every case. A PSAM adds nothing to how a card is asked, so its losses are not tried with every card.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (at_sam, (card, balance)) in AT_SAM.iter().flat_map(|it| CARDS.map(|card| (*it, card))) {
            let is_needed = matches!(at_sam, AtSam::Software | AtSam::Psam) || card == CardKind::PinFree;
            for (at_debit, away) in AT_DEBIT.iter().flat_map(|it| AWAY.map(|away| (*it, away))) {
                let case = Self {
                    card,
                    balance,
                    at_debit,
                    away,
                    at_sam,
                };
                all.extend(is_needed.then_some(case));
            }
        }
        all
    }

    /// True where every pair of crash points is tried too: it takes many times as long.
    pub(super) fn has_pairs(&self) -> bool {
        let is_plain = self.card == CardKind::PinFree && matches!(self.away, Away::Stays | Away::Debited);
        match self.at_sam {
            AtSam::Software => true,
            AtSam::Psam | AtSam::LostBeforeCheck => is_plain,
            _ => false,
        }
    }
}
