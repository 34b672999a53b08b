//! Mending: a journal whose entries are whole gets its rows and pages anew from them.
//!
//! Damage to what follows from the entries stops new sales, and by itself that has no end: each start finds it again. Nothing is
//! believed here that the record chain does not vouch for, so that no sale comes out otherwise than it was recorded: one that is
//! open stays open. Where an entry itself is damaged nothing is mended; the right files must be put back.
//!
//! ```text
//! lock ─ check ─ every entry into journal.db.new, synced ─ check that ─ its head into journal.head, a line in journal.mends,
//!      both synced ─ journal.db aside, then its WAL ─ journal.db.new takes its name
//! ```
//! A crash before the old file is set aside changes nothing. After that a start refuses the folder by name until the new file has
//! its name: mend again, which goes on from there, or put the old files back.

mod exchange;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use purser_ledger::{AnyOperation, Entry, Head, OperationId, Reference};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::chain::ChainKey;
use crate::files::{FILE_MODE, Owner, StateFolder};
use crate::reader::{Beside, connect};
use crate::rows::{self, RawEntry};
use crate::{
    Finding, OpenError, ReadError, Report, Totals, VerifyError, batches, head_file, schema, verdicts, verify,
};

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
    /// Only the provider's verdicts are damaged.
    #[error(
        "only the provider's verdicts on a batch are damaged; they follow from no entry and cannot be made anew; the batch is \
         exchanged and no payment is concerned; put them back from a copy where they are needed; nothing was changed"
    )]
    Verdicts(#[source] Finding),
    /// The journal is in use, or cannot be opened.
    #[error("the journal cannot be opened for mending")]
    Open(#[from] OpenError),
    /// The journal cannot be read, or the new one not written.
    #[error("the journal cannot be read to its end, or the new one not written; nothing was changed")]
    Read(#[from] ReadError),
    /// Two operations have one reference, or one debit's key: damaged rows hid the first when the second began.
    #[error(
        "entries {first} and {second} begin two operations with one reference, or one terminal serial number: no journal can \
         hold both; reconcile both with the provider, then, to begin anew, move the whole folder away and keep it; nothing \
         was changed"
    )]
    Twice {
        /// The entry that began the first.
        first: u64,
        /// The entry that began the second.
        second: u64,
    },
    /// The files could not be exchanged.
    #[error(
        "the files could not be exchanged; check the disk, then mend again, which goes on from here; the old ones are named \
         journal.db.damaged…, the new one journal.db.new"
    )]
    Exchange(#[source] io::Error),
    /// The new journal is not whole. It has not taken the old one's place.
    #[error(
        "journal.db.new, which was made anew, is not whole and does not take journal.db's place; where journal.db is missing, \
         put it back: it is named journal.db.damaged…"
    )]
    Again(#[source] VerifyError),
    /// There is a new journal and no old one, but nothing tells that the new one is as long as the old one was.
    #[error(
        "journal.db is missing, and journal.head does not vouch for journal.db.new; put journal.db and journal.db-wal back: they \
         are named journal.db.damaged…"
    )]
    Unvouched,
}

impl MendError {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::Read(error) => error.is_transient(),
            Self::Whole
            | Self::Entries(_)
            | Self::Verdicts(_)
            | Self::Twice { .. }
            | Self::Exchange(_)
            | Self::Again(_)
            | Self::Unvouched => false,
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
    /// What had been found; none where a mend that had been interrupted was brought to its end.
    pub finding: Option<VerifyError>,
    /// Where the damaged file is kept.
    pub kept: PathBuf,
    /// The journal as it is now.
    pub report: Report,
    /// What is left: verdicts of an exchanged batch that could not be read, or that are not those that its permit names.
    pub left: Option<Finding>,
}

/// Makes the rows and pages of a journal anew from its entries, and notes it in `journal.mends` behind `note`: one line that says
/// who did it, when and why. Nobody else may have the journal open. Needs as much free space as the journal has. What it makes
/// belongs to whom `journal.db` belongs to, whoever calls it. Where a mend was interrupted in the exchange of the files, goes on
/// from there.
///
/// # Errors
/// [`MendError`] says what is to be done.
pub fn mend(state_dir: &Path, note: &str) -> Result<Mended, MendError> {
    let folder = StateFolder::new(state_dir);
    let lock = folder.lock()?;
    let key = folder.key()?.ok_or(OpenError::KeyMissing)?;
    let is_under_way = exchange::is_under_way(&folder)?;
    let owner = Owner::of(&if is_under_way {
        folder.new_journal()
    } else {
        folder.journal()
    });
    let owner = owner.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => OpenError::Gone,
        _ => error.into(),
    })?;
    owner.take(&lock)?;
    if is_under_way {
        return go_on(&folder, &key, &owner, note);
    }
    let finding = match verify(state_dir, None, |_, _| {}) {
        Ok(_) => return Err(MendError::Whole),
        Err(VerifyError::Found(entries @ (Finding::TailCut { .. } | Finding::OtherHead { .. }))) => {
            return Err(MendError::Entries(entries));
        }
        Err(VerifyError::Found(verdicts @ Finding::Verdicts { .. })) => {
            return Err(MendError::Verdicts(verdicts));
        }
        Err(VerifyError::Found(entries)) if !entries.hits_all() && !entries.is_of_verdicts() => {
            return Err(MendError::Entries(entries));
        }
        Err(VerifyError::Open(error)) => return Err(error.into()),
        Err(finding) => finding,
    };
    let made = make_anew(&folder, &key, &owner).and_then(|(head, not_read)| {
        let checked = verify::verify_new(&folder, head).map_err(MendError::Again)?;
        head_file::keep(&folder, &key, head, |file| owner.take(file))?;
        Ok((checked, not_read))
    });
    let ((report, left), not_read) = made.inspect_err(|_| {
        // What is left of it is in nobody's way but the disk's.
        let _ = fs::remove_file(folder.new_journal());
    })?;
    let kept = exchange::free_name(&folder)?;
    let not_read = match not_read.as_slice() {
        [] => String::new(),
        batches => format!("; verdicts of these batches not read: {batches:?}"),
    };
    let line = format!("{note}; found: {finding:?}{not_read}; head {}\n", report.head);
    exchange::write_note(&folder, &owner, &line)?;
    exchange::exchange(&folder, &kept).map_err(MendError::Exchange)?;
    Ok(Mended {
        finding: Some(finding),
        kept,
        report,
        left,
    })
}

