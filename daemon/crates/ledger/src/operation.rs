//! A sale as its entries tell it: the fold that every store and the engine share. A settlement has its own
//! ([`crate::Settlement`]), as has a load ([`crate::Load`]).
//!
//! ```text
//!            ┌────────────────────────────────────────► Closed       (nothing ever moved)
//!  (nothing) ┤
//!            └► Intended ─┬───────────────────────────► Paid
//!                  │      ├───────────────────────────► Voided
//!                  ▼      │
//!               InDoubt ──┴─► Queried ─► Paid | Voided
//! ```
//! A sale that is `InDoubt` or `Queried` may also be ended by the provider's signed word (money rule C4).
//! A sale that was ever `InDoubt` may be concluded once, at any time from then on. The claim of a `Paid` one may be presented again,
//! each time that a batch has left it unpaid.

use crate::{
    Amount, CloseReason, Conclusion, Content, DebitKey, DoubtReason, Entry, Head, OperationId, Owner,
    PaidProof, QueryReason, Reference, SaleIntended, SalePaid, SchemeBytes, VoidProof, Wall,
};

/// Where a sale stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ended before any debit was intended.
    Closed(CloseReason),
    /// A debit was intended and its outcome has not been recorded.
    Intended,
    /// The outcome is not known; the card can tell when it returns.
    InDoubt(DoubtReason),
    /// The card could not tell; the provider is asked.
    Queried(QueryReason),
    /// The debit is proven.
    Paid(SalePaid),
    /// The debit is proven not to have happened.
    Voided(VoidProof),
}

/// One sale, folded from its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Purser's number of it.
    pub id: OperationId,
    /// The caller's reference.
    pub reference: Reference,
    /// Who asked.
    pub owner: Owner,
    /// The price.
    pub amount: Amount,
    /// When its first entry was committed.
    pub opened_at: Wall,
    /// When its newest entry was committed.
    pub changed_at: Wall,
    /// The debit that was intended; none for a sale that was closed before.
    pub intended: Option<SaleIntended>,
    /// Where it stands.
    pub standing: Standing,
    /// True once its outcome has been in doubt: only such a sale may be concluded.
    pub was_in_doubt: bool,
    /// What the card answered to the debit, where that is not the proof of it: see [`crate::SaleInDoubt::answer`].
    pub unproven_answer: Option<SchemeBytes>,
    /// The end that the POS chose, if it chose one.
    pub conclusion: Option<Conclusion>,
    /// What the buyer is owed.
    pub refund_owed: Option<Amount>,
    /// The step that the next commit of this operation has.
    pub next_step: u8,
    /// The head at its newest entry.
    pub head: Head,
    /// The head at the entry that proved the debit; printed on the slip.
    pub paid_head: Option<Head>,
    /// The number of the entry that makes its claim: the one that proved the debit, or the newest that presents the claim again. It
    /// stands in the range of the batch that has the claim, or will have it.
    pub claim_entry: Option<u64>,
}

/// A claim is presented again up to this step only. A sale has 256, and leaves some for what the buyer is owed: a claim that was
/// refused so often is refused for ever.
const STEP_TO_PRESENT_MAX: u8 = 200;

/// An entry does not follow from the entries before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The first entry of an operation must open or close it.
    #[error("the operation does not begin with an opening entry")]
    NotOpened,
    /// The entry cannot follow the operation's standing.
    #[error("the entry cannot follow the operation's standing")]
    OutOfOrder,
    /// The entry belongs to another operation.
    #[error("the entry belongs to another operation")]
    OtherOperation,
    /// The entry names another amount than was intended.
    #[error("the entry's amount is not the amount intended")]
    OtherAmount,
    /// The step is not the next one.
    #[error("the step is not the operation's next one")]
    OtherStep,
}

impl FoldError {
    /// False: the same entry gives the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotOpened
            | Self::OutOfOrder
            | Self::OtherOperation
            | Self::OtherAmount
            | Self::OtherStep => false,
        }
    }
}

impl Operation {
    /// Begins an operation with its first entry, which must have step 0.
    ///
    /// # Errors
    /// [`FoldError`]: the entry cannot be an operation's first.
    pub fn begin(content: &Content, head: Head) -> Result<Self, FoldError> {
        let (reference, owner, amount, intended, standing) = match &content.entry {
            Entry::SaleIntended(it) => (
                &it.reference,
                it.owner,
                it.amount,
                Some(it.clone()),
                Standing::Intended,
            ),
            Entry::SaleClosed(it) => (
                &it.reference,
                it.owner,
                it.amount,
                None,
                Standing::Closed(it.reason),
            ),
            Entry::SalePaid(_)
            | Entry::SaleInDoubt(_)
            | Entry::SaleQueried(_)
            | Entry::SaleVoided(_)
            | Entry::SaleConcluded(_)
            | Entry::BatchSealed(_)
            | Entry::BatchExchanged(_)
            | Entry::BatchVoided(_)
            | Entry::LoadBegun(_)
            | Entry::LoadAttempted(_)
            | Entry::LoadReleased(_)
            | Entry::LoadProven(_)
            | Entry::LoadConfirmed(_)
            | Entry::LoadVoided(_)
            | Entry::SalePresentedAgain(_) => return Err(FoldError::NotOpened),
        };
        if content.step != 0 {
            return Err(FoldError::OtherStep);
        }
        Ok(Self {
            id: content.operation,
            reference: reference.clone(),
            owner,
            amount,
            opened_at: content.at,
            changed_at: content.at,
            intended,
            standing,
            was_in_doubt: false,
            unproven_answer: None,
            conclusion: None,
            refund_owed: None,
            next_step: 1,
            head,
            paid_head: None,
            claim_entry: None,
        })
    }

