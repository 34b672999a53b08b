//! Record, then act: what lets money move is an [`Authorised`] value, and only durable entries make one.

use std::fmt;

use crate::{
    AnyOperation, Commit, Find, FindError, Head, Load, Operation, OperationId, Refused, Settlement, Snapshot,
    Store, StoreBroken,
};

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
    /// A receipt for the newest step of each batch that is sealed and neither exchanged nor voided, and of each open load: the store
    /// was synced before it was read, and a start goes on with what is durable. A load's MAC2 is dead with the card's power: what
    /// its receipt lets happen is to tell it, and to confirm it to the provider.
    pub fn receipts(&self) -> Vec<JournalReceipt> {
        let receipt = |operation, next_step: u8, head| JournalReceipt {
            operation,
            step: next_step.saturating_sub(1),
            head,
        };
        let of_batch = |it: &Settlement| receipt(it.id, it.next_step, it.head);
        let of_load = |it: &Load| receipt(it.id, it.next_step, it.head);
        let batches = self.batches.all_under_way().map(of_batch);
        batches.chain(self.loads.iter().map(of_load)).collect()
    }
}

impl<A: fmt::Debug> fmt::Debug for Authorised<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorised").field(&self.0).finish()
    }
}

/// An operation as the durable store tells it. Made by [`find`] only; an answer that was stored may be told again.
#[derive(Debug)]
pub struct Stored<O = AnyOperation>(O);

/// What was found under a reference, by its kind.
#[derive(Debug)]
pub enum StoredKind {
    /// A sale.
    Sale(Stored<Operation>),
    /// A load.
    Load(Stored<Load>),
    /// A settlement: no store finds one by a reference.
    Settlement(Stored<Settlement>),
}

impl<O> Stored<O> {
    /// The operation.
    pub fn operation(&self) -> &O {
        &self.0
    }

    /// Spends what was read on telling it.
    pub fn authorise<A>(self, tell: impl FnOnce(O) -> A) -> Authorised<A> {
        Authorised(tell(self.0))
    }
}

impl Stored {
    /// The same, by its kind.
    pub fn into_kind(self) -> StoredKind {
        match self.0 {
            AnyOperation::Sale(operation) => StoredKind::Sale(Stored(operation)),
            AnyOperation::Load(load) => StoredKind::Load(Stored(load)),
            AnyOperation::Settlement(settlement) => StoredKind::Settlement(Stored(settlement)),
        }
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
