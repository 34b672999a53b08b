//! The one writer.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use purser_ledger::{
    AnyOperation, Commit, Damaged, Find, FindError, Head, OperationId, Reference, Refused, Snapshot,
    Standing, Store, StoreBroken,
};
use rusqlite::{Connection, ErrorCode};

use crate::chain::ChainKey;
use crate::head_file::HeadFile;
use crate::memory::{Memory, check_whole};
use crate::references::References;
use crate::room::{DiskRoom, HEADROOM_COMMITS, Room};
use crate::{NotKept, OpenError, ReadError, SignedVerdict, append, rows, start};

/// How long a statement waits for another process: an operator's shell at its slowest, not for ever.
pub(crate) const BUSY: Duration = Duration::from_secs(2);

/// What an operator may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// New sales stop when the disk has less free space than this, in bytes.
    pub reserve_bytes: u64,
}

impl Default for Options {
    /// 64 MiB: room for days of entries and for the logs of whoever comes to free the disk.
    fn default() -> Self {
        Self {
            reserve_bytes: 64 << 20,
        }
    }
}

/// The journal, open for writing. Only one exists for a state folder at a time.
///
/// After a [`StoreBroken`] every further call answers the same: end the process; the next start recovers.
#[derive(Debug)]
pub struct Journal {
    pub(crate) conn: Connection,
    pub(crate) key: ChainKey,
    pub(crate) memory: Memory,
    pub(crate) room: Room,
    pub(crate) head_file: HeadFile,
    is_broken: Cell<bool>,
    full_check: FullCheck,
    /// Read when a sale is not found while its reference's index is not known to be whole.
    references: RefCell<Option<References>>,
    /// Dropped last: whoever gets the lock finds the journal closed.
    _lock: File,
}

/// Tells a journal at work that a full check found its rows and pages whole: what is not found in it is new. Clones share it.
#[derive(Clone, Debug)]
pub struct FullCheck(Arc<AtomicBool>);

impl FullCheck {
    /// The full check ([`crate::verify`]) found nothing, or nothing but damaged entries, which hit single sales. Beside a damaged
    /// entry it does not compare what follows from all entries (counts, balances, what is open); but that the two trees of
    /// operations are equal it checks always, and nothing else is needed to know that a reference is new.
    pub fn has_ended_well(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What [`Journal::maintain`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// Nothing was to be done.
    Nothing,
    /// All commits are in the data base file, and the WAL begins anew.
    Restarted,
    /// Another program reads; call again later. Nothing is lost.
    ReaderHolds,
    /// The disk has no room for the data base file to grow; call again later. Nothing is lost.
    NoRoom,
}

impl Journal {
    /// Opens the journal of a state folder, and makes both where they are missing. Checkpoints and syncs before it believes
    /// an entry.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(state_dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let parts = start::open(state_dir, options)?;
        Ok(Self {
            conn: parts.conn,
            key: parts.key,
            memory: parts.memory,
            room: parts.room,
            head_file: parts.head_file,
            is_broken: Cell::new(false),
            full_check: FullCheck(Arc::new(AtomicBool::new(parts.are_references_compared))),
            references: RefCell::new(None),
            _lock: parts.lock,
        })
    }

    /// The newest entry's number and digest.
    pub fn head(&self) -> Head {
        self.memory.head
    }

    /// What to tell when a full check has ended well. A long journal looks for each new sale in two places until then.
    pub fn full_check(&self) -> FullCheck {
        self.full_check.clone()
    }

    /// The free space of its disk; none where the system does not tell.
    pub fn disk(&self) -> Option<DiskRoom> {
        self.room.disk().ok()
    }

    /// Frames of the WAL that hold commits: what the next [`Self::maintain`] has to do.
    pub fn wal_frames(&self) -> u64 {
        self.room.used()
    }

    /// True while a debit is under way: a good moment for nothing but its outcome. A credit is not looked at: a load may wait for
    /// its card for days, and the journal must be maintained.
    pub fn is_between_commits(&self) -> bool {
        let open = self.memory.open.values().filter_map(AnyOperation::sale);
        open.into_iter().any(|sale| sale.standing == Standing::Intended)
    }

    /// Moves the WAL's commits into the data base file, begins the WAL anew and pays the sync of its new header, so that
    /// the next commit makes one sync. Call it when no sale is under way.
    ///
    /// # Errors
    /// [`StoreBroken`]: the disk failed. End the process.
    pub fn maintain(&mut self) -> Result<Maintained, StoreBroken> {
        self.checked(Self::restart_wal)
    }

    /// Keeps a page of a batch's signed verdicts, durably. They are outside of the record chain: the digest in the entry that
    /// exchanges the batch vouches for them (money rule T4).
    ///
    /// # Errors
    /// [`StoreBroken`]: nothing is known about the page. End the process.
    pub fn keep_verdicts(
        &mut self,
        batch: OperationId,
        verdicts: &[SignedVerdict],
    ) -> Result<Result<(), NotKept>, StoreBroken> {
        self.checked(|journal| crate::verdicts::keep(journal, batch, verdicts))
    }

    /// As [`Self::maintain`].
    pub(crate) fn restart_wal(&mut self) -> Result<Maintained, ReadError> {
        if self.room.used() <= UPKEEP_FRAMES {
            return Ok(Maintained::Nothing);
        }
        // A reader that does not let go must not hold up a sale.
        self.conn.busy_timeout(Duration::ZERO)?;
        let checkpoint = checkpoint(&self.conn);
        self.conn.busy_timeout(BUSY)?;
        match checkpoint {
            Ok(Checkpoint::Whole) => {
                pay_header_sync(&self.conn)?;
                self.head_file.sync();
                self.room.extend(HEADROOM_COMMITS, self.memory.commits_to_end())?;
                Ok(Maintained::Restarted)
            }
            Ok(Checkpoint::Partial | Checkpoint::NotRestarted) => Ok(Maintained::ReaderHolds),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(Maintained::NoRoom),
            Err(error) => Err(error.into()),
        }
    }

    fn checked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, ReadError>) -> Result<T, StoreBroken> {
        let result = if self.is_broken.get() {
            Err(ReadError::BrokenBefore)
        } else {
            work(self)
        };
        result.map_err(|error| self.broken(error))
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        if self.is_broken.get() {
            Err(ReadError::BrokenBefore)
        } else {
            read(&self.conn)
        }
    }

