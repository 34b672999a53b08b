//! Why a journal does not open, and why it cannot be read.

use std::error::Error;
use std::io;

use purser_ledger::{BooksError, DecodeError, FoldError};
use rusqlite::ErrorCode;

/// Why a journal does not open. Nothing was changed that a later start cannot go on from.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the journal; its process id, where it could be read.
    #[error("the journal is in use by {}; stop that process first", named(.pid))]
    Locked {
        /// The process that holds the lock.
        pid: Option<u32>,
    },
    /// Another program reads the journal and does not let go of it.
    #[error("another program holds the journal open in a long read; end it, then start again")]
    ReaderHolds,
    /// There is no journal in the folder.
    #[error("the state folder holds no journal; start purserd once, or name the right folder")]
    Absent,
    /// The journal was written by a newer Purser.
    #[error(
        "the journal has version {found}, this Purser knows versions up to {known}; install the newer Purser"
    )]
    NewerVersion {
        /// The version found.
        found: u32,
        /// The newest version that this Purser knows.
        known: u32,
    },
    /// The file is no journal of Purser's.
    #[error("journal.db is not a Purser journal; move it away, or name the right state folder")]
    NotAJournal,
    /// The journal's content contradicts itself.
    #[error("the journal is damaged; keep a copy of the folder, then run purserd verify-journal on it")]
    Damaged(#[source] Box<dyn Error + Send + Sync>),
    /// One of the newest entries does not fit the record chain.
    #[error(
        "entry {number} does not fit the record chain: it was changed, or chain.key is another journal's; \
         restore chain.key, or run purserd verify-journal"
    )]
    ChainBroken {
        /// The entry.
        number: u64,
    },
    /// The journal has lost its newest entries.
    #[error(
        "journal.db and journal.db-wal end at entry {found}, but journal.head vouches for entry {expected}: \
         the WAL is damaged or missing, or an older copy was put back; keep a copy of the folder, and put the newest \
         journal.db and journal.db-wal back together"
    )]
    TailCut {
        /// The newest entry that is there.
        found: u64,
        /// The newest entry that was there.
        expected: u64,
    },
    /// The journal has another entry where the newest one was.
    #[error(
        "entry {number} of journal.db is not the one that journal.head vouches for: it was changed, or the files are of \
         two journals; keep a copy of the folder, and put the files of one journal back together"
    )]
    Replaced {
        /// The entry.
        number: u64,
    },
    /// There is a key of a journal, but no journal.
    #[error(
        "journal.db is missing, empty or no file, but chain.key beside it belongs to a journal that was here; where \
         journal.db.new lies in its place, mending was interrupted: run purserd mend-journal again; otherwise put journal.db and \
         journal.db-wal back, or, to begin anew after reconciling with the provider, move the whole folder away"
    )]
    Gone,
    /// The journal's first page is none.
    #[error(
        "the first page of journal.db is damaged, or another file was put in its place; keep a copy of the folder, check \
         the disk, and put the right journal.db back"
    )]
    FirstPage,
    /// There are entries, but no key.
    #[error(
        "chain.key is missing beside a journal that has entries; restore it from your copy of the state folder"
    )]
    KeyMissing,
    /// The key file does not hold 32 bytes.
    #[error("chain.key does not hold 32 bytes; restore it from your copy of the state folder")]
    KeyUnusable,
    /// Others than the owner may write to the state folder.
    #[error("others may write to the state folder; run chmod go-w on it")]
    FolderShared,
    /// The state folder belongs to a user who is neither root nor this process's.
    #[error("the state folder belongs to user {owner}; make root or purserd's user its owner with chown -R")]
    FolderOwner {
        /// The owner's user id.
        owner: u32,
    },
    /// A file or the folder may not be read or written.
    #[error("the state folder may not be read or written; make it writable, and purserd's user its owner")]
    Permission(#[source] Box<dyn Error + Send + Sync>),
    /// The disk has no room.
    #[error("the disk has no room for the journal; free at least {bytes} bytes")]
    NoSpace {
        /// How much is needed.
        bytes: u64,
    },
    /// The disk failed.
    #[error("the state folder cannot be read or written; check the disk")]
    Io(#[source] Box<dyn Error + Send + Sync>),
}

fn named(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// What a start needs at most besides what it already has: its rows, the shared index and one checkpoint.
const START_BYTES: u64 = 8 << 20;

impl OpenError {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } | Self::ReaderHolds | Self::NoSpace { .. } => true,
            Self::Absent
            | Self::NewerVersion { .. }
            | Self::NotAJournal
            | Self::Damaged(_)
            | Self::ChainBroken { .. }
            | Self::TailCut { .. }
            | Self::Replaced { .. }
            | Self::Gone
            | Self::FirstPage
            | Self::KeyMissing
            | Self::KeyUnusable
            | Self::FolderShared
            | Self::FolderOwner { .. }
            | Self::Permission(_)
            | Self::Io(_) => false,
        }
    }
}

