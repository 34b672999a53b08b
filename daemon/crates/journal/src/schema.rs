//! The tables, and how an older journal becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

use crate::OpenError;

/// SQLite's `application_id` of a journal: "PURS".
const APPLICATION_ID: u32 = 0x5055_5253;

/// What leads from each version to the next one. Never changed once released, only added to.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
];

/// The first version that has the table of loads.
const WITH_LOADS: u32 = 2;

/// The bytes of a page: what a WAL frame's size and the room for evidence are reckoned with.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// The version that this Purser reads and writes.
pub(crate) fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// Whether the file may be used. Only reads.
///
/// # Errors
/// [`OpenError::NotAJournal`] or [`OpenError::NewerVersion`].
pub(crate) fn check(conn: &Connection) -> Result<u32, OpenError> {
    let application: u32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let page_bytes: u32 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let is_empty = !conn.prepare("SELECT 1 FROM sqlite_schema")?.exists(())?;
    let is_new = is_empty && application == 0 && version == 0;
    if !is_new && (application != APPLICATION_ID || u64::from(page_bytes) != PAGE_BYTES) {
        return Err(OpenError::NotAJournal);
    }
    if version > known_version() {
        return Err(OpenError::NewerVersion {
            found: version,
            known: known_version(),
        });
    }
    Ok(version)
}

/// Lets a journal of an older version be read as it is: a table that it has not is an empty one. Nothing is written to it.
pub(crate) fn fill_in(conn: &Connection) -> Result<(), OpenError> {
    if check(conn)? < WITH_LOADS {
        conn.execute_batch(
            "CREATE TEMP VIEW loads AS
             SELECT NULL AS operation, NULL AS scheme, NULL AS card WHERE FALSE;",
        )?;
    }
    Ok(())
}

/// Brings the tables to the known version; each step is whole or did not happen.
pub(crate) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    conn.execute_batch("DROP VIEW IF EXISTS temp.loads")?;
    migrate_to(conn, known_version())
}

fn migrate_to(conn: &mut Connection, wanted: u32) -> Result<(), OpenError> {
    let from = check(conn)?;
    let steps = (1..=wanted).zip(MIGRATIONS);
    for (version, step) in steps.filter(|(version, _)| *version > from) {
        let sql = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        sql.execute_batch(step)?;
        sql.pragma_update(None, "application_id", APPLICATION_ID)?;
        sql.pragma_update(None, "user_version", version)?;
        sql.commit()?;
    }
    Ok(())
}

/// Whether the tables, indexes and guards are those that [`migrate`] makes, as far as the journal's version goes.
pub(crate) fn is_as_made(conn: &Connection) -> Result<bool, OpenError> {
    let mut made = Connection::open_in_memory()?;
    migrate_to(&mut made, check(conn)?)?;
    Ok(statements(conn)? == statements(&made)?)
}

fn statements(conn: &Connection) -> Result<Vec<(String, Option<String>)>, rusqlite::Error> {
    let mut statement = conn.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    statement
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
