//! Queries that bypass the engine, on a connection of their own.

use std::path::Path;

use purser_ledger::{
    Account, AnyOperation, BatchStanding, Claims, Content, Currency, Head, Load, Operation, OperationId,
    Owner, Reference, Settlement,
};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params_from_iter};

use crate::batches::{self, BATCH_ENTRIES_MAX};
use crate::chain::ChainKey;
use crate::files::StateFolder;
use crate::journal::BUSY;
use crate::rows::{self, RawEntry, signed};
use crate::{OpenError, ReadError, SignedVerdict, Totals, schema, verdicts};

/// The most entries that one query gives: bounds the memory of an answer to a few megabytes.
const ENTRIES_MAX: u32 = 1_000;

/// An entry as it is stored and chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number and digest.
    pub head: Head,
    /// What it says.
    pub content: Content,
}

/// Which entries to read.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only entries after this number; 0 for all.
    pub after: u64,
    /// At most so many; [`Reader::entries`] gives no more than 1,000 at once.
    pub limit: u32,
    /// Only entries of this user's operations.
    pub owner: Option<Owner>,
    /// Only entries of the operation that has this reference.
    pub reference: Option<Reference>,
}

/// What a journal holds as a whole.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Balances.
    pub totals: Totals,
    /// How many sales there are.
    pub sales: u64,
    /// How many debits were ever intended.
    pub debits: u64,
    /// How many of them are proven, whatever became of their claims.
    pub paid: u64,
    /// Every sale whose debit is proven neither way and that can be read, oldest first.
    pub open: Vec<Operation>,
    /// How many more there are that cannot be read.
    pub unreadable: usize,
    /// How many loads there are.
    pub loads: u64,
    /// Every load that is open and can be read, oldest first.
    pub open_loads: Vec<Load>,
    /// How many more there are that cannot be read.
    pub unreadable_loads: usize,
}

/// Reads a journal, also while its writer is at work. Sees durable entries only.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    /// None in a journal that has no entry yet.
    key: Option<ChainKey>,
}

/// What can be settled in one currency, as of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The last entry of the range.
    pub upto: u64,
    /// True when there is more than fits into one batch.
    pub has_more: bool,
    /// The newest entry at that moment.
    head: u64,
    /// The claims that the balances hold as open: those of the range, and more where there is more.
    open: Claims,
    /// True when a batch of the currency is under way that cannot be read: none is sealed before it is mended.
    pub is_blocked: bool,
}

impl Range {
    /// The range that ends before a damaged sale, which was met behind `read_to`: what stands before it is settled nevertheless (one
    /// that is damaged is its own misfortune). None where this is no damage, or where nothing stands before it.
    #[must_use]
    pub fn before(self, damage: &ReadError, read_to: u64) -> Option<Self> {
        let whole = damage.entry().map_or(0, |number| number.saturating_sub(1));
        let upto = read_to.max(whole);
        (damage.is_damage() && upto < self.upto).then_some(Self {
            upto,
            has_more: true,
            ..self
        })
    }
}

