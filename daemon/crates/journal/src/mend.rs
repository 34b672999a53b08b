//! Mending: a journal whose entries are whole gets its rows and pages anew from them.
//!
//! Damage to what follows from the entries stops new sales, and by itself that has no end: each start finds it again. Nothing is
//! believed here that the record chain does not vouch for, so that no sale comes out otherwise than it was recorded: one that is
//! open stays open. Where an entry itself is damaged nothing is mended; the right files must be put back.
//!
//! ```text
//! lock ─ check ─ every entry into journal.db.new, synced ─ a line in journal.mends, synced ─ journal.db (and its WAL) aside
//!      ─ journal.db.new takes its name ─ check again
//! ```
//! A crash before the old file is set aside changes nothing. After that a start refuses the folder by name until the new file has
//! its name: mend again, or put the old files back.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use purser_ledger::{Head, Operation, OperationId};
use rusqlite::{Connection, TransactionBehavior};

use crate::chain::ChainKey;
use crate::files::{FILE_MODE, StateFolder};
use crate::reader::{Beside, connect};
use crate::rows::{self, RawEntry};
use crate::{Finding, OpenError, ReadError, Report, Totals, VerifyError, head_file, schema, verify};

/// Why a journal was not mended. Nothing was changed, if not told otherwise.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// There is nothing to mend.
    #[error("the journal is whole; nothing was changed")]
    Whole,
    /// The damage is to the entries, or to where they end.
    #[error(
        "the entries themselves are damaged, and cannot be made anew; put the right files back; nothing was changed"
    )]
    Entries(#[source] Finding),
    /// The journal is in use, or cannot be opened.
    #[error("the journal cannot be opened for mending")]
    Open(#[from] OpenError),
    /// The journal cannot be read, or the new one not written.
    #[error("the journal cannot be read to its end, or the new one not written; nothing was changed")]
    Read(#[from] ReadError),
    /// The files could not be exchanged.
    #[error(
        "the files could not be exchanged; the old ones are named journal.db.damaged…, the new one journal.db.new"
    )]
    Exchange(#[source] io::Error),
    /// The new journal is not whole.
    #[error("the journal was made anew, and is not whole; put the old files back")]
    Again(#[source] VerifyError),
}

impl MendError {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Read(error) => error.is_transient(),
            Self::Whole | Self::Entries(_) | Self::Exchange(_) | Self::Again(_) => false,
        }
    }
}

impl From<rusqlite::Error> for MendError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error.into())
    }
}

impl From<io::Error> for MendError {
    fn from(error: io::Error) -> Self {
        Self::Read(error.into())
    }
}

/// What was mended.
#[derive(Debug)]
pub struct Mended {
    /// What had been found.
    pub finding: VerifyError,
    /// Where the damaged file is kept.
    pub kept: PathBuf,
    /// The journal as it is now.
    pub report: Report,
}

