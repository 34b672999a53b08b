//! Whether a store may take a commit: one set of rules for every store.

use crate::{
    AnyOperation, Asked, Batches, Books, Commit, Entry, FoldError, Head, Kind, Operation, Reference, Refused,
};

/// What a store looks up before it asks [`admit`].
#[derive(Clone, Copy, Debug)]
pub struct Existing<'a> {
    /// The operation that has the commit's operation id.
    pub operation: Option<&'a AnyOperation>,
    /// The operation that has the reference of an opening entry ([`Entry::opens`]).
    pub by_reference: Option<&'a AnyOperation>,
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
    // Before the operation's id: that of a load is the provider's, and a repeat of its opening has both.
    if let Some((reference, asked)) = commit.entry.opens()
        && let Some(other) = existing.by_reference
    {
        debug_assert!(other.reference() == Some(reference));
        return Err(Refused::by_asked(other.asked(), asked));
    }
    if let Some(operation) = existing.operation {
        let is_left = |sale: &Operation| existing.batches.has_left(sale);
        if matches!(commit.entry, Entry::SalePresentedAgain(_)) && !operation.sale().is_some_and(is_left) {
            return Err(Refused::OutOfOrder);
        }
        let mut after = operation.clone();
        let applied = after.apply(&content, head);
        applied.map_err(|error| refused_fold(error, commit, operation.sale()))?;
        return Ok(after);
    }
    if let Entry::BatchSealed(sealed) = &commit.entry
        && !existing.batches.admit(sealed, head.number.saturating_sub(1))
    {
        return Err(Refused::OutOfOrder);
    }
    AnyOperation::begin(&content, head).map_err(|_| Refused::OutOfOrder)
}

impl Entry {
    /// The reference that this entry gives to its operation, and what is asked under it; none for an entry that follows another, or
    /// opens what has no reference.
    pub fn opens(&self) -> Option<(&Reference, Asked)> {
        let (reference, owner, kind, amount) = match self {
            Self::SaleIntended(it) => (&it.reference, it.owner, Kind::Sale, it.amount),
            Self::SaleClosed(it) => (&it.reference, it.owner, Kind::Sale, it.amount),
            Self::LoadBegun(it) => (&it.reference, it.owner, Kind::Load, it.amount),
            Self::SalePaid(_)
            | Self::SaleInDoubt(_)
            | Self::SaleQueried(_)
            | Self::SaleVoided(_)
            | Self::SaleConcluded(_)
            | Self::BatchSealed(_)
            | Self::BatchExchanged(_)
            | Self::BatchVoided(_)
            | Self::LoadAttempted(_)
            | Self::LoadReleased(_)
            | Self::LoadProven(_)
            | Self::LoadConfirmed(_)
            | Self::LoadVoided(_)
            | Self::SalePresentedAgain(_) => return None,
        };
        let asked = Asked { owner, kind, amount };
        Some((reference, asked))
    }
}

fn refused_fold(error: FoldError, commit: &Commit, sale: Option<&Operation>) -> Refused {
    match (error, &commit.entry, sale.and_then(|sale| sale.conclusion)) {
        (FoldError::OutOfOrder, Entry::SaleConcluded(new), Some(old)) if new.conclusion != old => {
            Refused::ExistsWithDifferentConclusion
        }
        _ => Refused::OutOfOrder,
    }
}
