//! An operation of any kind: what a store keeps and finds.

use crate::{
    Amount, Content, Entry, FoldError, Head, Load, Operation, OperationId, Owner, Reference, Settlement,
};

/// What kind of operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A sale.
    Sale,
    /// A load.
    Load,
    /// A settlement.
    Settlement,
}

/// What a caller asks for under a reference, whether it has begun or not: what makes a repeat one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asks.
    pub owner: Owner,
    /// For what.
    pub kind: Kind,
    /// Over how much.
    pub amount: Amount,
}

/// An operation of any kind, as its entries tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyOperation {
    /// A sale.
    Sale(Operation),
    /// A load.
    Load(Load),
    /// A settlement.
    Settlement(Settlement),
}

impl AnyOperation {
    /// Begins an operation with its first entry.
    ///
    /// # Errors
    /// [`FoldError`]: the entry cannot be an operation's first.
    pub fn begin(content: &Content, head: Head) -> Result<Self, FoldError> {
        match &content.entry {
            Entry::BatchSealed(_) => Settlement::begin(content, head).map(Self::Settlement),
            Entry::LoadBegun(_) => Load::begin(content, head).map(Self::Load),
            _ => Operation::begin(content, head).map(Self::Sale),
        }
    }

    /// Takes the next entry in, or changes nothing.
    ///
    /// # Errors
    /// [`FoldError`]: the entry cannot follow.
    pub fn apply(&mut self, content: &Content, head: Head) -> Result<(), FoldError> {
        match self {
            Self::Sale(operation) => operation.apply(content, head),
            Self::Load(load) => load.apply(content, head),
            Self::Settlement(settlement) => settlement.apply(content, head),
        }
    }

    /// Purser's number of it; of a load, the provider's.
    pub fn id(&self) -> OperationId {
        match self {
            Self::Sale(operation) => operation.id,
            Self::Load(load) => load.id,
            Self::Settlement(settlement) => settlement.id,
        }
    }

    /// The head at its newest entry.
    pub fn head(&self) -> Head {
        match self {
            Self::Sale(operation) => operation.head,
            Self::Load(load) => load.head,
            Self::Settlement(settlement) => settlement.head,
        }
    }

    /// The caller's reference. A settlement has none: nobody repeats one by name.
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Sale(operation) => Some(&operation.reference),
            Self::Load(load) => Some(&load.reference),
            Self::Settlement(_) => None,
        }
    }

    /// Who asked.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Sale(operation) => operation.owner,
            Self::Load(load) => load.owner,
            Self::Settlement(settlement) => settlement.sealed.owner,
        }
    }

    /// What was asked for.
    pub fn asked(&self) -> Asked {
        let (kind, amount) = match self {
            Self::Sale(operation) => (Kind::Sale, operation.amount),
            Self::Load(load) => (Kind::Load, load.amount),
            Self::Settlement(settlement) => (Kind::Settlement, settlement.sealed.claims.amount),
        };
        Asked {
            owner: self.owner(),
            kind,
            amount,
        }
    }

    /// True while it has no end: a debit is proven neither way, a load neither loaded nor void, a batch under way.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Sale(operation) => operation.is_open(),
            Self::Load(load) => load.is_open(),
            Self::Settlement(settlement) => settlement.is_under_way(),
        }
    }

    /// True while an entry can follow that is not [`Entry::SalePresentedAgain`], which can follow every paid sale.
    pub fn may_get_entries(&self) -> bool {
        match self {
            Self::Sale(operation) => operation.may_get_entries(),
            Self::Load(load) => load.is_open(),
            Self::Settlement(settlement) => settlement.is_under_way(),
        }
    }

    /// The sale, if it is one.
    pub fn sale(&self) -> Option<&Operation> {
        match self {
            Self::Sale(operation) => Some(operation),
            Self::Load(_) | Self::Settlement(_) => None,
        }
    }

    /// The load, if it is one.
    pub fn load(&self) -> Option<&Load> {
        match self {
            Self::Load(load) => Some(load),
            Self::Sale(_) | Self::Settlement(_) => None,
        }
    }

    /// The settlement, if it is one.
    pub fn settlement(&self) -> Option<&Settlement> {
        match self {
            Self::Settlement(settlement) => Some(settlement),
            Self::Sale(_) | Self::Load(_) => None,
        }
    }

    /// The sale, if it is one.
    pub fn into_sale(self) -> Option<Operation> {
        match self {
            Self::Sale(operation) => Some(operation),
            Self::Load(_) | Self::Settlement(_) => None,
        }
    }
}