impl Reader {
    /// Opens the journal of a state folder for reading.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        let folder = StateFolder::new(state_dir);
        Ok(Self {
            conn: connect(&folder, Beside::Writer)?,
            key: folder.key()?,
        })
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The generation of the newest intent, by each PSAM terminal number's highest serial number; none before the first, and none
    /// of an intent that cannot be read.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn newest_generation(&self) -> Result<Option<u32>, ReadError> {
        let mut newest = None;
        for operation in rows::newest_debits(&self.conn)? {
            let found = match rows::operation(&self.conn, &operation, None) {
                Err(error) if error.is_damage() => continue,
                found => found?,
            };
            let sale = found.and_then(AnyOperation::into_sale);
            newest = newest.max(sale.and_then(|it| it.intended).map(|it| it.generation));
        }
        Ok(newest)
    }

    /// The highest terminal serial number ever intended; none before the first.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn terminal_sn_max(&self) -> Result<Option<u32>, ReadError> {
        rows::terminal_sn_max(&self.conn)
    }

    /// What can be settled in a currency behind an entry, when no batch of it is under way.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn range(&self, currency: Currency, after: u64) -> Result<Range, ReadError> {
        let moment = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Deferred)?;
        let totals = Totals::load(&moment)?;
        let is_blocked = match &self.key {
            Some(key) => batches::load(&moment, key)?.is_blocked(currency),
            None => false,
        };
        let full = batches::upto(&moment, currency, after, BATCH_ENTRIES_MAX)?;
        let head = rows::head(&moment)?.number;
        Ok(Range {
            upto: full.unwrap_or(head),
            has_more: full.is_some(),
            head,
            open: Claims {
                count: totals.count(Account::Claims, currency),
                minor: totals.books().balance(Account::Claims, currency).minor(),
                oldest_unix_seconds: None,
            },
            is_blocked,
        })
    }

    /// The claims that must stand in a range: those that the balances hold, less those behind its end. Their sum is known where
    /// there are none behind it; else it is an upper bound. One claim fewer in the range is a lost row, and nothing is sealed over
    /// that.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn booked(&self, currency: Currency, range: Range) -> Result<Claims, ReadError> {
        let behind = batches::claims_behind(&self.conn, currency, range.upto, range.head)?;
        Ok(Claims {
            count: range.open.count.saturating_sub(behind),
            ..range.open
        })
    }

    /// A page of the entries in `(after, upto]` that make items of a batch, at most 1,000: each with its sale, folded from its
    /// entries up to `upto`, which have been found in their places in the record chain. The same at every time. Ends before a damaged
    /// sale, and fails where that is the first: [`Range::before`] it can be settled.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn settleable(
        &self,
        currency: Currency,
        after: u64,
        upto: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Operation)>, ReadError> {
        match &self.key {
            Some(key) => batches::page(&self.conn, key, currency, (after, upto), limit),
            None => Ok(Vec::new()),
        }
    }

    /// The batches that were sealed with the entries that sealed them, newest first, before this entry where one is given; at most 1,000.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn batches(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Settlement)>, ReadError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT operation, sealed FROM batches WHERE sealed < ?1 ORDER BY sealed DESC LIMIT ?2",
        )?;
        let limit = limit.min(ENTRIES_MAX);
        let ids = statement.query_map((signed(before.unwrap_or(u64::MAX)), limit), |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })?;
        let damaged = || ReadError::Row { table: "batches" };
        let mut settlements = Vec::new();
        for id in ids {
            let (id, sealed) = id?;
            let sealed = u64::try_from(sealed).map_err(|_| damaged())?;
            match rows::operation(&self.conn, &id, None)? {
                Some(AnyOperation::Settlement(settlement)) => settlements.push((sealed, settlement)),
                Some(AnyOperation::Sale(_) | AnyOperation::Load(_)) | None => return Err(damaged()),
            }
        }
        Ok(settlements)
    }

    /// The signed verdict on each place of a batch, from a place on; at most 1,000.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn verdicts(
        &self,
        batch: OperationId,
        from_place: u32,
        limit: u32,
    ) -> Result<Vec<SignedVerdict>, ReadError> {
        verdicts::page(&self.conn, batch, from_place, limit.min(ENTRIES_MAX))
    }

    /// Whether the verdicts that are kept on a batch are those that its exchange names, one for each item (money rule T4). Never
    /// of a batch that is not exchanged. Reads all of them.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn are_verdicts_whole(&self, settlement: &Settlement) -> Result<bool, ReadError> {
        match &settlement.standing {
            BatchStanding::Exchanged(exchanged) => verdicts::are_those_of(&self.conn, settlement, exchanged),
            BatchStanding::Sealed | BatchStanding::Voided(_) => Ok(false),
        }
    }

    /// The operation that has this number, each of its entries found in its place in the record chain: for whoever acts on it.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn operation_by_id(&self, id: OperationId) -> Result<Option<AnyOperation>, ReadError> {
        match &self.key {
            Some(key) => rows::operation(&self.conn, id.bytes(), Some(key)),
            None => Ok(None),
        }
    }

    /// Entries in their order.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn entries(&self, query: &Query) -> Result<Vec<Recorded>, ReadError> {
        let mut sql = "SELECT number, digest, operation, content FROM entries WHERE number > ?".to_owned();
        let mut values = vec![Value::from(signed(query.after))];
        if let Some(reference) = &query.reference {
            sql.push_str(" AND operation = (SELECT id FROM operations WHERE reference = ?)");
            values.push(Value::from(reference.as_str().to_owned()));
        }
        if let Some(owner) = query.owner {
            sql.push_str(" AND (SELECT owner FROM operations WHERE id = entries.operation) = ?");
            values.push(Value::from(owner.0));
        }
        sql.push_str(" ORDER BY number LIMIT ?");
        values.push(Value::from(query.limit.min(ENTRIES_MAX)));
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(RawEntry::read(row)?.decode()?);
        }
        Ok(entries)
    }

    /// The operation that has a reference.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn operation(&self, reference: &Reference) -> Result<Option<AnyOperation>, ReadError> {
        rows::operation_by_reference(&self.conn, reference, None)
    }

    /// Every sale whose debit is proven neither way, oldest first.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn open_operations(&self) -> Result<Vec<Operation>, ReadError> {
        Ok(rows::open(&self.conn, None)?.operations)
    }

    /// Every load that is open, oldest first.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn open_loads(&self) -> Result<Vec<Load>, ReadError> {
        Ok(rows::open(&self.conn, None)?.loads)
    }

    /// Balances and counts, with the head that they belong to.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn totals(&self) -> Result<(Totals, Head), ReadError> {
        let moment = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Deferred)?;
        Ok((Totals::load(&moment)?, rows::head(&moment)?))
    }

    /// Every entry of one operation, oldest first; none if it is not known.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn history(&self, operation: OperationId) -> Result<Vec<Recorded>, ReadError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT number, digest, operation, content FROM entries WHERE operation = ?1 ORDER BY number",
        )?;
        let mut rows = statement.query((operation.bytes(),))?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(RawEntry::read(row)?.decode()?);
        }
        Ok(entries)
    }

    /// What the journal holds as a whole, all of one moment.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn overview(&self) -> Result<Overview, ReadError> {
        let moment = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Deferred)?;
        let rows::Open {
            operations,
            loads: open_loads,
            unreadable,
            unreadable_loads,
            ..
        } = rows::open(&moment, None)?;
        let loads = rows::count(&moment, "SELECT count(*) FROM loads")?;
        // A settlement has no reference.
        let named = rows::count(&moment, "SELECT count(reference) FROM operations")?;
        Ok(Overview {
            totals: Totals::load(&moment)?,
            sales: named.saturating_sub(loads),
            loads,
            open_loads,
            debits: rows::count(&moment, "SELECT count(*) FROM debits")?,
            paid: rows::count(&moment, "SELECT count(*) FROM settleable WHERE kind = 'claim'")?,
            open: operations,
            unreadable,
            unreadable_loads,
        })
    }

    /// The newest entry's number and digest.
    ///
    /// # Errors
    /// [`ReadError`]; a transient one is worth another call.
    pub fn head(&self) -> Result<Head, ReadError> {
        rows::head(&self.conn)
    }
}