    /// Whether an operation has this reference that its index does not show.
    fn is_hidden(&self, conn: &Connection, reference: &Reference) -> Result<bool, ReadError> {
        let mut known = self.references.borrow_mut();
        if self.full_check.is_over() {
            *known = None;
            return Ok(false);
        }
        let references = match known.take() {
            Some(references) => references,
            None => References::read(conn)?,
        };
        Ok(known.insert(references).may_have(reference))
    }

    fn broken(&self, error: ReadError) -> StoreBroken {
        self.is_broken.set(true);
        StoreBroken(Box::new(error))
    }
}

impl Store for Journal {
    fn append(&mut self, group: &[Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken> {
        self.checked(|journal| append::append(journal, group))
    }

    fn find(&self, query: &Find) -> Result<Option<AnyOperation>, FindError> {
        let found = self.read(|conn| match query {
            Find::Reference(reference) => {
                match rows::operation_by_reference(conn, reference, Some(&self.key))? {
                    None if self.is_hidden(conn, reference)? => Err(ReadError::Row { table: "operations" }),
                    Some(found) => {
                        let known = self.memory.open.get(&found.id()).map(AnyOperation::head);
                        check_whole(known, &found)?;
                        Ok(Some(found))
                    }
                    None => Ok(None),
                }
            }
        });
        // One damaged entry must not end the process each time that somebody asks for its sale.
        found.map_err(|error| {
            if error.is_damage() {
                Damaged(Box::new(error)).into()
            } else {
                self.broken(error).into()
            }
        })
    }

    fn snapshot(&self) -> Result<Snapshot, StoreBroken> {
        let snapshot = self.read(|conn| {
            let rows::Open {
                operations,
                loads,
                held,
                ..
            } = rows::open(conn, Some(&self.key))?;
            let newest = rows::newest(conn)?.map(|newest| newest.content.at);
            Ok(Snapshot {
                open: operations,
                loads,
                held,
                terminal_sn_max: rows::terminal_sn_max(conn)?,
                newest_unix_seconds: newest.map(|at| at.unix_seconds),
                newest_local_seconds: newest.map(|at| at.local_seconds()),
                unsettled: self.memory.totals.unsettled(conn, &self.memory.batches)?,
                batches: self.memory.batches.clone(),
            })
        });
        snapshot.map_err(|error| self.broken(error))
    }
}

/// Frames of the one small write that follows a checkpoint.
const UPKEEP_FRAMES: u64 = 1;

/// How far a checkpoint came.
pub(crate) enum Checkpoint {
    /// Everything is in the data base file; the next write begins the WAL anew.
    Whole,
    /// Everything is in the data base file, but a reader keeps the WAL as it is.
    NotRestarted,
    /// A reader kept some commits from being moved.
    Partial,
}

pub(crate) fn checkpoint(conn: &Connection) -> Result<Checkpoint, rusqlite::Error> {
    conn.query_row("PRAGMA wal_checkpoint(RESTART)", (), |row| {
        let (is_busy, in_wal, moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // SQLite gives -1 for both when it did not even begin.
        Ok(match (is_busy, in_wal >= 0 && moved == in_wal) {
            (false, _) => Checkpoint::Whole,
            (true, true) => Checkpoint::NotRestarted,
            (true, false) => Checkpoint::Partial,
        })
    })
}

/// The first write to a new WAL syncs its header too; a sale's commit must not have to.
pub(crate) fn pay_header_sync(conn: &Connection) -> Result<(), rusqlite::Error> {
    conn.execute("UPDATE upkeep SET checkpoints = checkpoints + 1", ())?;
    Ok(())
}
