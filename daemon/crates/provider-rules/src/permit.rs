//! A permit after it was given: paid once, issued again only after proof (money rules B1, B4, B6).
//!
//! ```text
//!  Live ──revocation asked──► Revoking ──bank: unpaid, now unusable──► Revoked ──issued again──► Live, next generation
//!   │                            └──────bank: paid──► Live (its statement will say so, or it is reversed: then ask again)
//!   └── report of the terminal and the bank's statement agree ──► Redeemed
//! ```
//! That a permit has expired proves nothing: the bank may have paid it before, and its answer may be lost. That the bank says
//! "paid" is not the end either: a reversal of the terminal may be on its way. Only a statement is.

use purser_ledger::Amount;
use purser_provider_link::PermitId;

/// Where a permit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It may be presented.
    Live,
    /// The bank has been asked to make it unusable, and has not answered.
    Revoking,
    /// The bank says: unpaid, and now unusable.
    Revoked,
    /// Paid, and both reports agree.
    Redeemed,
}

/// One payment as somebody tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payment {
    /// The bank's reference.
    pub reference: String,
    /// How much.
    pub amount: Amount,
}

/// The bank's answer to a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankSays {
    /// It was not paid, and will not be.
    Unusable,
    /// It is paid at this time. It may still be reversed.
    Paid,
}

/// Why a permit is refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bank has not said that the earlier generation is unpaid and unusable.
    #[error("there is no proof yet that the permit is unpaid and unusable")]
    NotProven,
    /// It is paid.
    #[error("the permit is paid")]
    Paid,
    /// The answer is about another generation.
    #[error("the answer is about another generation")]
    OtherGeneration,
    /// The generations are used up.
    #[error("the permit cannot be issued again any more")]
    Exhausted,
}

impl Refusal {
    /// Its name, as it is told: stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotProven => "NotProven",
            Self::Paid => "Paid",
            Self::OtherGeneration => "OtherGeneration",
            Self::Exhausted => "Exhausted",
        }
    }

    /// True for what succeeds once the bank has answered.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotProven => true,
            Self::Paid | Self::OtherGeneration | Self::Exhausted => false,
        }
    }
}

/// What two reports come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matching {
    /// Only one has come.
    Waiting,
    /// Both agree: the permit is redeemed.
    Matched,
    /// They contradict each other, or the permit: an operator is told.
    Mismatch,
}

/// What the provider keeps of a permit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PermitRecord {
    id: PermitId,
    total: Amount,
    generation: u32,
    phase: Phase,
    report: Option<Payment>,
    statement: Option<Payment>,
}

impl PermitRecord {
    /// Of a permit that is given for the first time. One of nothing has nothing to redeem.
    pub fn new(id: PermitId, total: Amount) -> Self {
        let phase = if total.is_zero() {
            Phase::Redeemed
        } else {
            Phase::Live
        };
        Self {
            id,
            total,
            generation: 1,
            phase,
            report: None,
            statement: None,
        }
    }

    /// The record out of a store: of a permit of which neither report has come.
    pub fn restore(id: PermitId, total: Amount, generation: u32, phase: Phase) -> Self {
        Self {
            generation,
            phase,
            ..Self::new(id, total)
        }
    }

    /// Its number.
    pub fn id(&self) -> PermitId {
        self.id
    }

    /// The newest generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The bank is about to be asked to make it unusable. Store this first.
    ///
    /// # Errors
    /// [`Refusal::Paid`].
    pub fn revoke(&self) -> Result<Self, Refusal> {
        match self.phase {
            Phase::Redeemed => Err(Refusal::Paid),
            _ if self.statement.is_some() => Err(Refusal::Paid),
            Phase::Revoked => Ok(self.clone()),
            Phase::Live | Phase::Revoking => Ok(Self {
                phase: Phase::Revoking,
                ..self.clone()
            }),
        }
    }

    /// The bank's answer about one generation.
    ///
    /// # Errors
    /// [`Refusal::OtherGeneration`] for a late answer about an earlier one; ask again.
    pub fn bank_says(&self, generation: u32, answer: BankSays) -> Result<Self, Refusal> {
        if generation != self.generation {
            return Err(Refusal::OtherGeneration);
        }
        let mut record = self.clone();
        match (self.phase, answer) {
            (Phase::Revoking, BankSays::Unusable) => record.phase = Phase::Revoked,
            (Phase::Revoking, BankSays::Paid) => record.phase = Phase::Live,
            (Phase::Live | Phase::Revoked | Phase::Redeemed, _) => {}
        }
        Ok(record)
    }

    /// The next generation, to be given with a new expiry and token, perhaps to another terminal of the merchant.
    ///
    /// # Errors
    /// [`Refusal::NotProven`] until the bank has said that this one is unusable; [`Refusal::Paid`].
    pub fn issue_again(&self) -> Result<Self, Refusal> {
        match self.phase {
            Phase::Revoked => Ok(Self {
                generation: self.generation.checked_add(1).ok_or(Refusal::Exhausted)?,
                phase: Phase::Live,
                ..self.clone()
            }),
            Phase::Redeemed => Err(Refusal::Paid),
            Phase::Live | Phase::Revoking if self.statement.is_some() => Err(Refusal::Paid),
            Phase::Live | Phase::Revoking => Err(Refusal::NotProven),
        }
    }

    /// The terminal's signed report of the bank's approval.
    pub fn reported(&self, payment: Payment) -> (Self, Matching) {
        let mut record = self.clone();
        let first = record.report.get_or_insert(payment.clone());
        let is_same = *first == payment;
        record.matched(is_same)
    }

    /// The bank's statement names it.
    pub fn stated(&self, payment: Payment) -> (Self, Matching) {
        let mut record = self.clone();
        let first = record.statement.get_or_insert(payment.clone());
        let is_same = *first == payment;
        record.matched(is_same)
    }

    fn matched(mut self, is_same: bool) -> (Self, Matching) {
        let total = self.total;
        let is_of_total = |payment: &Payment| payment.amount == total;
        let all_of_total = self.report.iter().chain(&self.statement).all(is_of_total);
        // What the bank booked although it had said that it would not.
        let booked_after_revocation = self.phase == Phase::Revoked && self.statement.is_some();
        let matching = match (&self.report, &self.statement) {
            _ if !is_same || !all_of_total || booked_after_revocation => Matching::Mismatch,
            (Some(report), Some(statement)) if report == statement => Matching::Matched,
            (Some(_), Some(_)) => Matching::Mismatch,
            (Some(_), None) | (None, Some(_)) | (None, None) => Matching::Waiting,
        };
        if matching == Matching::Matched {
            self.phase = Phase::Redeemed;
        }
        (self, matching)
    }
}
