//! How a journal opens: nothing is believed before it has been checkpointed and synced (money rule P3).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use purser_ledger::Head;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::chain::ChainKey;
use crate::files::StateFolder;
use crate::journal::{BUSY, Checkpoint, checkpoint, pay_header_sync};
use crate::memory::Memory;
use crate::room::{HEADROOM_COMMITS, Room};
use crate::rows::{RawEntry, signed};
use crate::{OpenError, Options, ReadError, schema};

/// How many of the newest entries a start checks against the record chain; the rest is verify's work.
const TAIL_ENTRIES: u64 = 64;

/// Prepared statements that the writer keeps: all that it has, with room to spare.
const STATEMENTS: usize = 32;

/// Everything that an open journal consists of.
pub(crate) struct Parts {
    pub(crate) conn: Connection,
    pub(crate) key: ChainKey,
    pub(crate) memory: Memory,
    pub(crate) room: Room,
    pub(crate) lock: File,
}

pub(crate) fn open(path: &Path, options: &Options) -> Result<Parts, OpenError> {
    let folder = StateFolder::new(path);
    folder.prepare()?;
    let lock = folder.lock()?;
    folder.create_journal()?;
    let mut conn = connect(&folder)?;
    believe(&conn)?;
    schema::migrate(&mut conn)?;
    folder.sync()?;
    let used = Arc::new(AtomicU64::new(0));
    follow_wal(&mut conn, Arc::clone(&used))?;
    let key = key(&folder, &conn)?;
    pay_header_sync(&conn)?;
    check_tail(&conn, &key)?;
    let memory = Memory::load(&conn)?;
    let mut room = Room::open(&folder, used, options.reserve_bytes)?;
    let to_end = memory.commits_to_end();
    if !room.extend(HEADROOM_COMMITS, to_end)? && !room.fits(0, to_end) {
        return Err(OpenError::NoSpace {
            bytes: room.needed_bytes(0, to_end),
        });
    }
    Ok(Parts {
        conn,
        key,
        memory,
        room,
        lock,
    })
}

fn connect(folder: &StateFolder) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(folder.journal(), flags)?;
    conn.busy_timeout(BUSY)?;
    schema::check(&conn)?;
    // The WAL and the room in it outlive this process.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "page_size", signed(schema::PAGE_BYTES))?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::ReaderHolds);
    }
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = -1;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_spill = OFF;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(conn)
}

/// After a failed sync the page cache may hold what the disk does not. A checkpoint writes all of the WAL into the data
/// base file and syncs that: from then on, what is read is what is durable.
fn believe(conn: &Connection) -> Result<(), OpenError> {
    match checkpoint(conn)? {
        Checkpoint::Whole | Checkpoint::NotRestarted => Ok(()),
        Checkpoint::Partial => Err(OpenError::ReaderHolds),
    }
}

fn follow_wal(conn: &mut Connection, used: Arc<AtomicU64>) -> Result<(), OpenError> {
    conn.wal_hook(Some(
        move |_: &mut rusqlite::hooks::Wal, frames: std::ffi::c_int| {
            used.store(u64::try_from(frames).unwrap_or(u64::MAX), Ordering::Relaxed);
            Ok(())
        },
    ))?;
    Ok(())
}

fn key(folder: &StateFolder, conn: &Connection) -> Result<ChainKey, OpenError> {
    let has_entries = conn.prepare("SELECT 1 FROM entries LIMIT 1")?.exists(())?;
    match folder.key()? {
        Some(key) => Ok(key),
        None if has_entries => Err(OpenError::KeyMissing),
        None => folder.create_key(),
    }
}

fn check_tail(conn: &Connection, key: &ChainKey) -> Result<(), OpenError> {
    let newest = crate::rows::head(conn)?.number;
    let first = newest.saturating_sub(TAIL_ENTRIES);
    let mut statement = conn.prepare(
        "SELECT number, digest, operation, content FROM entries WHERE number >= ?1 ORDER BY number",
    )?;
    let mut rows = statement.query((signed(first),))?;
    let mut before = (first == 0).then_some(Head::EMPTY);
    while let Some(row) = rows.next().map_err(ReadError::from)? {
        let entry = RawEntry::read(row)?;
        if let Some(before) = before {
            let is_next = entry.number == before.number.saturating_add(1);
            if !is_next || key.digest(entry.number, &before.digest, &entry.content) != entry.digest {
                return Err(OpenError::ChainBroken { number: entry.number });
            }
        }
        before = Some(entry.head());
    }
    Ok(())
}
