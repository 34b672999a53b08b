//! Whether a store may take a commit: one set of rules for every store.

use crate::{Account, Books, Commit, Entry, FoldError, Head, Operation, Owner, Reference, Refused};

/// What a store looks up before it asks [`admit`].
#[derive(Clone, Copy, Debug)]
pub struct Existing<'a> {
    /// The operation that has the commit's operation id.
    pub operation: Option<&'a Operation>,
    /// The operation that has the reference of an opening entry.
    pub by_reference: Option<&'a Operation>,
    /// True when the entry intends a debit and another operation has its PSAM terminal number and terminal serial number,
    /// with whatever card: a terminal never uses a number twice (money rule T1).
    pub debit_key_is_taken: bool,
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
) -> Result<(Operation, Books), Refused> {
    let content = commit.content();
    let operation = match (opening(&commit.entry), existing.operation) {
        (Some((reference, owner, amount)), None) => {
            if let Some(other) = existing.by_reference {
                debug_assert!(other.reference == *reference);
                return Err(Refused::by_existing(other, owner, amount));
            }
            Operation::begin(&content, head).map_err(|_| Refused::OutOfOrder)?
        }
        (None, Some(operation)) => {
            let mut operation = operation.clone();
            operation
                .apply(&content, head)
                .map_err(|error| refused_fold(error, commit, &operation))?;
            operation
        }
        (Some(_), Some(_)) | (None, None) => return Err(Refused::OutOfOrder),
    };
    if existing.debit_key_is_taken {
        return Err(Refused::DebitKeyExists);
    }
    let mut books = books.clone();
    for transfer in commit.entry.transfers() {
        books.transfer(transfer).map_err(|_| Refused::BalanceOutOfRange)?;
    }
    if let Entry::SaleIntended(intended) = &commit.entry {
        // Room in the books as on the disk: once intended, the claim must fit whatever else is in doubt.
        let currency = intended.amount.currency();
        let claims = books.balance(Account::Claims, currency);
        let claims_at_most = claims.checked_add(books.balance(Account::InDoubt, currency));
        claims_at_most.map_err(|_| Refused::BalanceOutOfRange)?;
    }
    if commit.entry.needs_free_room() && !existing.has_room {
        return Err(Refused::NoRoom);
    }
    Ok((operation, books))
}

fn opening(entry: &Entry) -> Option<(&Reference, Owner, crate::Amount)> {
    match entry {
        Entry::SaleIntended(it) => Some((&it.reference, it.owner, it.amount)),
        Entry::SaleClosed(it) => Some((&it.reference, it.owner, it.amount)),
        Entry::SalePaid(_)
        | Entry::SaleInDoubt(_)
        | Entry::SaleQueried(_)
        | Entry::SaleVoided(_)
        | Entry::SaleConcluded(_) => None,
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
