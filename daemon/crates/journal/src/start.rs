//! How a journal opens: nothing is believed before it has been checkpointed and synced (money rule P3).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::chain::ChainKey;
use crate::files::StateFolder;
use crate::head_file::{self, HeadFile};
use crate::journal::{BUSY, Checkpoint, checkpoint, pay_header_sync};
use crate::memory::Memory;
use crate::room::{HEADROOM_COMMITS, Room};
use crate::rows::signed;
use crate::{OpenError, Options, schema};

mod check;

/// Prepared statements that the writer keeps: all that it has, with room to spare.
const STATEMENTS: usize = 32;

/// Everything that an open journal consists of.
pub(crate) struct Parts {
    pub(crate) conn: Connection,
    pub(crate) key: ChainKey,
    pub(crate) memory: Memory,
    pub(crate) room: Room,
    pub(crate) head_file: HeadFile,
    pub(crate) lock: File,
    /// True when the operations' references were compared with their index.
    pub(crate) are_references_compared: bool,
}

pub(crate) fn open(path: &Path, options: &Options) -> Result<Parts, OpenError> {
    let folder = StateFolder::new(path);
    folder.prepare()?;
    let lock = folder.lock()?;
    let known_key = folder.key()?;
    if known_key.is_some() && folder.lacks_journal()? {
        return Err(OpenError::Gone);
    }
    folder.create_journal()?;
    let (mut conn, are_references_compared) =
        connect(&folder, known_key.as_ref()).map_err(|error| told_by_key(error, &known_key))?;
    believe(&conn)?;
    schema::migrate(&mut conn)?;
    folder.sync()?;
    let used = Arc::new(AtomicU64::new(0));
    follow_wal(&mut conn, Arc::clone(&used))?;
    let key = match known_key {
        Some(key) => key,
        None => folder.create_key()?,
    };
    pay_header_sync(&conn)?;
    let memory = Memory::load(&conn, &key)?;
    let mut room = Room::open(&folder, used, options.reserve_bytes)?;
    let to_end = memory.commits_to_end();
    if !room.extend(HEADROOM_COMMITS, to_end)? && !room.fits(0, to_end) {
        return Err(OpenError::NoSpace {
            bytes: room.needed_bytes(0, to_end),
        });
    }
    let head_file = HeadFile::open(&folder, &key, memory.head);
    Ok(Parts {
        conn,
        key,
        memory,
        room,
        head_file,
        lock,
        are_references_compared,
    })
}

/// Beside a chain's key lies a journal: what cannot be read as one there is a damaged one, and must not be moved away.
fn told_by_key(error: OpenError, key: &Option<ChainKey>) -> OpenError {
    match error {
        OpenError::NotAJournal if key.is_some() => OpenError::FirstPage,
        other => other,
    }
}

fn connect(folder: &StateFolder, key: Option<&ChainKey>) -> Result<(Connection, bool), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(folder.journal(), flags)?;
    // The WAL and the room in it outlive this process; a start that is refused leaves them as they are.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(BUSY)?;
    // Before anything is written: a start that is refused must leave what is there to whoever mends it, and the first write to
    // a WAL that SQLite does not read begins it anew.
    let are_references_compared = match (schema::check(&conn)?, key) {
        (0, None) if folder.has_head()? => return Err(OpenError::KeyMissing),
        (0, None) => true,
        // The tables are made before the key is: they were here, and with them perhaps claims.
        (0, Some(_)) => return Err(OpenError::Gone),
        (_, None) if has_entries(folder, &conn)? => return Err(OpenError::KeyMissing),
        (_, None) => true,
        (_, Some(key)) => {
            head_file::check(folder, &conn, key)?;
            schema::fill_in(&conn)?;
            check::check(&conn, key)?
        }
    };
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
    Ok((conn, are_references_compared))
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

/// Whether the journal has, or ever had, an entry.
fn has_entries(folder: &StateFolder, conn: &Connection) -> Result<bool, OpenError> {
    Ok(conn.prepare("SELECT 1 FROM entries LIMIT 1")?.exists(())? || folder.has_head()?)
}
