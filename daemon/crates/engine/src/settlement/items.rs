//! A batch's items, made from what the journal tells: the same at every time, byte by byte (money rule C5).
//!
//! A reader of the journal gives, for a range, each entry that makes a claim or owes a refund late, with its sale folded from
//! the entries up to the range's end. This makes items of them.
//!
//! A claim that was presented again is a claim at the entry that says so: what it owes to its buyer by then travels inside it, also
//! where an earlier batch held that refund back because it had not paid the claim.

use purser_ledger::{Amount, Claims, Operation, Standing};
use purser_provider_link::{Claim, Item, LateRefund, Seal, SealError};

use super::{CountBatch, Counted};

/// An entry of a batch's range that may make an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settleable {
    /// The entry's number: of a `SalePaid`, of a `SalePresentedAgain`, or of a `SaleConcluded` that owes a refund.
    pub entry: u64,
    /// Its sale, folded from its entries up to the end of the range.
    pub operation: Operation,
}

/// What the journal gave is no entry that can be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry} is no claim and owes no refund; run purserd verify-journal")]
pub struct NotSettleable {
    /// The entry.
    pub entry: u64,
}

impl NotSettleable {
    /// False: the same entries give the same answer.
    pub fn is_transient(self) -> bool {
        false
    }
}

/// The item that this entry makes in a batch that begins behind `after`; none for a refund whose claim is in the same range, and
/// tells of it itself.
///
/// # Errors
/// [`NotSettleable`]: the journal is damaged; nothing is sealed over it.
pub fn item(settleable: &Settleable, after: u64) -> Result<Option<Item>, NotSettleable> {
    let entry = settleable.entry;
    let operation = &settleable.operation;
    let claimed = operation.claim_entry.ok_or(NotSettleable { entry })?;
    if entry == claimed {
        let refund = operation.refund_owed;
        let claim = claim(operation, refund).ok_or(NotSettleable { entry })?;
        return Ok(Some(Item::Claim(claim)));
    }
    let is_claim = operation.paid_head.is_some_and(|paid| paid.number == entry);
    if is_claim {
        // Presented again while its own batch had not ended: no store takes that.
        return Err(NotSettleable { entry });
    }
    let refund = operation.refund_owed.ok_or(NotSettleable { entry })?;
    if claimed > after {
        return Ok(None);
    }
    // The batch of the claim ended before this entry, so that the claim was sealed without its refund.
    let claim = claim(operation, None).ok_or(NotSettleable { entry })?;
    Ok(Some(Item::LateRefund(LateRefund {
        claim: claim.digest(),
        key: claim.key,
        amount: refund,
    })))
}

fn claim(operation: &Operation, refund_owed: Option<Amount>) -> Option<Claim> {
    let Standing::Paid(paid) = &operation.standing else {
        return None;
    };
    let intended = operation.intended.as_ref()?;
    Some(Claim {
        operation: operation.id,
        key: intended.key.clone(),
        generation: intended.generation,
        amount: paid.amount,
        refund_owed: refund_owed.unwrap_or(Amount::zero(paid.amount.currency())),
        sold_at: operation.opened_at,
        parameters_version: intended.parameters_version,
        evidence: paid.evidence.clone(),
    })
}

/// Counts a batch over the pages that a reader of the journal gives.
#[derive(Clone, Debug)]
pub struct Counter {
    asked: CountBatch,
    seal: Seal,
    claims: u32,
}

/// Why a range is not counted to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// The journal gave what cannot be settled.
    #[error(transparent)]
    NotSettleable(#[from] NotSettleable),
    /// The items do not fit into one batch.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The balances say otherwise: a claim would be left behind, or claimed twice.
    #[error("the claims that were counted are not those of the balances; run purserd verify-journal")]
    OtherBalance,
}

impl CountError {
    /// False: the same entries give the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotSettleable(_) | Self::Seal(_) | Self::OtherBalance => false,
        }
    }
}

impl Counter {
    /// Begins to count.
    pub fn new(asked: CountBatch) -> Self {
        let id = purser_provider_link::BatchId(*asked.id.bytes());
        Self {
            seal: Seal::begin(id, asked.currency),
            asked,
            claims: 0,
        }
    }

    /// Counts the next entry of the range.
    ///
    /// # Errors
    /// [`CountError`]: the batch cannot be sealed; tell so.
    pub fn take(&mut self, settleable: &Settleable) -> Result<(), CountError> {
        if let Some(item) = item(settleable, self.asked.after)? {
            self.seal.add(&item)?;
            if matches!(item, Item::Claim(_)) {
                self.claims = self.claims.saturating_add(1);
            }
        }
        Ok(())
    }

    /// The batch, when every entry up to `upto` has been counted; none where there is nothing to settle. `booked` are the claims
    /// that the balances say must stand there; where `has_more`, their sum is an upper bound. So no claim is left behind because a
    /// row of it is lost.
    ///
    /// # Errors
    /// [`CountError`]: the batch cannot be sealed; tell so.
    pub fn finish(self, upto: u64, has_more: bool, booked: Claims) -> Result<Option<Counted>, CountError> {
        let Self { asked, seal, claims } = self;
        let minor = seal.claimed().minor();
        let is_sum = if has_more {
            minor <= booked.minor
        } else {
            minor == booked.minor
        };
        let is_booked = is_sum && u64::from(claims) == booked.count;
        if !is_booked {
            return Err(CountError::OtherBalance);
        }
        if seal.count() == 0 {
            return Ok(None);
        }
        let enrolment = asked.enrolment;
        let (owner, generation, provider) = (enrolment.terminal, enrolment.generation, enrolment.provider);
        let batch = seal.finish(owner, generation, provider, asked.sealed_at)?;
        Ok(Some(Counted {
            batch,
            upto,
            claims,
            has_more,
        }))
    }
}

/// Cuts what a reader gives into the pages that a provider takes: each full but the last, the same at every time.
#[derive(Clone, Debug)]
pub struct Pages {
    items_max: usize,
    after: u64,
    read_to: u64,
    left: Vec<Item>,
}

impl Pages {
    /// The pages of a batch that begins behind this entry, each of so many items.
    pub fn new(after: u64, items_max: usize) -> Self {
        Self {
            items_max,
            after,
            read_to: after,
            left: Vec::new(),
        }
    }

    /// The next page; empty when there is none. `read` gives the settleable entries of the range that come after an entry, in
    /// their order, and none behind the last.
    ///
    /// # Errors
    /// What `read` says, or that it gave what cannot be settled.
    pub fn next<E: From<NotSettleable>>(
        &mut self,
        mut read: impl FnMut(u64) -> Result<Vec<Settleable>, E>,
    ) -> Result<Vec<Item>, E> {
        while self.left.len() < self.items_max {
            let read = read(self.read_to)?;
            let Some(last) = read.last() else { break };
            self.read_to = last.entry;
            for settleable in &read {
                self.left.extend(item(settleable, self.after)?);
            }
        }
        let length = self.left.len().min(self.items_max);
        let rest = self.left.split_off(length);
        Ok(std::mem::replace(&mut self.left, rest))
    }
}
