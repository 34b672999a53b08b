//! What a store of entries must be able to do, and why it may refuse.

use crate::{
    AnyOperation, Asked, Batches, CardId, Content, Entry, Head, Load, Operation, OperationId, Reference,
    Unsettled, Wall,
};

/// The entries of one step of one operation, stored together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The operation.
    pub operation: OperationId,
    /// The operation's next step: 0 for its first commit.
    pub step: u8,
    /// When.
    pub at: Wall,
    /// What happened.
    pub entry: Entry,
}

impl Commit {
    /// What is stored for this commit.
    pub fn content(&self) -> Content {
        Content {
            v: crate::ENTRY_VERSION,
            operation: self.operation,
            step: self.step,
            at: self.at,
            entry: self.entry.clone(),
        }
    }
}

/// Why a store refuses a commit, in order of precedence: of two reasons the earlier one is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refused {
    /// The reference belongs to another user's operation.
    #[error("the reference belongs to another user's operation; choose another reference")]
    ExistsWithDifferentOwner,
    /// The reference of a new sale belongs to a load, or that of a new load to a sale.
    #[error("the reference belongs to an operation of another kind; choose another reference")]
    ExistsWithDifferentKind,
    /// The reference belongs to an operation in another currency.
    #[error("the reference belongs to an operation in another currency; choose another reference")]
    ExistsWithDifferentCurrency,
    /// The reference belongs to an operation over another amount.
    #[error("the reference belongs to an operation over another amount; choose another reference")]
    ExistsWithDifferentAmount,
    /// The reference belongs to an operation with the same content.
    #[error("the operation exists")]
    Exists,
    /// The operation was concluded otherwise.
    #[error("the sale was concluded otherwise; its conclusion does not change")]
    ExistsWithDifferentConclusion,
    /// The operation has this step already, or does not stand where the entry can follow. For an entry that opens a load: there is
    /// an operation with its number, under another reference.
    #[error("the operation has moved on; look at it again")]
    OutOfOrder,
    /// Another debit has this PSAM terminal number and terminal serial number, with whatever card.
    #[error("another debit has this terminal serial number")]
    DebitKeyExists,
    /// An account would fall below zero or exceed its limit.
    #[error("an account would leave its range; settle first")]
    BalanceOutOfRange,
    /// The journal has no room for the evidence (money rule P3). Nothing was stored.
    #[error("the journal has no room for the evidence; free disk space")]
    NoRoom,
}

impl Refused {
    /// True when the same commit may succeed later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NoRoom | Self::BalanceOutOfRange => true,
            Self::ExistsWithDifferentOwner
            | Self::ExistsWithDifferentKind
            | Self::ExistsWithDifferentCurrency
            | Self::ExistsWithDifferentAmount
            | Self::Exists
            | Self::ExistsWithDifferentConclusion
            | Self::OutOfOrder
            | Self::DebitKeyExists => false,
        }
    }

    /// How what is asked under a reference stands to the operation that has it.
    pub fn by_asked(existing: Asked, new: Asked) -> Self {
        if existing.owner != new.owner {
            Self::ExistsWithDifferentOwner
        } else if existing.kind != new.kind {
            Self::ExistsWithDifferentKind
        } else if existing.amount.currency() != new.amount.currency() {
            Self::ExistsWithDifferentCurrency
        } else if existing.amount != new.amount {
            Self::ExistsWithDifferentAmount
        } else {
            Self::Exists
        }
    }
}

/// An I/O error in a commit or a read: what is on the disk is not known. The process must end; start-up syncs before it
/// believes an entry (money rule P3).
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be written or read; Purser ends now and recovers at its next start")]
pub struct StoreBroken(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What is stored of one operation contradicts itself; the disk answers, and all other operations can be read. Nobody may
/// act on that operation until somebody has looked at it.
#[derive(Debug, thiserror::Error)]
#[error("the journal's entries of this reference are damaged; run purserd verify-journal")]
pub struct Damaged(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Why an operation cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// This operation is damaged. Refuse what was asked about it, and go on.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The store cannot be read at all. End the process.
    #[error(transparent)]
    Broken(#[from] StoreBroken),
}

impl FindError {
    /// False: without repair the same call gives the same answer.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Broken(_) => false,
        }
    }
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// The operation that has this reference.
    Reference(Reference),
}

/// What a start needs to know.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every sale that is open, oldest first.
    pub open: Vec<Operation>,
    /// Every load that is open, oldest first.
    pub loads: Vec<Load>,
    /// The cards of open sales and loads whose entries cannot be read. The card has the only proof of such a payment, and a new
    /// debit or credit would overwrite it: no sale and no load may use that card until the entries are mended, and every other card may be used
    /// (money rules P1 and 7).
    pub held: Vec<CardId>,
    /// The highest terminal serial number ever intended; none before the first.
    pub terminal_sn_max: Option<u32>,
    /// The newest record's time, in seconds since 1970: the clock floor where it is plausible (money rule T2).
    pub newest_unix_seconds: Option<i64>,
    /// The newest record's local time, in seconds since 1970: a debit is never stamped with a local time twice, though local
    /// time goes back (money rule P1).
    pub newest_local_seconds: Option<i64>,
    /// The claims that wait for settlement.
    pub unsettled: Unsettled,
    /// Where settlement stands.
    pub batches: Batches,
}

/// Keeps entries. Implemented by the SQLite journal and by the simulator's store only.
///
/// A store folds each operation with [`AnyOperation`] and keeps [`crate::Books`]; both refuse what cannot be.
pub trait Store {
    /// Stores the commits of the group with one sync, each whole or refused, and answers in their order with the head at
    /// each. When it returns, they are durable. A refused commit does not disturb the others.
    ///
    /// # Errors
    /// [`StoreBroken`]: nothing is known about the group. End the process.
    fn append(&mut self, group: &[Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken>;

    /// Reads one operation from what is durable.
    ///
    /// # Errors
    /// [`FindError`] says whether only this operation or the whole store cannot be read.
    fn find(&self, query: &Find) -> Result<Option<AnyOperation>, FindError>;

    /// Reads what a start needs, after a sync.
    ///
    /// # Errors
    /// [`StoreBroken`]: the store cannot be read. End the process.
    fn snapshot(&self) -> Result<Snapshot, StoreBroken>;
}