/// Makes the rows and pages of a journal anew from its entries, and notes it in `journal.mends` behind `note`: one line that says
/// who did it, when and why. Nobody else may have the journal open. Needs as much free space as the journal has.
///
/// # Errors
/// [`MendError`] says what is to be done.
pub fn mend(state_dir: &Path, note: &str) -> Result<Mended, MendError> {
    let folder = StateFolder::new(state_dir);
    let _lock = folder.lock()?;
    let key = folder.key()?.ok_or(OpenError::KeyMissing)?;
    let finding = match verify(state_dir, None, |_, _| {}) {
        Ok(_) => return Err(MendError::Whole),
        Err(VerifyError::Found(entries @ (Finding::TailCut { .. } | Finding::OtherHead { .. }))) => {
            return Err(MendError::Entries(entries));
        }
        Err(VerifyError::Found(entries)) if !entries.hits_all() => return Err(MendError::Entries(entries)),
        Err(VerifyError::Open(error)) => return Err(error.into()),
        Err(finding) => finding,
    };
    let head = make_anew(&folder, &key).inspect_err(|_| {
        // What is left of it is in nobody's way but the disk's.
        let _ = fs::remove_file(new_file(&folder));
    })?;
    let kept = free_name(&folder)?;
    write_note(&folder, &format!("{note}; found: {finding:?}; head {head}\n"))?;
    exchange(&folder, &kept).map_err(MendError::Exchange)?;
    let report = verify(state_dir, Some(head), |_, _| {}).map_err(MendError::Again)?;
    Ok(Mended {
        finding,
        kept,
        report,
    })
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn new_file(folder: &StateFolder) -> PathBuf {
    with_ending(&folder.journal(), ".new")
}

/// Writes a data base of all entries, each of which the record chain vouches for.
fn make_anew(folder: &StateFolder, key: &ChainKey) -> Result<Head, MendError> {
    let noted = head_file::noted(folder, key).map_err(OpenError::from)?;
    let path = new_file(folder);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&path)?;
    let mut new = Connection::open(&path)?;
    new.pragma_update(None, "page_size", rows::signed(schema::PAGE_BYTES))?;
    // Nobody reads it before it is whole; a crash leaves nothing that is needed.
    new.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    schema::migrate(&mut new)?;
    let old = connect(folder, Beside::NobodyWithoutWal)?;
    let sql = new.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut anew = Anew::default();
    let mut head = Head::EMPTY;
    let mut statement =
        old.prepare("SELECT number, digest, operation, content FROM entries ORDER BY number")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let entry = RawEntry::read(row)?;
        let number = head.number.saturating_add(1);
        if entry.number != number {
            return Err(MendError::Entries(Finding::Missing { number }));
        }
        if key.digest(number, &head.digest, &entry.content) != entry.digest {
            return Err(MendError::Entries(Finding::Changed { number }));
        }
        head = entry.head();
        if noted.is_some_and(|noted| noted.number == number && noted != head) {
            return Err(MendError::Entries(Finding::OtherHead { number }));
        }
        anew.take(&sql, &entry)?;
    }
    if let Some(noted) = noted.filter(|noted| noted.number > head.number) {
        let (found, expected) = (head.number, noted.number);
        return Err(MendError::Entries(Finding::TailCut { found, expected }));
    }
    anew.totals.store(&Totals::default(), &sql)?;
    sql.commit()?;
    Ok(head)
}

/// What has been written so far.
#[derive(Default)]
struct Anew {
    totals: Totals,
    /// Operations that may still get entries.
    alive: BTreeMap<OperationId, Operation>,
}

impl Anew {
    fn take(&mut self, conn: &Connection, entry: &RawEntry) -> Result<(), MendError> {
        let number = entry.number;
        let recorded = entry.decode()?;
        let id = recorded.content.operation;
        let before = self.alive.remove(&id);
        let mut operation = before.clone();
        rows::fold(&mut operation, &recorded)
            .map_err(|source| MendError::Entries(Finding::OutOfOrder { number, source }))?;
        let operation = operation.expect("a fold that succeeds makes an operation");
        match before {
            None => rows::insert_operation(conn, &operation)?,
            Some(before) if before.is_open() && !operation.is_open() => rows::close_operation(conn, id)?,
            Some(_) => {}
        }
        rows::insert_entry(conn, recorded.head, id, &entry.content)?;
        let mut books = self.totals.books().clone();
        for transfer in recorded.content.entry.transfers() {
            books
                .transfer(transfer)
                .map_err(|source| MendError::Entries(Finding::Books { number, source }))?;
        }
        self.totals = self.totals.after(&recorded.content.entry, books);
        if operation.may_get_entries() {
            self.alive.insert(id, operation);
        }
        Ok(())
    }
}

/// A name for the damaged file that nothing has yet.
fn free_name(folder: &StateFolder) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let name = with_ending(&folder.journal(), &format!(".damaged-{number}"));
        if !name.try_exists()? {
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn write_note(folder: &StateFolder, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(folder.mends())?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    folder.sync()
}

/// The WAL first: beside a data base without it a start is refused, and beside another one's it would be lost.
fn exchange(folder: &StateFolder, kept: &Path) -> io::Result<()> {
    for (companion, ending) in [(folder.wal(), "-wal"), (folder.wal_index(), "-shm")] {
        match fs::rename(companion, with_ending(kept, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(folder.journal(), kept)?;
    fs::rename(new_file(folder), folder.journal())?;
    folder.sync()
}
