//! What becomes of a claim: one table at every party (money rule C1).
//!
//! ```text
//!            sealed              permitted
//!   Open ─────────────► InBatch ───────────► Paid ── refund owed ──► RefundedInPart | RefundedWhole
//!    ▲  ◄── void ─────────┘ │ │ └─ permitted, with a refund owed ──────────┘
//!    │                 held │ │ disputed
//!    │ upheld               ▼ ▼
//!    └──────────────── Held  InDispute ── disproved ──► Void
//!                        └─ sealed ─► InBatch (presented again, with more evidence)
//! ```

use purser_ledger::Amount;

/// Where a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// Accumulated, in no batch.
    Open,
    /// In a sealed batch that has neither permit nor void.
    InBatch,
    /// A permit covers its whole amount.
    Paid,
    /// Refused for a reason that more evidence may answer.
    Held,
    /// Another valid claim contradicts it.
    InDispute,
    /// A part of it is the buyer's; the rest was paid.
    RefundedInPart,
    /// All of it is the buyer's.
    RefundedWhole,
    /// Disproved: there is no such debit.
    Void,
}

impl Disposition {
    /// Every disposition.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::InBatch,
        Self::Paid,
        Self::Held,
        Self::InDispute,
        Self::RefundedInPart,
        Self::RefundedWhole,
        Self::Void,
    ];

    /// True when nothing changes it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::RefundedInPart | Self::RefundedWhole | Self::Void => true,
            Self::Open | Self::InBatch | Self::Paid | Self::Held | Self::InDispute => false,
        }
    }
}

/// What happens to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It is sealed into a batch, for the first time or again.
    Sealed,
    /// The batch's permit commits, and its verdict pays it.
    Permitted,
    /// The batch's permit commits, and its verdict holds it.
    HeldBack,
    /// The batch's permit commits, and its verdict disputes it.
    Disputed,
    /// The batch is void (money rule B3).
    BatchVoided,
    /// The buyer is owed this much of it.
    RefundOwed(Amount),
    /// A person decided that it is good: it can be presented again.
    Upheld,
    /// There is proof that there was no such debit, or a person decided so.
    Disproved,
}

/// Why an event cannot happen to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// Never in this disposition.
    #[error("this cannot happen to a claim that is {0:?}")]
    NotHere(Disposition),
    /// Not before the batch has its permit or void: its bytes are sealed. Keep the event and give it again then.
    #[error("the claim is in a sealed batch; its end comes first")]
    AfterTheBatch,
    /// A refund has been recorded: it is owed once.
    #[error("a refund of this claim is recorded already")]
    RefundedBefore,
    /// More than the claim's amount, nothing, or another currency.
    #[error("a refund is more than nothing, at most the claim's amount, and in its currency")]
    RefundAmount,
}

impl Impossible {
    /// True for what becomes possible when the batch ends.
    pub fn is_transient(self) -> bool {
        match self {
            Self::AfterTheBatch => true,
            Self::NotHere(_) | Self::RefundedBefore | Self::RefundAmount => false,
        }
    }
}

/// A claim's money and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fate {
    amount: Amount,
    refund: Option<Amount>,
    disposition: Disposition,
}

impl Fate {
    /// Of a claim that has just been accumulated.
    pub fn new(amount: Amount) -> Self {
        Self {
            amount,
            refund: None,
            disposition: Disposition::Open,
        }
    }

    /// Where it stands.
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// Its amount.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// What the buyer is owed of it.
    pub fn refund(&self) -> Amount {
        self.refund.unwrap_or(Amount::zero(self.amount.currency()))
    }

    /// What the merchant is paid for it when it is paid: nothing for one that is void.
    pub fn payable(&self) -> Amount {
        if self.disposition == Disposition::Void {
            return Amount::zero(self.amount.currency());
        }
        let left = self.amount.checked_sub(self.refund());
        left.expect("a refund is at most the amount and in its currency")
    }

    /// The claim after the event.
    ///
    /// # Errors
    /// [`Impossible`] says why not; the claim is as before.
    pub fn after(self, event: Event) -> Result<Self, Impossible> {
        use Disposition::{Held, InBatch, InDispute, Open, Paid, RefundedInPart, RefundedWhole, Void};
        let not_here = Err(Impossible::NotHere(self.disposition));
        let disposition = match (event, self.disposition) {
            (Event::Sealed, Open | Held | InDispute) => InBatch,
            (Event::Permitted, InBatch) => return Ok(self.paid()),
            (Event::HeldBack, InBatch) => Held,
            (Event::Disputed, InBatch) => InDispute,
            (Event::BatchVoided, InBatch) | (Event::Upheld, Held | InDispute) => Open,
            (Event::Disproved, Open | Held | InDispute) => Void,
            (Event::Disproved | Event::RefundOwed(_), InBatch) => return Err(Impossible::AfterTheBatch),
            (Event::RefundOwed(refund), Open | Held | InDispute) => return self.refunded(refund),
            (Event::RefundOwed(refund), Paid) => return self.refunded(refund).map(Self::paid),
            (Event::RefundOwed(_), RefundedInPart | RefundedWhole) => return Err(Impossible::RefundedBefore),
            (Event::Sealed, InBatch | Paid | RefundedInPart | RefundedWhole | Void)
            | (
                Event::Permitted | Event::HeldBack | Event::Disputed | Event::BatchVoided,
                Open | Paid | Held | InDispute | RefundedInPart | RefundedWhole | Void,
            )
            | (Event::Upheld, Open | InBatch | Paid | RefundedInPart | RefundedWhole | Void)
            | (Event::Disproved, Paid | RefundedInPart | RefundedWhole | Void)
            | (Event::RefundOwed(_), Void) => return not_here,
        };
        Ok(Self { disposition, ..self })
    }

    fn refunded(self, refund: Amount) -> Result<Self, Impossible> {
        if self.refund.is_some() {
            return Err(Impossible::RefundedBefore);
        }
        match self.amount.checked_sub(refund) {
            Ok(_) if !refund.is_zero() => Ok(Self {
                refund: Some(refund),
                ..self
            }),
            Ok(_) | Err(_) => Err(Impossible::RefundAmount),
        }
    }

    fn paid(self) -> Self {
        let disposition = match self.refund {
            None => Disposition::Paid,
            Some(refund) if refund == self.amount => Disposition::RefundedWhole,
            Some(_) => Disposition::RefundedInPart,
        };
        Self { disposition, ..self }
    }
}