/// Who else may have the journal open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// A writer, now or later: its commits must be seen.
    Writer,
    /// Nobody, if there is no WAL: it is a copy, and not even SQLite's own files shall appear beside it.
    NobodyWithoutWal,
}

/// A connection that cannot write.
pub(crate) fn connect(folder: &StateFolder, beside: Beside) -> Result<Connection, OpenError> {
    let path = folder.journal();
    if folder.lacks_journal()? {
        return Err(if folder.has_key()? {
            OpenError::Gone
        } else {
            OpenError::Absent
        });
    }
    match connect_to(folder, &path, beside) {
        Err(OpenError::NotAJournal) if folder.has_key()? => Err(OpenError::FirstPage),
        Err(OpenError::Absent) if folder.has_key()? => Err(OpenError::Gone),
        connected => connected,
    }
}

fn connect_to(folder: &StateFolder, path: &Path, beside: Beside) -> Result<Connection, OpenError> {
    if beside == Beside::Writer || folder.wal().try_exists()? {
        checked(Connection::open_with_flags(path, FLAGS)?)
    } else {
        connect_alone(path)
    }
}

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A connection that cannot write to a file that nobody writes and that has no WAL.
pub(crate) fn connect_alone(path: &Path) -> Result<Connection, OpenError> {
    let uri = format!("file:{}?immutable=1", uri_path(path));
    checked(Connection::open_with_flags(
        uri,
        FLAGS | OpenFlags::SQLITE_OPEN_URI,
    )?)
}

fn checked(conn: Connection) -> Result<Connection, OpenError> {
    conn.busy_timeout(BUSY)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    if schema::check(&conn)? == 0 {
        return Err(OpenError::Absent);
    }
    schema::fill_in(&conn)?;
    conn.execute_batch("PRAGMA query_only = ON;")?;
    Ok(conn)
}

/// A path as SQLite's URI syntax has it: every byte but unreserved ones and slashes as %HH.
fn uri_path(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let quoted = |byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.as_os_str().as_bytes().iter().map(quoted).collect()
}
