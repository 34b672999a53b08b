//! The full check: every digest again, every derived row again, nothing believed.

mod derived;
mod fold;

use std::path::Path;

use purser_ledger::{BooksError, DecodeError, FoldError, Head};
use rusqlite::{Connection, TransactionBehavior};

use crate::files::StateFolder;
use crate::head_file;
use crate::reader::{Beside, connect};
use crate::rows::RawEntry;
use crate::{OpenError, ReadError, schema};
use fold::Refold;

/// Entries between two calls of the progress callback: some milliseconds of work.
const PROGRESS_ENTRIES: u64 = 1_000;

/// What a check found in a journal that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The newest entry's number and digest.
    pub head: Head,
    /// How many operations there are.
    pub operations: u64,
    /// How many of them are proven neither way.
    pub open: u64,
    /// How many debits were ever intended.
    pub debits: u64,
}

/// A table of rows that follow from the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// The operations with their references and owners.
    Operations,
    /// The keys of all debits.
    Debits,
    /// The operations that are open.
    OpenOperations,
    /// The balances.
    Balances,
}

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// An entry is not there.
    #[error("entry {number} is missing")]
    Missing {
        /// The entry.
        number: u64,
    },
    /// An entry, or one before it, was changed.
    #[error(
        "entry {number} does not fit the record chain: it was changed, or chain.key is another journal's"
    )]
    Changed {
        /// The entry.
        number: u64,
    },
    /// An entry cannot be read.
    #[error("entry {number} cannot be read")]
    Unreadable {
        /// The entry.
        number: u64,
        /// Why.
        source: DecodeError,
    },
    /// The row of an entry names another operation than its content.
    #[error("the row of entry {number} names another operation than its content")]
    OtherOperation {
        /// The entry.
        number: u64,
    },
    /// An entry does not follow from those before it.
    #[error("entry {number} does not follow from those before it")]
    OutOfOrder {
        /// The entry.
        number: u64,
        /// Why.
        source: FoldError,
    },
    /// An entry moves money that is not there.
    #[error("entry {number} breaks the books")]
    Books {
        /// The entry.
        number: u64,
        /// Why.
        source: BooksError,
    },
    /// Derived rows are not what the entries say.
    #[error("the table {0:?} is not what the entries say; the entries are whole")]
    Derived(Derived),
    /// SQLite finds its own structures damaged, or the tables are not those that Purser makes.
    #[error("the data base file is damaged")]
    Structure,
    /// The journal ends before the head that was given: its tail was cut off, or an old copy was put back.
    #[error("the journal ends at entry {found}, before entry {expected}: its tail is cut off")]
    TailCut {
        /// The newest entry's number.
        found: u64,
        /// The number of the head that was given.
        expected: u64,
    },
    /// The journal has another entry at the number of the head that was given.
    #[error("entry {number} is not the one that the given head, or journal.head, vouches for")]
    OtherHead {
        /// The entry.
        number: u64,
    },
}

/// Why a check does not end with a report.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The journal cannot be opened.
    #[error("the journal cannot be opened for the check")]
    Open(#[from] OpenError),
    /// The journal cannot be read to its end.
    #[error("the journal cannot be read to its end")]
    Read(#[from] ReadError),
    /// Something is wrong. Keep the folder and check its disk; where the finding is about rows that follow from the entries, or
    /// about the file's structure, stop selling.
    #[error("the journal is not as Purser wrote it; keep a copy of the state folder as it is")]
    Found(#[from] Finding),
}

impl VerifyError {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Read(error) => error.is_transient(),
            Self::Found(_) => false,
        }
    }
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error.into())
    }
}

/// Checks a whole journal, or a copy of one, also while its writer is at work. Changes nothing.
///
/// `expect` is a head that was printed earlier: the journal must hold that very entry, and may have grown since. The same
/// holds for the head in `journal.head`, where that is there.
/// `progress` is called now and then with the number of entries checked and the number of all.
///
/// # Errors
/// [`VerifyError::Found`] is the answer that the check is for; the others say why it could not be made.
pub fn verify(
    state_dir: &Path,
    expect: Option<Head>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let folder = StateFolder::new(state_dir);
    let key = folder.key()?;
    // Before the data base is looked at, which may grow meanwhile.
    let noted = key.as_ref().map(|key| head_file::noted(&folder, key)).transpose();
    let noted = noted.map_err(OpenError::from)?.flatten();
    let conn = connect(&folder, Beside::NobodyWithoutWal)?;
    let moment = rusqlite::Transaction::new_unchecked(&conn, TransactionBehavior::Deferred)?;
    let newest = crate::rows::head(&moment)?.number;
    let mut refold = Refold::default();
    let mut head = Head::EMPTY;
    let mut statement =
        moment.prepare("SELECT number, digest, operation, content FROM entries ORDER BY number")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let entry = RawEntry::read(row)?;
        let key = key.as_ref().ok_or(OpenError::KeyMissing)?;
        let number = head.number.saturating_add(1);
        if entry.number != number {
            return Err(Finding::Missing { number }.into());
        }
        if key.digest(number, &head.digest, &entry.content) != entry.digest {
            return Err(Finding::Changed { number }.into());
        }
        head = entry.head();
        let is_other = |vouched: Head| vouched.number == number && vouched != head;
        if expect.into_iter().chain(noted).any(is_other) {
            return Err(Finding::OtherHead { number }.into());
        }
        refold.take(&moment, &entry)?;
        if number.is_multiple_of(PROGRESS_ENTRIES) {
            progress(number, newest);
        }
    }
    refold.compare(&moment)?;
    check_structure(&moment)?;
    progress(newest, newest);
    let vouched = expect.into_iter().chain(noted).map(|head| head.number);
    match vouched.max() {
        Some(expected) if expected > head.number => Err(Finding::TailCut {
            found: head.number,
            expected,
        }
        .into()),
        Some(_) | None => Ok(refold.report(head)),
    }
}

fn check_structure(conn: &Connection) -> Result<(), VerifyError> {
    let answer: String = conn.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
    if answer == "ok" && schema::is_as_made(conn)? {
        Ok(())
    } else {
        Err(Finding::Structure.into())
    }
}