impl OpenError {
    /// True when the disk answers, but what it answers is not what Purser wrote.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_)
            | Self::ChainBroken { .. }
            | Self::TailCut { .. }
            | Self::Replaced { .. }
            | Self::Gone
            | Self::FirstPage
            | Self::NotAJournal
            | Self::KeyMissing
            | Self::KeyUnusable => true,
            Self::Locked { .. }
            | Self::ReaderHolds
            | Self::Absent
            | Self::NewerVersion { .. }
            | Self::FolderShared
            | Self::FolderOwner { .. }
            | Self::Permission(_)
            | Self::NoSpace { .. }
            | Self::Io(_) => false,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { bytes: START_BYTES },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission(Box::new(error))
            }
            _ => Self::Io(Box::new(error)),
        }
    }
}

impl From<rustix::io::Errno> for OpenError {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAJournal,
            Some(ErrorCode::DiskFull) => Self::NoSpace { bytes: START_BYTES },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::Permission(Box::new(error))
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::ReaderHolds,
            Some(ErrorCode::SystemIoFailure) => Self::Io(Box::new(error)),
            _ => Self::Damaged(Box::new(error)),
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(error) => error.into(),
            ReadError::Io(error) => error.into(),
            ReadError::Entry { .. }
            | ReadError::Order { .. }
            | ReadError::Chain { .. }
            | ReadError::Row { .. }
            | ReadError::Books(_)
            | ReadError::BrokenBefore => Self::Damaged(Box::new(error)),
        }
    }
}

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite failed.
    #[error("the data base answers with an error")]
    Sqlite(#[from] rusqlite::Error),
    /// A file of the journal failed.
    #[error("a file of the journal cannot be read or written")]
    Io(#[from] io::Error),
    /// A stored entry cannot be read.
    #[error("entry {number} cannot be read; run purserd verify-journal")]
    Entry {
        /// The entry.
        number: u64,
        /// Why.
        source: DecodeError,
    },
    /// A stored entry does not follow from those before it.
    #[error("entry {number} does not follow from those before it; run purserd verify-journal")]
    Order {
        /// The entry.
        number: u64,
        /// Why.
        source: FoldError,
    },
    /// A stored entry does not fit the record chain.
    #[error(
        "entry {number} does not fit the record chain: it or the one before it was changed; run purserd verify-journal"
    )]
    Chain {
        /// The entry.
        number: u64,
    },
    /// A derived row holds what no entry says.
    #[error("a row of {table} is not one that Purser writes; run purserd verify-journal")]
    Row {
        /// The table.
        table: &'static str,
    },
    /// The stored balances are no books.
    #[error("the stored balances are no books; run purserd verify-journal")]
    Books(#[from] BooksError),
    /// An earlier call failed; nothing is known any more.
    #[error("an earlier call failed; what is on the disk is not known")]
    BrokenBefore,
}

impl ReadError {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
            Self::Io(_)
            | Self::Entry { .. }
            | Self::Order { .. }
            | Self::Chain { .. }
            | Self::Row { .. }
            | Self::Books(_)
            | Self::BrokenBefore => false,
        }
    }
}

impl ReadError {
    /// The entry that is damaged; none where it is not known which.
    pub fn entry(&self) -> Option<u64> {
        match self {
            Self::Entry { number, .. } | Self::Order { number, .. } | Self::Chain { number } => Some(*number),
            Self::Sqlite(_) | Self::Io(_) | Self::Row { .. } | Self::Books(_) | Self::BrokenBefore => None,
        }
    }

    /// True when the disk answers, but what it answers is not what Purser wrote.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Entry { .. }
            | Self::Order { .. }
            | Self::Chain { .. }
            | Self::Row { .. }
            | Self::Books(_) => true,
            Self::Sqlite(
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..),
            ) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
            Self::Io(_) | Self::BrokenBefore => false,
        }
    }
}

impl From<rustix::io::Errno> for ReadError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}
