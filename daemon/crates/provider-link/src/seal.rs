//! Counting a batch up item by item: nobody holds a whole batch in memory.

use purser_ledger::{Amount, AmountError, Currency, Wall};

use crate::codec::digest_of;
use crate::{Batch, BatchId, Digest, Item, ProviderName, TerminalName};

/// The most items of one batch: a million sales settle at once, and a count never overflows.
pub const ITEMS_MAX: u32 = 1_000_000;

/// Why an item cannot be part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The batch has [`ITEMS_MAX`] items: seal it and begin another.
    #[error("a batch has at most {ITEMS_MAX} items")]
    Full,
    /// The item is in another currency: it belongs into a batch of its own.
    #[error("the item is in another currency than its batch")]
    OtherCurrency,
    /// The sums would be too large: seal the batch and begin another.
    #[error("the batch's sum would be too large")]
    TooLarge,
    /// There is nothing to seal.
    #[error("a batch has at least one item")]
    Empty,
}

impl SealError {
    /// False: the same batch gives the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Full | Self::OtherCurrency | Self::TooLarge | Self::Empty => false,
        }
    }
}

impl From<AmountError> for SealError {
    fn from(error: AmountError) -> Self {
        match error {
            AmountError::CurrencyMismatch | AmountError::NotACurrency => Self::OtherCurrency,
            AmountError::TooLarge | AmountError::BelowZero => Self::TooLarge,
        }
    }
}

/// A batch that is being counted: its items' digest and sums so far. The same items in the same order give the same batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    id: BatchId,
    count: u32,
    claimed: Amount,
    refunds: Amount,
    items: Digest,
}

impl Seal {
    /// Begins a batch of this number and currency.
    pub fn begin(id: BatchId, currency: Currency) -> Self {
        Self {
            id,
            count: 0,
            claimed: Amount::zero(currency),
            refunds: Amount::zero(currency),
            // The number is under the digest, so that no page fits into another batch.
            items: digest_of(&[b"PITM\x01", &id.0]),
        }
    }

    /// Counts the next item, or changes nothing.
    ///
    /// # Errors
    /// [`SealError`]: the item cannot be part of this batch; the others can still be sealed.
    pub fn add(&mut self, item: &Item) -> Result<(), SealError> {
        if self.count >= ITEMS_MAX {
            return Err(SealError::Full);
        }
        let (claimed, owed) = match item {
            Item::Claim(claim) => (claim.amount, claim.refund_owed),
            Item::LateRefund(refund) => (Amount::zero(refund.amount.currency()), refund.amount),
        };
        let claimed = self.claimed.checked_add(claimed)?;
        let refunds = self.refunds.checked_add(owed)?;
        self.claimed = claimed;
        self.refunds = refunds;
        self.items = digest_of(&[&self.items.0, &item.digest().0]);
        self.count += 1;
        Ok(())
    }

    /// The counting of a batch as it stood after some item: by the numbers that were kept of it.
    pub fn resume(id: BatchId, count: u32, claimed: Amount, refunds: Amount, items: Digest) -> Self {
        Self {
            id,
            count,
            claimed,
            refunds,
            items,
        }
    }

    /// The sum of the claims' amounts so far.
    pub fn claimed(&self) -> Amount {
        self.claimed
    }

    /// The sum of what is owed to buyers so far.
    pub fn refunds(&self) -> Amount {
        self.refunds
    }

    /// How many items have been counted.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The digest over the items so far: the same on both sides after the same page.
    pub fn items(&self) -> Digest {
        self.items
    }

    /// Seals the batch.
    ///
    /// # Errors
    /// [`SealError::Empty`] for a batch without items.
    pub fn finish(
        self,
        owner: TerminalName,
        generation: u32,
        provider: ProviderName,
        sealed_at: Wall,
    ) -> Result<Batch, SealError> {
        if self.count == 0 {
            return Err(SealError::Empty);
        }
        Ok(Batch {
            id: self.id,
            owner,
            generation,
            provider,
            sealed_at,
            count: self.count,
            claimed: self.claimed,
            refunds: self.refunds,
            items: self.items,
        })
    }

    /// True when the items that were counted are the ones of this sealed batch.
    pub fn is_of(&self, batch: &Batch) -> bool {
        (self.id, self.count, self.claimed, self.refunds, self.items)
            == (batch.id, batch.count, batch.claimed, batch.refunds, batch.items)
    }
}
