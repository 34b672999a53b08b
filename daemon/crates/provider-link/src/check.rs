//! Whether a permit is what the verdicts on a batch come to (money rule T4): the terminal's own sum, item by item.
//!
//! Signatures are checked by the caller, over the bytes that it was sent. Nobody holds a whole batch in memory.

use purser_ledger::{Amount, AmountError, Part};

use crate::{
    Batch, Decision, Digest, ITEMS_MAX, Item, Permit, Seal, SealError, Sum, Verdict, VerdictsDigest,
};

/// Why verdicts or a permit are not believed. The batch stays sealed, and the provider is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A verdict is about another batch.
    #[error("the verdict on place {place} is about another batch")]
    OtherBatch {
        /// The place that was to come.
        place: u32,
    },
    /// A verdict is not the next one: one was left out, repeated or exchanged.
    #[error("a verdict on place {found} came where the one on place {place} was to come")]
    OtherPlace {
        /// The place that was to come.
        place: u32,
        /// The place that came.
        found: u32,
    },
    /// A verdict is about another item than the one that was sealed at its place.
    #[error("the verdict on place {place} is about another item than was sealed there")]
    OtherItem {
        /// The place.
        place: u32,
    },
    /// A late refund is to be paid, or a claim to be owed.
    #[error("the verdict on place {place} cannot be one on that kind of item")]
    OtherKind {
        /// The place.
        place: u32,
    },
    /// A verdict pays or owes another amount than the item's.
    #[error("the verdict on place {place} is over another amount than the item's")]
    OtherAmount {
        /// The place.
        place: u32,
    },
    /// There are fewer verdicts than items, or more.
    #[error("there are verdicts on {found} items of {expected}")]
    OtherCount {
        /// How many items the batch has.
        expected: u32,
        /// How many verdicts came.
        found: u32,
    },
    /// The items are not the ones that were sealed.
    #[error("the items are not the ones that were sealed")]
    OtherItems,
    /// The sums exceed what an amount can hold.
    #[error("the verdicts' sum is too large")]
    TooLarge,
    /// The permit is another batch's.
    #[error("the permit is another batch's")]
    PermitOfOtherBatch,
    /// The permit names other verdicts.
    #[error("the permit names other verdicts than the provider gave")]
    PermitOfOtherVerdicts,
    /// The permit's sums are not those of the verdicts.
    #[error("the permit's sums are not those of the verdicts")]
    PermitOfOtherSum,
}

impl CheckError {
    /// Its name: stable, for people who look at a batch that does not get on.
    pub fn name(self) -> &'static str {
        match self {
            Self::OtherBatch { .. } => "verdict_of_other_batch",
            Self::OtherPlace { .. } => "verdict_of_other_place",
            Self::OtherItem { .. } => "verdict_of_other_item",
            Self::OtherKind { .. } => "verdict_of_other_kind",
            Self::OtherAmount { .. } => "verdict_of_other_amount",
            Self::OtherCount { .. } => "verdicts_missing",
            Self::OtherItems => "items_differ",
            Self::TooLarge => "verdicts_too_large",
            Self::PermitOfOtherBatch => "permit_of_other_batch",
            Self::PermitOfOtherVerdicts => "permit_of_other_verdicts",
            Self::PermitOfOtherSum => "permit_of_other_sum",
        }
    }

    /// False: the same verdicts and the same permit give the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::OtherBatch { .. }
            | Self::OtherPlace { .. }
            | Self::OtherItem { .. }
            | Self::OtherKind { .. }
            | Self::OtherAmount { .. }
            | Self::OtherCount { .. }
            | Self::OtherItems
            | Self::TooLarge
            | Self::PermitOfOtherBatch
            | Self::PermitOfOtherVerdicts
            | Self::PermitOfOtherSum => false,
        }
    }
}

/// The verdicts of a batch, counted as they come in the order of their places. Drop it after an error, and begin again.
#[derive(Clone, Debug)]
pub struct PermitCheck {
    batch: Batch,
    digest: Digest,
    seal: Seal,
    verdicts: VerdictsDigest,
    pay: Part,
    refunds: Part,
    held: Part,
    owe: Part,
}

/// What the verdicts of a batch come to, and that a permit says so. Made by [`PermitCheck::finish`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    permit: Digest,
    pay: Part,
    refunds: Part,
    held: Part,
    owe: Part,
}

impl Judged {
    /// The digest of the permit that was checked.
    pub fn permit(&self) -> Digest {
        self.permit
    }

    /// The claims that are paid, and what is paid for them.
    pub fn pay(&self) -> Part {
        self.pay
    }

    /// Those of them that owe a refund, and the refunds: the provider owes them now.
    pub fn refunds(&self) -> Part {
        self.refunds
    }

    /// The claims that are not paid, held or in dispute.
    pub fn held(&self) -> Part {
        self.held
    }

    /// The late refunds that the provider took over.
    pub fn owe(&self) -> Part {
        self.owe
    }
}

