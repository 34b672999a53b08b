//! What was reached: faults that fired, ends that sales came to. Whatever a list names and no schedule reached fails the run.

use std::fmt::Debug;

use purser_engine::Progress;
use purser_ledger::{
    CloseReason, Conclusion, DoubtReason, Operation, PaidProof, QueryReason, Standing, VoidProof,
};

use crate::fault::FaultKind;
use crate::kit::CardKind;
use crate::rule::{Rule, Violation};

/// The end of a sale, or where it was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndState {
    /// Proven, in this way.
    Paid(PaidProof),
    /// Ended before any debit was intended.
    Closed(CloseReason),
    /// A debit was intended and is proven not to have happened.
    Voided(VoidProof),
    /// Held until the card returns.
    InDoubt(DoubtReason),
    /// Held until the provider answers.
    Queried(QueryReason),
    /// The end that the POS chose.
    Concluded(Conclusion),
    /// Abandoned and proven.
    RefundOwed,
}

const ENDS: &[EndState] = &[
    EndState::Paid(PaidProof::Answer),
    EndState::Paid(PaidProof::Prove),
    EndState::Paid(PaidProof::ProveNotCheckable),
    EndState::Paid(PaidProof::LogOnly),
    EndState::Closed(CloseReason::CancelledByPos),
    EndState::Closed(CloseReason::CancelledByBuyer),
    EndState::Closed(CloseReason::NoCardInTime),
    EndState::Closed(CloseReason::NoPinInTime),
    EndState::Closed(CloseReason::InsufficientFunds),
    EndState::Closed(CloseReason::PinBlocked),
    EndState::Closed(CloseReason::ForeignCard),
    EndState::Closed(CloseReason::CardExpired),
    EndState::Closed(CloseReason::CardBlocked),
    EndState::Closed(CloseReason::CardExhausted),
    EndState::Closed(CloseReason::CurrencyMismatch),
    EndState::Closed(CloseReason::KeyMissing),
    EndState::Closed(CloseReason::PinNotPossible),
    EndState::Closed(CloseReason::CardMisbehaved),
    EndState::Closed(CloseReason::ReaderFailed),
    EndState::Closed(CloseReason::NoRoom),
    EndState::Closed(CloseReason::BooksFull),
    EndState::Closed(CloseReason::Stopped),
    EndState::Closed(CloseReason::PsamNotReady),
    EndState::Closed(CloseReason::PsamBusy),
    EndState::Closed(CloseReason::PsamMismatch),
    EndState::Closed(CloseReason::PsamLocked),
    EndState::Closed(CloseReason::TerminalSnRepeated),
    EndState::Closed(CloseReason::PsamRefuses),
    EndState::Closed(CloseReason::CardSuspect),
    EndState::Voided(VoidProof::CounterUnchanged),
    EndState::Voided(VoidProof::OtherDebit),
    EndState::Voided(VoidProof::NotSent),
    EndState::InDoubt(DoubtReason::AnswerLost),
    EndState::InDoubt(DoubtReason::AnswerInvalid),
    EndState::InDoubt(DoubtReason::DriverLost),
    EndState::InDoubt(DoubtReason::Restarted),
    EndState::InDoubt(DoubtReason::Mac2Refused),
    EndState::InDoubt(DoubtReason::Mac2NotChecked),
    EndState::InDoubt(DoubtReason::Mac2Unanswered),
    EndState::Queried(QueryReason::CardMovedOn),
    EndState::Queried(QueryReason::CardContradicts),
    EndState::Queried(QueryReason::CardRefuses),
    EndState::Queried(QueryReason::Mac2Unproven),
    EndState::Concluded(Conclusion::GoodsGiven),
    EndState::Concluded(Conclusion::Abandoned),
    EndState::RefundOwed,
];

const PROGRESSES: &[Progress] = &[
    Progress::CheckingReference,
    Progress::WaitingForCard,
    Progress::SeveralCards,
    Progress::TakeCardOut,
    Progress::ReadingCard,
    Progress::Resolving,
    Progress::WaitingForPin {
        tries_left: None,
        through_api: false,
    },
    Progress::WaitingForPin {
        tries_left: None,
        through_api: true,
    },
    Progress::CheckingPin,
    Progress::WaitingForSam,
    Progress::Debiting,
    Progress::Ending,
    Progress::NotRecorded,
];

/// True when two are the same but for the tries that a card has left.
pub(crate) fn is_alike(one: Progress, other: Progress) -> bool {
    without_tries(one) == without_tries(other)
}

fn without_tries(progress: Progress) -> Progress {
    match progress {
        Progress::WaitingForPin { through_api, .. } => Progress::WaitingForPin {
            tries_left: None,
            through_api,
        },
        other => other,
    }
}

