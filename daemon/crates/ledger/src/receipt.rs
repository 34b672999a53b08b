//! Record, then act: what lets money move is an [`Authorised`] value, and only durable entries make one.

use std::fmt;

use crate::{Commit, Find, FindError, Head, Operation, OperationId, Refused, Snapshot, Store, StoreBroken};

/// Proof that the entries of one step are durable. Made by [`commit`] only, and spent by one act.
#[derive(Debug, PartialEq, Eq)]
pub struct JournalReceipt {
    operation: OperationId,
    step: u8,
    head: Head,
}

impl JournalReceipt {
    /// The operation whose step is durable.
    pub fn operation(&self) -> OperationId {
        self.operation
    }

    /// The step.
    pub fn step(&self) -> u8 {
        self.step
    }

    /// The head of the record chain at this step.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Spends the receipt on one act.
    pub fn authorise<A>(self, act: A) -> Authorised<A> {
        Authorised(act)
    }
}

/// An act that may happen now, because what it depends on is durable.
pub struct Authorised<A>(A);

impl<A> Authorised<A> {
    /// The act, to look at.
    pub fn act(&self) -> &A {
        &self.0
    }

    /// The act, to carry out.
    pub fn into_act(self) -> A {
        self.0
    }
}

/// An act that may be carried out any number of times: whoever it is for knows a repeat by its number, and gives it the same
/// answer.
pub trait Repeatable: Clone {}

impl<A: Repeatable> Authorised<A> {
    /// The same act once more.
    #[must_use]
    pub fn again(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Snapshot {
    /// A receipt for each batch that is sealed and neither exchanged nor voided: the store was synced before it was read, and
    /// a start goes on with what is durable.
    pub fn receipts(&self) -> Vec<JournalReceipt> {
        let receipt = |settlement: &crate::Settlement| JournalReceipt {
            operation: settlement.id,
            step: settlement.next_step.saturating_sub(1),
            head: settlement.head,
        };
        self.batches.all_under_way().map(receipt).collect()
    }
}

impl<A: fmt::Debug> fmt::Debug for Authorised<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorised").field(&self.0).finish()
    }
}

/// An operation as the durable store tells it. Made by [`find`] only; an answer that was stored may be told again.
#[derive(Debug)]
pub struct Stored(Operation);

impl Stored {
    /// The operation.
    pub fn operation(&self) -> &Operation {
        &self.0
    }

    /// Spends what was read on telling it.
    pub fn authorise<A>(self, tell: impl FnOnce(Operation) -> A) -> Authorised<A> {
        Authorised(tell(self.0))
    }
}

/// Checks double entry, stores the group with one sync, then makes a receipt for each commit that was stored.
///
/// # Errors
/// [`StoreBroken`]: nothing is known about the group. End the process.
///
/// # Panics
/// When the store answers for another number of commits than it was given: it cannot be trusted with money.
pub fn commit(
    store: &mut impl Store,
    group: &[Commit],
) -> Result<Vec<Result<JournalReceipt, Refused>>, StoreBroken> {
    for transfer in group.iter().flat_map(|commit| commit.entry.transfers()) {
        assert!(transfer.debit != transfer.credit, "a transfer has two accounts");
        assert!(!transfer.amount.is_zero(), "a transfer moves money");
    }
    let answers = store.append(group)?;
    assert!(answers.len() == group.len(), "a store answers each commit");
    let receipt = |(commit, answer): (&Commit, Result<Head, Refused>)| {
        answer.map(|head| JournalReceipt {
            operation: commit.operation,
            step: commit.step,
            head,
        })
    };
    Ok(group.iter().zip(answers).map(receipt).collect())
}

/// Reads one operation from what is durable.
///
/// # Errors
/// [`FindError`] says whether only this operation or the whole store cannot be read.
pub fn find(store: &impl Store, query: &Find) -> Result<Option<Stored>, FindError> {
    Ok(store.find(query)?.map(Stored))
}
