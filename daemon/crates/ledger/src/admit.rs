//! Whether a store may take a commit: one set of rules for every store.

use crate::{
    AnyOperation, Batches, Books, Commit, Entry, FoldError, Head, Operation, Owner, Reference, Refused,
    Settlement,
};

/// What a store looks up before it asks [`admit`].
#[derive(Clone, Copy, Debug)]
pub struct Existing<'a> {
    /// The sale that has the commit's operation id.
    pub operation: Option<&'a Operation>,
    /// The settlement that has it.
    pub settlement: Option<&'a Settlement>,
    /// The operation that has the reference of an opening entry.
    pub by_reference: Option<&'a Operation>,
    /// True when the entry intends a debit and another operation has its PSAM terminal number and terminal serial number,
    /// with whatever card: a terminal never uses a number twice (money rule T1).
    pub debit_key_is_taken: bool,
    /// Where settlement stands.
    pub batches: &'a Batches,
    /// False when there is no free room for an entry that needs it ([`Entry::needs_free_room`]).
    pub has_room: bool,
}

/// The operation and the books as they are once `commit` is stored with this head. Nothing is changed in place.
///
/// # Errors
/// [`Refused`], the first in its order of precedence that applies.
pub fn admit(
    commit: &Commit,
    head: Head,
    existing: Existing<'_>,
    books: &Books,
) -> Result<(AnyOperation, Books), Refused> {
    let operation = folded(commit, head, existing)?;
    if existing.debit_key_is_taken {
        return Err(Refused::DebitKeyExists);
    }
    let mut books = books.clone();
    for transfer in commit.entry.transfers() {
        books.transfer(transfer).map_err(|_| Refused::BalanceOutOfRange)?;
    }
    if let Entry::SaleIntended(intended) = &commit.entry
        && !books.have_room(intended.amount.currency())
    {
        // Room in the books as on the disk: once intended, the claim must fit whatever else is in doubt or in a batch.
        return Err(Refused::BalanceOutOfRange);
    }
    if commit.entry.needs_free_room() && !existing.has_room {
        return Err(Refused::NoRoom);
    }
    Ok((operation, books))
}

fn folded(commit: &Commit, head: Head, existing: Existing<'_>) -> Result<AnyOperation, Refused> {
    let content = commit.content();
    if let Some(operation) = existing.operation {
        let mut operation = operation.clone();
        let applied = operation.apply(&content, head);
        applied.map_err(|error| refused_fold(error, commit, &operation))?;
        return Ok(AnyOperation::Sale(operation));
    }
    if let Some(settlement) = existing.settlement {
        let mut settlement = settlement.clone();
        let applied = settlement.apply(&content, head);
        applied.map_err(|_| Refused::OutOfOrder)?;
        return Ok(AnyOperation::Settlement(settlement));
    }
    if let Some((reference, owner, amount)) = opening(&commit.entry)
        && let Some(other) = existing.by_reference
    {
        debug_assert!(other.reference == *reference);
        return Err(Refused::by_existing(other, owner, amount));
    }
    if let Entry::BatchSealed(sealed) = &commit.entry
        && !existing.batches.admit(sealed, head.number.saturating_sub(1))
    {
        return Err(Refused::OutOfOrder);
    }
    AnyOperation::begin(&content, head).map_err(|_| Refused::OutOfOrder)
}

fn opening(entry: &Entry) -> Option<(&Reference, Owner, crate::Amount)> {
    match entry {
        Entry::SaleIntended(it) => Some((&it.reference, it.owner, it.amount)),
        Entry::SaleClosed(it) => Some((&it.reference, it.owner, it.amount)),
        Entry::SalePaid(_)
        | Entry::SaleInDoubt(_)
        | Entry::SaleQueried(_)
        | Entry::SaleVoided(_)
        | Entry::SaleConcluded(_)
        | Entry::BatchSealed(_)
        | Entry::BatchExchanged(_)
        | Entry::BatchVoided(_) => None,
    }
}

fn refused_fold(error: FoldError, commit: &Commit, operation: &Operation) -> Refused {
    match (error, &commit.entry, operation.conclusion) {
        (FoldError::OutOfOrder, Entry::SaleConcluded(new), Some(old)) if new.conclusion != old => {
            Refused::ExistsWithDifferentConclusion
        }
        _ => Refused::OutOfOrder,
    }
}
