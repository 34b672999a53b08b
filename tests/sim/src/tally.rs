//! What was reached: faults that fired, ends that sales came to. Whatever a list names and no schedule reached fails the run.

use std::fmt::Debug;

use purser_engine::settlement::BatchState;
use purser_engine::{LoadEnd, Progress};
use purser_ledger::{
    CloseReason, Conclusion, DoubtReason, Operation, PaidProof, QueryReason, Standing, VoidProof,
};

use crate::fault::FaultKind;
use crate::kit::CardKind;
use crate::rule::{Rule, Violation};
use crate::seeded::Kind;

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
    /// Loads that cards took.
    pub credits: u64,
    kind: Kind,
    /// What was told of loads and batches.
    party: Counts<PartyEnd>,
}

/// What is told of a load or a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartyEnd {
    LoadConfirmed,
    LoadProven,
    LoadVoided,
    LoadOwed,
    LoadMayBeOnCard,
    BatchExchanged,
    BatchVoided,
}

const PARTY_ENDS: &[PartyEnd] = &[
    PartyEnd::LoadConfirmed,
    PartyEnd::LoadProven,
    PartyEnd::LoadVoided,
    PartyEnd::LoadOwed,
    PartyEnd::LoadMayBeOnCard,
    PartyEnd::BatchExchanged,
    PartyEnd::BatchVoided,
];

impl Default for Tally {
    fn default() -> Self {
        Self::of(Kind::Sales)
    }
}

impl Tally {
    /// Nothing reached yet by schedules of this kind.
    pub fn of(kind: Kind) -> Self {
        let faults: &'static [FaultKind] = match kind {
            Kind::Sales => &FaultKind::ALL,
            Kind::Parties => &FaultKind::OF_PARTIES,
        };
        Self {
            faults: Counts::new(faults),
            ends: Counts::new(ENDS),
            progresses: Counts::new(PROGRESSES),
            cards: Counts::new(&CardKind::ALL),
            schedules: 0,
            steps: 0,
            sales: 0,
            debits: 0,
            credits: 0,
            kind,
            party: Counts::new(PARTY_ENDS),
        }
    }

    pub(crate) fn load_told(&mut self, end: LoadEnd) {
        let end = match end {
            LoadEnd::Loaded {
                is_confirmed: true, ..
            } => PartyEnd::LoadConfirmed,
            LoadEnd::Loaded { .. } => PartyEnd::LoadProven,
            LoadEnd::Voided => PartyEnd::LoadVoided,
            LoadEnd::Owed {
                may_be_on_card: true, ..
            } => PartyEnd::LoadMayBeOnCard,
            LoadEnd::Owed { .. } => PartyEnd::LoadOwed,
        };
        self.party.add(&end).expect("the list of ends is their own");
    }

    pub(crate) fn batch_told(&mut self, state: BatchState) {
        let end = match state {
            BatchState::Exchanged => PartyEnd::BatchExchanged,
            _ => PartyEnd::BatchVoided,
        };
        self.party.add(&end).expect("the list of ends is their own");
    }

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
        self.party.merge(&other.party);
        self.schedules += other.schedules;
        self.steps += other.steps;
        self.sales += other.sales;
        self.debits += other.debits;
        self.credits += other.credits;
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
        if self.kind == Kind::Parties {
            rows.extend(self.party.rows().map(|(it, n)| ("told", format!("{it:?}"), n)));
        }
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
        // With both parties sales have good cards and no PSAM: what they come to otherwise is reached by schedules of sales.
        let is_asked = |what: &str| self.kind == Kind::Sales || matches!(what, "fault" | "told");
        rows.filter(|(what, name, count)| *count == 0 && !rare.contains(name) && is_asked(what))
            .map(|(what, name, _)| format!("{what} {name} was never reached"))
            .collect()
    }
}
