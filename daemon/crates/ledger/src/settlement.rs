//! A settlement as its entries tell it, and where settlement stands in each currency.
//!
//! ```text
//!  (nothing) ──► Sealed ─┬─► Exchanged
//!                        └─► Voided      (its range is free again)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    BatchExchanged, BatchSealed, BatchVoided, Content, Currency, Entry, FoldError, Head, Operation,
    OperationId, Wall,
};

/// Where a batch stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchStanding {
    /// It is fixed, and the provider is asked for its permit.
    Sealed,
    /// Its claims have left, its permit has entered.
    Exchanged(BatchExchanged),
    /// It will never be paid.
    Voided(BatchVoided),
}

/// One settlement, folded from its entries. Its number is the batch's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Purser's number of it.
    pub id: OperationId,
    /// The batch as it was sealed.
    pub sealed: BatchSealed,
    /// When it was sealed.
    pub opened_at: Wall,
    /// When its newest entry was committed.
    pub changed_at: Wall,
    /// Where it stands.
    pub standing: BatchStanding,
    /// The step that the next commit of this settlement has.
    pub next_step: u8,
    /// The head at its newest entry.
    pub head: Head,
}

impl Settlement {
    /// Begins a settlement with its first entry, which must have step 0.
    ///
    /// # Errors
    /// [`FoldError`]: the entry cannot be a settlement's first.
    pub fn begin(content: &Content, head: Head) -> Result<Self, FoldError> {
        let Entry::BatchSealed(sealed) = &content.entry else {
            return Err(FoldError::NotOpened);
        };
        if content.step != 0 {
            return Err(FoldError::OtherStep);
        }
        if !sealed.is_sound() {
            return Err(FoldError::OtherAmount);
        }
        Ok(Self {
            id: content.operation,
            sealed: sealed.clone(),
            opened_at: content.at,
            changed_at: content.at,
            standing: BatchStanding::Sealed,
            next_step: 1,
            head,
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
        self.standing = self.after(&content.entry)?;
        self.changed_at = content.at;
        self.next_step = self.next_step.checked_add(1).ok_or(FoldError::OtherStep)?;
        self.head = head;
        Ok(())
    }

    fn after(&self, entry: &Entry) -> Result<BatchStanding, FoldError> {
        if !self.is_under_way() {
            return Err(FoldError::OutOfOrder);
        }
        match entry {
            Entry::BatchExchanged(exchanged) if exchanged.is_of(&self.sealed) => {
                Ok(BatchStanding::Exchanged(exchanged.clone()))
            }
            Entry::BatchVoided(voided) if voided.claims == self.sealed.claims => {
                Ok(BatchStanding::Voided(voided.clone()))
            }
            Entry::BatchExchanged(_) | Entry::BatchVoided(_) => Err(FoldError::OtherAmount),
            _ => Err(FoldError::OutOfOrder),
        }
    }

    /// True when this entry may be the settlement's next one.
    pub fn admits(&self, entry: &Entry) -> bool {
        self.after(entry).is_ok()
    }

    /// True while the batch is sealed and neither exchanged nor voided.
    pub fn is_under_way(&self) -> bool {
        match self.standing {
            BatchStanding::Sealed => true,
            BatchStanding::Exchanged(_) | BatchStanding::Voided(_) => false,
        }
    }

    /// The batch's currency.
    pub fn currency(&self) -> Currency {
        self.sealed.currency()
    }
}

/// Where settlement stands in each currency: where the last exchanged batch ends, and which batch is under way. A store
/// guards with it that no claim comes into two batches; a start goes on from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batches {
    ends: BTreeMap<Currency, u64>,
    under_way: BTreeMap<Currency, Settlement>,
    blocked: BTreeSet<Currency>,
}

impl Batches {
    /// Of a journal in which nothing was ever settled.
    pub const fn new() -> Self {
        Self {
            ends: BTreeMap::new(),
            under_way: BTreeMap::new(),
            blocked: BTreeSet::new(),
        }
    }

    /// As a store's rows tell it: where the exchanged batches of each currency end, what is under way, and in which currencies
    /// there is a batch under way that cannot be read.
    pub fn of(
        ends: impl IntoIterator<Item = (Currency, u64)>,
        under_way: impl IntoIterator<Item = Settlement>,
        blocked: BTreeSet<Currency>,
    ) -> Self {
        let by_currency = |settlement: Settlement| (settlement.currency(), settlement);
        Self {
            ends: ends.into_iter().collect(),
            under_way: under_way.into_iter().map(by_currency).collect(),
            blocked,
        }
    }

    /// The entry behind which the next batch of this currency begins.
    pub fn next_after(&self, currency: Currency) -> u64 {
        self.ends.get(&currency).copied().unwrap_or(0)
    }

    /// The batch of this currency that is under way.
    pub fn under_way(&self, currency: Currency) -> Option<&Settlement> {
        self.under_way.get(&currency)
    }

    /// Every batch that is under way.
    pub fn all_under_way(&self) -> impl Iterator<Item = &Settlement> {
        self.under_way.values()
    }

    /// The batch under way that has this number.
    pub fn by_id(&self, id: OperationId) -> Option<&Settlement> {
        self.under_way.values().find(|settlement| settlement.id == id)
    }

    /// True when a batch of this currency is under way that cannot be read: none is sealed before it is mended.
    pub fn is_blocked(&self, currency: Currency) -> bool {
        self.blocked.contains(&currency)
    }

    /// Whether this batch may be sealed now, in a journal whose newest entry has this number: it begins where the last exchanged
    /// one ends, no other is under way, and its range is all written.
    pub fn admit(&self, sealed: &BatchSealed, newest: u64) -> bool {
        let currency = sealed.currency();
        !self.under_way.contains_key(&currency)
            && !self.blocked.contains(&currency)
            && sealed.after == self.next_after(currency)
            && sealed.upto <= newest
    }

    /// Whether the batch that has this sale's claim was exchanged. Only then can its claim be presented again: one that is in a batch
    /// under way, or in none, will be settled as it is. Whether that batch paid it is told by its verdicts.
    pub fn has_left(&self, sale: &Operation) -> bool {
        sale.claim_entry
            .is_some_and(|entry| entry <= self.next_after(sale.amount.currency()))
    }

    /// Takes over how a settlement stands after its newest entry.
    pub fn take(&mut self, settlement: &Settlement) {
        let currency = settlement.currency();
        match &settlement.standing {
            BatchStanding::Sealed => {
                self.under_way.insert(currency, settlement.clone());
            }
            BatchStanding::Exchanged(_) => {
                self.under_way.remove(&currency);
                self.ends.insert(currency, settlement.sealed.upto);
            }
            BatchStanding::Voided(_) => {
                self.under_way.remove(&currency);
            }
        }
    }
}
