//! The provider's data base: SQLite, WAL, every commit synced. Commands and `serve` use it at the same time.

pub(crate) mod batches;
pub(crate) mod books;
pub(crate) mod loads;
pub(crate) mod parameters;
pub(crate) mod permits;
pub(crate) mod queries;

use std::path::Path;
use std::time::Duration;

use purser_ledger::{Amount, Currency};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use crate::fault::{Failure, Fault};
use crate::folder::Folder;

/// SQLite's `application_id` of a provider's data base: "PURP".
const APPLICATION_ID: u32 = 0x5055_5250;

/// What leads from each version to the next one. Never changed once released, only added to.
const MIGRATIONS: [&str; 2] = [include_str!("1.sql"), include_str!("2.sql")];

/// How long a commit waits for another process's: the longest is the permit of a million claims.
const BUSY: Duration = Duration::from_secs(60);

/// The open data base.
pub(crate) struct Store(Connection);

/// Who this provider is.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    /// True for a lab's: loads can be opened by hand there, and nowhere else (money rule L1).
    pub(crate) is_lab: bool,
}

impl Store {
    /// Makes a new data base in the folder.
    pub(crate) fn create(folder: &Folder, provider: &Provider, now: i64) -> Result<(), Failure> {
        let path = folder.data_base();
        crate::folder::write_new(&path, b"")?;
        let mut store = Self::connect(&path)?;
        let sql = store.begin()?;
        for step in MIGRATIONS {
            sql.execute_batch(step)?;
        }
        sql.pragma_update(None, "application_id", APPLICATION_ID)?;
        sql.pragma_update(None, "user_version", known_version())?;
        sql.execute(
            "INSERT INTO provider (one, name, is_lab, made_at) VALUES (1, ?1, ?2, ?3)",
            (&provider.name, provider.is_lab, now),
        )?;
        sql.commit()?;
        folder.sync()
    }

    /// Opens the folder's data base.
    pub(crate) fn open(folder: &Folder) -> Result<Self, Failure> {
        let path = folder.data_base();
        if !path.exists() {
            let cause = format!("{} is no provider's folder", folder.path().display());
            let remedy =
                "name the folder with --dir or PURSER_PROVIDER_DIR, or make one with `purser-provider init`";
            return Err(Fault::unknown("NoProvider", cause, remedy).into());
        }
        let mut store = Self::connect(&path)?;
        let application: u32 = store
            .0
            .pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version = store.version()?;
        if application != APPLICATION_ID || version > known_version() || version == 0 {
            let cause = format!(
                "{} has version {version} of a provider's data base",
                path.display()
            );
            let remedy = "use the purser-provider that made it, or a newer one";
            return Err(Fault::conflict("OtherVersion", cause, remedy).into());
        }
        if version < known_version() {
            store.migrate()?;
        }
        Ok(store)
    }

    fn version(&self) -> Result<u32, Failure> {
        Ok(self
            .0
            .pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    /// Brings an older data base to this version, in one commit. Another process may have done it meanwhile.
    fn migrate(&mut self) -> Result<(), Failure> {
        let sql = self.begin()?;
        let from: u32 = sql.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let done = usize::try_from(from).unwrap_or(MIGRATIONS.len());
        for step in MIGRATIONS.iter().skip(done) {
            sql.execute_batch(step)?;
        }
        sql.pragma_update(None, "user_version", known_version())?;
        Ok(sql.commit()?)
    }

    fn connect(path: &Path) -> Result<Self, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY)?;
        let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(Failure::Damaged("its journal mode"));
        }
        conn.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
        )?;
        conn.set_prepared_statement_cache_capacity(128);
        Ok(Self(conn))
    }

    /// Begins a change: what it reads nobody else changes until it has committed.
    pub(crate) fn begin(&mut self) -> Result<Transaction<'_>, Failure> {
        Ok(self.0.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// For reading.
    pub(crate) fn reader(&self) -> &Connection {
        &self.0
    }

    /// Who this provider is.
    pub(crate) fn provider(&self) -> Result<Provider, Failure> {
        let provider = self.0.query_row("SELECT name, is_lab FROM provider", (), |row| {
            Ok(Provider {
                name: row.get(0)?,
                is_lab: row.get(1)?,
            })
        });
        Ok(provider?)
    }
}

fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// A number as SQLite holds it. Amounts, counts and versions are all far below its limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("amounts and counts are below 2^53")
}

/// An amount out of two columns.
pub(crate) fn amount(minor: i64, currency: &str) -> Result<Amount, Failure> {
    let minor = u64::try_from(minor).map_err(|_| Failure::Damaged("an amount"))?;
    Amount::new(minor, self::currency(currency)?).map_err(|_| Failure::Damaged("an amount"))
}

/// A currency out of a column.
pub(crate) fn currency(code: &str) -> Result<Currency, Failure> {
    code.parse().map_err(|_| Failure::Damaged("a currency"))
}

/// True when the query has a row.
pub(crate) fn exists(
    sql: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
) -> Result<bool, Failure> {
    let found = sql
        .prepare_cached(query)?
        .query_row(parameters, |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// Tells an operator of something that no fault of a line brings about.
pub(crate) fn alarm(sql: &Connection, now: i64, terminal: Option<&str>, name: &str) -> Result<(), Failure> {
    sql.prepare_cached("INSERT INTO alarm (at, terminal, name) VALUES (?1, ?2, ?3)")?
        .execute((now, terminal, name))?;
    Ok(())
}
