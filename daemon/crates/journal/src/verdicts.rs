//! The provider's signed verdicts, kept beside the chain (money rule T4).
//!
//! A batch of a million has a million of them: they are written page by page while they come, in commits of their own. The
//! permit names a digest over the final ones, and the entry that exchanges the batch has that digest: so the chain vouches for
//! them. Until then they are worth nothing, and may be written again.

use purser_ledger::{BatchExchanged, OperationId, Settlement};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::memory::count;
use crate::room::{DiskRoom, OPENING_FRAMES};
use crate::schema::PAGE_BYTES;
use crate::{Journal, ReadError};

/// The most verdicts that are kept at once: a provider's page.
pub const VERDICTS_MAX: usize = 1_000;

/// What a row takes on a page beside the verdict and its signature: its key and SQLite's lengths, and the gaps of pages that
/// split.
const ROW_BYTES: u64 = 64;

/// One verdict as it came: opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedVerdict {
    /// The place in the batch, from 0.
    pub place: u32,
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// The provider's signature over them.
    pub signature: Vec<u8>,
}

/// Why verdicts are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The disk has no room for them beside what sales need: less than twice the reserve.
    #[error("the journal has no room for the provider's verdicts; free disk space")]
    NoRoom,
    /// No such batch is under way: it is exchanged or void, and its verdicts stay as they are.
    #[error("the batch is not under way")]
    NotUnderWay,
    /// What is kept of the batch cannot be read.
    #[error("the verdicts that are kept already are damaged; stop purserd and run purserd mend-journal")]
    Damaged,
    /// More than [`VERDICTS_MAX`] at once.
    #[error("a page has at most {VERDICTS_MAX} verdicts")]
    TooMany,
}

impl NotKept {
    /// True when the same verdicts may be kept later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NoRoom => true,
            Self::NotUnderWay | Self::Damaged | Self::TooMany => false,
        }
    }
}

/// Stores a page with one sync, each verdict in place of what was at its place: a later word replaces an earlier one,
/// whatever revision it says that it is, for the permit names what its own try brought.
pub(crate) fn keep(
    journal: &mut Journal,
    batch: OperationId,
    verdicts: &[SignedVerdict],
) -> Result<Result<(), NotKept>, ReadError> {
    if verdicts.len() > VERDICTS_MAX {
        return Ok(Err(NotKept::TooMany));
    }
    if journal.memory.batches.by_id(batch).is_none() {
        return Ok(Err(NotKept::NotUnderWay));
    }
    if !has_room(journal, verdicts)? {
        return Ok(Err(NotKept::NoRoom));
    }
    let sql = journal
        .conn
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut statement = sql.prepare_cached(
        "INSERT INTO verdicts (batch, place, bytes, signature) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET bytes = excluded.bytes, signature = excluded.signature",
    )?;
    for it in verdicts {
        match statement.execute((batch.bytes(), it.place, &it.bytes, &it.signature)) {
            Ok(_) => {}
            // Damage to them is no sale's: nothing of the page is stored, and the journal goes on.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                return Ok(Err(NotKept::Damaged));
            }
            Err(error) => return Err(error.into()),
        }
    }
    drop(statement);
    sql.commit()?;
    Ok(Ok(()))
}

/// Whether a page fits beside what open operations need to their end; makes room for it where it can.
fn has_room(journal: &mut Journal, verdicts: &[SignedVerdict]) -> Result<bool, ReadError> {
    let of = |it: &SignedVerdict| count(it.bytes.len().saturating_add(it.signature.len()));
    let bytes = verdicts.iter().map(|it| of(it).saturating_add(ROW_BYTES));
    // Pages that split leave both halves half full.
    let frames = bytes.fold(0, u64::saturating_add).div_ceil(PAGE_BYTES / 2);
    let commits = frames.div_ceil(OPENING_FRAMES).saturating_add(1);
    let to_end = journal.memory.commits_to_end();
    // They go into the data base file too, where a full WAL is moved: sales must still find their reserve then.
    let is_for_sales_only = |disk: DiskRoom| disk.is_low() || !disk.is_enough();
    if is_for_sales_only(journal.room.disk()?) {
        return Ok(false);
    }
    if !journal.room.fits(commits, to_end) {
        if !journal.is_between_commits() {
            journal.restart_wal()?;
        }
        journal.room.extend(commits, to_end)?;
    }
    Ok(journal.room.fits(commits, to_end) && !is_for_sales_only(journal.room.disk()?))
}

/// Writes the verdicts on these batches, each with how many items it has, into another journal that has their entries. Gives the batches of which not all could be
/// read: they follow from no entry, and must not keep what does from being mended.
pub(crate) fn copy(
    from: &Connection,
    to: &Connection,
    batches: &[(OperationId, u32)],
) -> Result<Vec<OperationId>, ReadError> {
    let mut insert =
        to.prepare("INSERT INTO verdicts (batch, place, bytes, signature) VALUES (?1, ?2, ?3, ?4)")?;
    let mut not_read = Vec::new();
    for (batch, count) in batches {
        let mut is_read = true;
        for place in 0..*count {
            match page(from, *batch, place, 1) {
                Ok(found) => {
                    for it in found.iter().filter(|it| it.place == place) {
                        insert.execute((batch.bytes(), it.place, &it.bytes, &it.signature))?;
                    }
                }
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => is_read = false,
            }
        }
        if !is_read {
            not_read.push(*batch);
        }
    }
    Ok(not_read)
}

/// Verdicts of a batch in the order of their places.
pub(crate) fn page(
    conn: &Connection,
    batch: OperationId,
    from_place: u32,
    limit: u32,
) -> Result<Vec<SignedVerdict>, ReadError> {
    let mut statement = conn.prepare_cached(
        "SELECT place, bytes, signature FROM verdicts WHERE batch = ?1 AND place >= ?2 ORDER BY place LIMIT ?3",
    )?;
    let rows = statement.query_map((batch.bytes(), from_place, limit), |row| {
        Ok(SignedVerdict {
            place: row.get(0)?,
            bytes: row.get(1)?,
            signature: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// True when the verdicts that are kept are those that the exchange of the batch names, one for each item.
pub(crate) fn are_those_of(
    conn: &Connection,
    settlement: &Settlement,
    exchanged: &BatchExchanged,
) -> Result<bool, ReadError> {
    let mut digest = begin(&settlement.sealed.batch);
    let mut next = 0;
    loop {
        let page = page(conn, settlement.id, next, crate::batches::SETTLEABLE_MAX)?;
        if page.is_empty() {
            return Ok(next == settlement.sealed.count && digest == exchanged.verdicts);
        }
        for verdict in page {
            if verdict.place != next {
                return Ok(false);
            }
            digest = with(digest, &verdict.bytes);
            next = next.saturating_add(1);
        }
    }
}

/// The provider's digest over no verdict on a batch of these canonical bytes. The layout is the provider's and never changes
/// (money rule C5); a test compares it with the provider's own code.
fn begin(batch: &[u8]) -> [u8; 32] {
    let batch: [u8; 32] = Sha256::digest(batch).into();
    let mut hash = Sha256::new();
    hash.update(b"PVRS\x01");
    hash.update(batch);
    hash.finalize().into()
}

/// The same with one more verdict.
fn with(digest: [u8; 32], verdict: &[u8]) -> [u8; 32] {
    let verdict: [u8; 32] = Sha256::digest(verdict).into();
    let mut hash = Sha256::new();
    hash.update(digest);
    hash.update(verdict);
    hash.finalize().into()
}