/// How often each of a list was seen.
#[derive(Clone, Debug)]
struct Counts<T: 'static> {
    of: &'static [T],
    counts: Vec<u64>,
}

impl<T: PartialEq + Debug> Counts<T> {
    fn new(of: &'static [T]) -> Self {
        Self {
            of,
            counts: vec![0; of.len()],
        }
    }

    fn add(&mut self, seen: &T) -> Result<(), Violation> {
        match self.of.iter().position(|listed| listed == seen) {
            Some(index) => self.counts[index] += 1,
            None => return Err(Violation::new(Rule::EveryEndIsListed, format!("{seen:?}"))),
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    fn rows(&self) -> impl Iterator<Item = (&T, u64)> {
        self.of.iter().zip(self.counts.iter().copied())
    }
}

/// Everything that was reached.
#[derive(Clone, Debug)]
pub struct Tally {
    faults: Counts<FaultKind>,
    ends: Counts<EndState>,
    progresses: Counts<Progress>,
    cards: Counts<CardKind>,
    /// Schedules run.
    pub schedules: u64,
    /// Steps taken.
    pub steps: u64,
    /// Sales that came to an end.
    pub sales: u64,
    /// Debits that cards executed.
    pub debits: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            faults: Counts::new(&FaultKind::ALL),
            ends: Counts::new(ENDS),
            progresses: Counts::new(PROGRESSES),
            cards: Counts::new(&CardKind::ALL),
            schedules: 0,
            steps: 0,
            sales: 0,
            debits: 0,
        }
    }
}

impl Tally {
    pub(crate) fn fault(&mut self, fault: FaultKind) {
        self.faults.add(&fault).expect("the list of faults is their own");
    }

    pub(crate) fn card(&mut self, kind: CardKind) {
        self.cards.add(&kind).expect("the list of kinds is their own");
    }

    pub(crate) fn progress(&mut self, progress: Progress) -> Result<(), Violation> {
        self.progresses.add(&without_tries(progress))
    }

    /// Counts where an operation stands, and how it came there.
    pub(crate) fn operation(&mut self, operation: &Operation) -> Result<(), Violation> {
        let end = match &operation.standing {
            Standing::Intended => return Ok(()),
            Standing::Closed(reason) => EndState::Closed(*reason),
            Standing::InDoubt(reason) => EndState::InDoubt(*reason),
            Standing::Queried(reason) => EndState::Queried(*reason),
            Standing::Paid(paid) => EndState::Paid(paid.proof),
            Standing::Voided(proof) => EndState::Voided(*proof),
        };
        self.ends.add(&end)
    }

    pub(crate) fn conclusion(&mut self, operation: &Operation) -> Result<(), Violation> {
        if let Some(conclusion) = operation.conclusion {
            self.ends.add(&EndState::Concluded(conclusion))?;
        }
        if operation.refund_owed.is_some() {
            self.ends.add(&EndState::RefundOwed)?;
        }
        Ok(())
    }

    /// Adds what another worker reached.
    pub fn merge(&mut self, other: &Self) {
        self.faults.merge(&other.faults);
        self.ends.merge(&other.ends);
        self.progresses.merge(&other.progresses);
        self.cards.merge(&other.cards);
        self.schedules += other.schedules;
        self.steps += other.steps;
        self.sales += other.sales;
        self.debits += other.debits;
    }

    /// Every row: what is counted, its name, how often.
    pub fn rows(&self) -> Vec<(&'static str, String, u64)> {
        let mut rows = Vec::new();
        rows.extend(self.faults.rows().map(|(it, n)| ("fault", format!("{it:?}"), n)));
        rows.extend(self.ends.rows().map(|(it, n)| ("end", format!("{it:?}"), n)));
        rows.extend(
            self.progresses
                .rows()
                .map(|(it, n)| ("progress", format!("{it:?}"), n)),
        );
        rows.extend(self.cards.rows().map(|(it, n)| ("card", format!("{it:?}"), n)));
        rows
    }

    /// What should have been reached and was not.
    pub fn missing(&self) -> Vec<String> {
        let rows = self.rows().into_iter();
        // Two sales have to meet at one PSAM for ten seconds, or a card has to lie twice: psam_stories.rs and psam_attacks.rs
        // tell of that.
        let rare = [CloseReason::PsamBusy, CloseReason::CardSuspect];
        let rare = rare.map(|reason| format!("{:?}", EndState::Closed(reason)));
        rows.filter(|(_, name, count)| *count == 0 && !rare.contains(name))
            .map(|(what, name, _)| format!("{what} {name} was never reached"))
            .collect()
    }
}