impl PermitCheck {
    /// Of no verdict yet on this batch.
    pub fn begin(batch: Batch) -> Self {
        let currency = batch.claimed.currency();
        let digest = batch.digest();
        Self {
            digest,
            seal: Seal::begin(batch.id, currency),
            verdicts: VerdictsDigest::begin(digest),
            pay: Part::none(currency),
            refunds: Part::none(currency),
            held: Part::none(currency),
            owe: Part::none(currency),
            batch,
        }
    }

    /// The place of the next verdict.
    pub fn place(&self) -> u32 {
        self.seal.count()
    }

    /// Takes a page: these sealed items with the newest verdict on each.
    ///
    /// # Errors
    /// [`CheckError`] by name; the provider is not believed.
    pub fn page(&mut self, items: &[Item], verdicts: &[Verdict]) -> Result<(), CheckError> {
        if items.len() != verdicts.len() {
            return Err(self.other_count(verdicts.len()));
        }
        let mut pairs = items.iter().zip(verdicts);
        pairs.try_for_each(|(item, verdict)| self.take(item, verdict))
    }

    /// Takes the next sealed item with the newest verdict on it.
    ///
    /// # Errors
    /// [`CheckError`] by name; the provider is not believed.
    pub fn take(&mut self, item: &Item, verdict: &Verdict) -> Result<(), CheckError> {
        let place = self.place();
        if place >= self.batch.count {
            return Err(self.other_count(1));
        }
        if verdict.batch != self.digest {
            return Err(CheckError::OtherBatch { place });
        }
        if verdict.place != place {
            let found = verdict.place;
            return Err(CheckError::OtherPlace { place, found });
        }
        if verdict.item != item.digest() {
            return Err(CheckError::OtherItem { place });
        }
        self.count(place, item, verdict.decision)?;
        self.seal.add(item)?;
        self.verdicts = self.verdicts.with(verdict);
        Ok(())
    }

    fn count(&mut self, place: u32, item: &Item, decision: Decision) -> Result<(), CheckError> {
        match (item, decision) {
            (Item::Claim(claim), Decision::Pay(amount)) => {
                if claim.amount.checked_sub(claim.refund_owed) != Ok(amount) {
                    return Err(CheckError::OtherAmount { place });
                }
                self.pay = with(self.pay, amount)?;
                if !claim.refund_owed.is_zero() {
                    self.refunds = with(self.refunds, claim.refund_owed)?;
                }
            }
            (Item::LateRefund(late), Decision::Owe(amount)) => {
                if late.amount != amount {
                    return Err(CheckError::OtherAmount { place });
                }
                self.owe = with(self.owe, amount)?;
            }
            (Item::Claim(claim), Decision::Hold(_) | Decision::Dispute(_)) => {
                self.held = with(self.held, claim.amount)?;
            }
            // It stays owed to the buyer.
            (Item::LateRefund(_), Decision::Hold(_) | Decision::Dispute(_)) => {}
            (Item::Claim(_), Decision::Owe(_)) | (Item::LateRefund(_), Decision::Pay(_)) => {
                return Err(CheckError::OtherKind { place });
            }
        }
        Ok(())
    }

    fn other_count(&self, more: usize) -> CheckError {
        let more = u32::try_from(more).unwrap_or(ITEMS_MAX);
        CheckError::OtherCount {
            expected: self.batch.count,
            found: self.place().saturating_add(more),
        }
    }

    /// Whether this permit is what all the verdicts come to.
    ///
    /// # Errors
    /// [`CheckError`] by name; the permit is not believed.
    pub fn finish(self, permit: &Permit) -> Result<Judged, CheckError> {
        if self.place() != self.batch.count {
            return Err(self.other_count(0));
        }
        if !self.seal.is_of(&self.batch) {
            return Err(CheckError::OtherItems);
        }
        if permit.batch != self.digest {
            return Err(CheckError::PermitOfOtherBatch);
        }
        if permit.verdicts != self.verdicts.digest() {
            return Err(CheckError::PermitOfOtherVerdicts);
        }
        let sum = Sum::net(self.pay.amount, self.owe.amount, permit.sum.debt_before);
        if sum != Ok(permit.sum) {
            return Err(CheckError::PermitOfOtherSum);
        }
        Ok(Judged {
            permit: permit.digest(),
            pay: self.pay,
            refunds: self.refunds,
            held: self.held,
            owe: self.owe,
        })
    }
}

fn with(part: Part, amount: Amount) -> Result<Part, CheckError> {
    Ok(Part {
        count: part.count.saturating_add(1),
        amount: part.amount.checked_add(amount)?,
    })
}

impl From<AmountError> for CheckError {
    fn from(error: AmountError) -> Self {
        match error {
            AmountError::CurrencyMismatch | AmountError::NotACurrency => Self::OtherItems,
            AmountError::TooLarge | AmountError::BelowZero => Self::TooLarge,
        }
    }
}

impl From<SealError> for CheckError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLarge => Self::TooLarge,
            SealError::Full | SealError::OtherCurrency | SealError::Empty => Self::OtherItems,
        }
    }
}
