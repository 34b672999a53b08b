//! What bypasses the engine: the journal on a read-only connection, and how the devices and the daemon do.

use purser_engine::LimitUse;
use purser_engine::settlement::BatchView;
use purser_ledger::{Books, Content, Head, OperationId, Owner, Reference, Wall};

use tokio::sync::watch;

use crate::drivers::DriverRefusal;
use crate::model::{BatchItem, Counts, Device, Driver, Problem, ProviderReply, Time};

/// One journal entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The entry's number and chained digest.
    pub head: Head,
    /// The entry.
    pub content: Content,
}

/// Which entries are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntriesQuery {
    /// Entries with a higher number only; 0 for all.
    pub after: u64,
    /// At most so many, at most [`crate::model::PAGE_MAX`].
    pub limit: u64,
    /// Only the operation that has this reference.
    pub reference: Option<Reference>,
    /// Only operations of this owner.
    pub owner: Option<Owner>,
}

/// The books, and how many operations stand where.
#[derive(Clone, Debug)]
pub struct TotalsFacts {
    /// The balances.
    pub books: Books,
    /// The counts.
    pub counts: Counts,
    /// How much of each limit is used.
    pub limits: Vec<LimitUse>,
}

/// A sealed batch.
#[derive(Clone, Debug)]
pub struct BatchFacts {
    /// How it stands.
    pub view: BatchView,
    /// The number of the entry that sealed it.
    pub sealed: u64,
    /// When that was.
    pub sealed_at: Wall,
}

/// What the running daemon is.
#[derive(Clone, Debug)]
pub struct InfoFacts {
    /// Its version.
    pub version: String,
    /// The PSAM terminal number.
    pub terminal_number: [u8; 6],
    /// The currencies of the configured card issuers.
    pub currencies: Vec<purser_ledger::Currency>,
    /// Whether a PIN may come through the API (money rule T5).
    pub pin_through_api: bool,
}

/// How the D-Bus door does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusState {
    /// Not configured.
    Off,
    /// The name is owned and calls are served.
    Connected,
    /// The bus is gone or refuses the name; it is tried again.
    Lost,
}

/// How the running daemon does.
#[derive(Clone, Debug)]
pub struct StatusFacts {
    /// True when a sale can begin now.
    pub ready: bool,
    /// When it started.
    pub started_at: Time,
    /// How the D-Bus door does.
    pub bus: BusState,
    /// What keeps it from working as it should.
    pub problems: Vec<Problem>,
}

/// Why the journal could not be read. The log has the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsUnavailable {
    /// Another program holds it, or the caller came in a bad moment.
    #[error("the journal cannot be read now; try again")]
    Busy,
    /// The disk does not answer, or the files are gone.
    #[error("the journal cannot be read; check the disk of the state folder")]
    Unreadable,
    /// The disk answers, but what it answers is not what Purser wrote.
    #[error("the journal is damaged; run purserd verify-journal")]
    Damaged {
        /// The entry that is damaged; none where it is not known which.
        entry: Option<u64>,
    },
}

impl FactsUnavailable {
    /// True when the same call may succeed later without anybody mending anything.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Busy => true,
            Self::Unreadable | Self::Damaged { .. } => false,
        }
    }
}

/// What the daemon knows beside the engine. Implemented by purserd over its journal reader and its supervisors.
///
/// The methods that read the journal may block; [`crate::Service`] calls them on threads of their own, a few at a time.
/// The others must not block: they are called on the reactor.
pub trait Facts: Send + Sync + 'static {
    /// Durable entries in the order of their numbers. Blocks.
    ///
    /// # Errors
    /// [`FactsUnavailable`]: the caller is told whether to try again.
    fn entries(&self, query: &EntriesQuery) -> Result<Vec<Recorded>, FactsUnavailable>;

    /// Every durable entry of one operation, oldest first; none if it is not known. Blocks.
    ///
    /// # Errors
    /// [`FactsUnavailable`]: the caller is told whether to try again.
    fn history(&self, operation: OperationId) -> Result<Vec<Recorded>, FactsUnavailable>;

    /// The books and the counts, both of one moment. Blocks.
    ///
    /// # Errors
    /// [`FactsUnavailable`]: the caller is told whether to try again.
    fn totals(&self) -> Result<TotalsFacts, FactsUnavailable>;

    /// At most so many of the batches that were sealed, newest first; before this entry where one is given. Blocks.
    ///
    /// # Errors
    /// [`FactsUnavailable`]: the caller is told whether to try again.
    fn batches(&self, before: Option<u64>, limit: u64) -> Result<Vec<BatchFacts>, FactsUnavailable>;

    /// At most so many items of a batch from a place on, with the provider's final words where they are there; none if the
    /// batch is not known. Blocks.
    ///
    /// # Errors
    /// [`FactsUnavailable`]: the caller is told whether to try again.
    fn batch_items(
        &self,
        batch: OperationId,
        from: u64,
        limit: u64,
    ) -> Result<Option<Vec<BatchItem>>, FactsUnavailable>;

    /// The head of the record chain. Blocks.
    ///
    /// # Errors
    /// [`FactsUnavailable`]: the caller is told whether to try again.
    fn head(&self) -> Result<Head, FactsUnavailable>;

    /// Every configured device with its true state. Must not block.
    fn devices(&self) -> Vec<Device>;

    /// Every configured driver. Must not block.
    fn drivers(&self) -> Vec<Driver>;

    /// Whether a driver's file and manifest, as they are now, may be loaded. Blocks.
    ///
    /// # Errors
    /// [`DriverRefusal`]: the caller is told.
    fn check_driver(&self, name: &str) -> Result<(), DriverRefusal>;

    /// Looks at what [`Self::status`] tells and only the system knows, such as free space. Blocks.
    fn look(&self);

    /// Changes when [`Self::status`] may tell something else. Not everything is announced. Must not block.
    fn changes(&self) -> watch::Receiver<()>;

    /// How the daemon does, as last looked at. Must not block.
    fn status(&self) -> StatusFacts;

    /// The provider and the link to it. Must not block.
    fn provider(&self) -> ProviderReply;

    /// What the daemon is. Must not block.
    fn info(&self) -> InfoFacts;
}