/// Ends the exchange in which a mend was interrupted. It had noted the new journal's head: that tells a journal that is as long as
/// the old one from what an earlier mend may have left.
fn go_on(folder: &StateFolder, key: &ChainKey, owner: &Owner, note: &str) -> Result<Mended, MendError> {
    let noted = head_file::noted(folder, key)?.ok_or(MendError::Unvouched)?;
    let (report, left) = verify::verify_new(folder, noted).map_err(MendError::Again)?;
    if report.head != noted {
        return Err(MendError::Unvouched);
    }
    let kept = exchange::begun_name(folder)?;
    let line = format!("{note}; went on with the mend before; head {}\n", report.head);
    exchange::write_note(folder, owner, &line)?;
    exchange::exchange(folder, &kept).map_err(MendError::Exchange)?;
    Ok(Mended {
        finding: None,
        kept,
        report,
        left,
    })
}

/// Writes a data base of all entries, each of which the record chain vouches for. Tells of which batches not every verdict could be
/// read.
fn make_anew(
    folder: &StateFolder,
    key: &ChainKey,
    owner: &Owner,
) -> Result<(Head, Vec<OperationId>), MendError> {
    let noted = head_file::noted(folder, key).map_err(OpenError::from)?;
    let mut new = create_new(folder, owner)?;
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
    let not_read = verdicts::copy(&old, &sql, &anew.batches)?;
    sql.commit()?;
    Ok((head, not_read))
}

/// An empty journal in `journal.db.new`, in place of what an earlier mend left.
fn create_new(folder: &StateFolder, owner: &Owner) -> Result<Connection, MendError> {
    let path = folder.new_journal();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&path)?;
    owner.take(&file)?;
    let mut new = Connection::open(&path)?;
    new.pragma_update(None, "page_size", rows::signed(schema::PAGE_BYTES))?;
    // Nobody reads it before it is whole; a crash leaves nothing that is needed.
    new.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    schema::migrate(&mut new)?;
    Ok(new)
}

/// The entry that began another operation with this one's reference or debit key.
fn begun_before(conn: &Connection, operation: &AnyOperation) -> Result<Option<u64>, MendError> {
    let key = operation.sale().and_then(|sale| sale.key());
    let first: Option<i64> = conn
        .prepare_cached(
            "SELECT opening FROM operations WHERE reference = ?1
             UNION ALL
             SELECT opening FROM operations WHERE id = (
                 SELECT operation FROM debits
                 WHERE terminal_number = ?2 AND terminal_sn = ?3 AND scheme = ?4 AND card = ?5)
             LIMIT 1",
        )?
        .query_row(
            (
                operation.reference().map(Reference::as_str),
                key.map(|key| key.terminal_number),
                key.map(|key| key.terminal_sn),
                key.map(|key| rows::scheme_name(key.card.scheme())),
                key.map(|key| key.card.serial()),
            ),
            |row| row.get(0),
        )
        .optional()?;
    Ok(first.and_then(|first| u64::try_from(first).ok()))
}

/// What has been written so far.
#[derive(Default)]
struct Anew {
    totals: Totals,
    /// Operations that may still get entries by themselves.
    alive: BTreeMap<OperationId, AnyOperation>,
    /// Every batch that was sealed, and how many items it has.
    batches: Vec<(OperationId, u32)>,
}

impl Anew {
    fn take(&mut self, conn: &Connection, entry: &RawEntry) -> Result<(), MendError> {
        let number = entry.number;
        let recorded = entry.decode()?;
        let id = recorded.content.operation;
        let before = match (self.alive.remove(&id), &recorded.content.entry) {
            // Nothing else follows most of the sales that it can follow: they have been forgotten.
            (None, Entry::SalePresentedAgain(_)) => rows::operation(conn, id.bytes(), None)?,
            (alive, _) => alive,
        };
        let mut operation = before.clone();
        rows::fold(&mut operation, &recorded)
            .map_err(|source| MendError::Entries(Finding::OutOfOrder { number, source }))?;
        let operation = operation.expect("a fold that succeeds makes an operation");
        match before {
            None => {
                if let Some(first) = begun_before(conn, &operation)? {
                    let second = number;
                    return Err(MendError::Twice { first, second });
                }
                rows::insert_operation(conn, &operation)?;
                let batch = operation.settlement().map(|it| (it.id, it.sealed.count));
                self.batches.extend(batch);
            }
            Some(before) => rows::change_operation(conn, &before, &operation)?,
        }
        rows::insert_entry(conn, recorded.head, id, &entry.content)?;
        batches::insert_settleable(conn, number, &recorded.content.entry)?;
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