    /// Takes the next entry in, or changes nothing.
    ///
    /// # Errors
    /// [`FoldError`]: the entry cannot follow.
    pub fn apply(&mut self, content: &Content, head: Head) -> Result<(), FoldError> {
        if content.operation != self.id {
            return Err(FoldError::OtherOperation);
        }
        if content.step != self.next_step {
            return Err(FoldError::OtherStep);
        }
        self.apply_entry(&content.entry, head)?;
        self.changed_at = content.at;
        self.next_step = self.next_step.checked_add(1).ok_or(FoldError::OtherStep)?;
        self.head = head;
        Ok(())
    }

    fn apply_entry(&mut self, entry: &Entry, head: Head) -> Result<(), FoldError> {
        match entry {
            Entry::SaleIntended(_)
            | Entry::SaleClosed(_)
            | Entry::BatchSealed(_)
            | Entry::BatchExchanged(_)
            | Entry::BatchVoided(_)
            | Entry::LoadBegun(_)
            | Entry::LoadAttempted(_)
            | Entry::LoadReleased(_)
            | Entry::LoadProven(_)
            | Entry::LoadConfirmed(_)
            | Entry::LoadVoided(_) => return Err(FoldError::OutOfOrder),
            Entry::SalePaid(paid) => {
                self.require(self.is_open() && paid.amount == self.amount)?;
                self.require_word(paid.proof == PaidProof::Provider, paid.answer.is_some())?;
                let abandoned = self.conclusion == Some(Conclusion::Abandoned);
                self.require(paid.refund_owed == abandoned)?;
                self.refund_owed = paid.refund_owed.then_some(self.amount);
                self.standing = Standing::Paid(paid.clone());
                self.paid_head = Some(head);
                self.claim_entry = Some(head.number);
            }
            Entry::SaleVoided(voided) => {
                self.require(self.is_open() && voided.amount == self.amount)?;
                self.require_word(voided.proof == VoidProof::Provider, voided.answer.is_some())?;
                self.standing = Standing::Voided(voided.proof);
            }
            Entry::SaleInDoubt(doubt) => {
                self.require(self.standing == Standing::Intended)?;
                self.standing = Standing::InDoubt(doubt.reason);
                self.was_in_doubt = true;
                self.unproven_answer.clone_from(&doubt.answer);
            }
            Entry::SaleQueried(queried) => {
                self.require(matches!(self.standing, Standing::InDoubt(_)))?;
                self.standing = Standing::Queried(queried.reason);
                // The provider has perhaps been asked with the first one: another one would be another query.
                if self.unproven_answer.is_none() {
                    self.unproven_answer.clone_from(&queried.answer);
                }
            }
            Entry::SaleConcluded(concluded) => {
                self.require(self.was_in_doubt && self.conclusion.is_none())?;
                let owed = self.owed_when(concluded.conclusion);
                self.require(concluded.refund_owed == owed)?;
                self.conclusion = Some(concluded.conclusion);
                self.refund_owed = owed;
            }
            Entry::SalePresentedAgain(again) => {
                let is_paid = matches!(self.standing, Standing::Paid(_));
                self.require(is_paid && again.amount == self.amount)?;
                self.require(self.next_step <= STEP_TO_PRESENT_MAX)?;
                self.claim_entry = Some(head.number);
            }
        }
        Ok(())
    }

    /// True when this entry may be the operation's next one.
    pub fn admits(&self, entry: &Entry) -> bool {
        self.clone().apply_entry(entry, self.head).is_ok()
    }

    fn require(&self, holds: bool) -> Result<(), FoldError> {
        if holds { Ok(()) } else { Err(FoldError::OutOfOrder) }
    }

    /// The provider's word is kept where it is the proof and nowhere else, and only a sale in doubt is asked about.
    fn require_word(&self, is_provider: bool, is_kept: bool) -> Result<(), FoldError> {
        self.require(is_provider == is_kept && (!is_provider || self.was_in_doubt))
    }

    /// What concluding this sale so, now, would make the buyer be owed: its amount when it is paid and abandoned.
    pub fn owed_when(&self, conclusion: Conclusion) -> Option<Amount> {
        let paid = matches!(self.standing, Standing::Paid(_));
        (paid && conclusion == Conclusion::Abandoned).then_some(self.amount)
    }

    /// True while money may have moved without proof either way.
    pub fn is_open(&self) -> bool {
        match self.standing {
            Standing::Intended | Standing::InDoubt(_) | Standing::Queried(_) => true,
            Standing::Closed(_) | Standing::Paid(_) | Standing::Voided(_) => false,
        }
    }

    /// True while a proof or a conclusion can follow. The claim of one that is paid can be presented again at any time.
    pub fn may_get_entries(&self) -> bool {
        self.is_open() || (self.was_in_doubt && self.conclusion.is_none())
    }

    /// True while the card can still tell: it is asked whenever it is presented (money rule P1).
    pub fn waits_for_card(&self) -> bool {
        matches!(self.standing, Standing::Intended | Standing::InDoubt(_))
    }

    /// The debit's key, if a debit was intended.
    pub fn key(&self) -> Option<&DebitKey> {
        self.intended.as_ref().map(|intended| &intended.key)
    }
}
