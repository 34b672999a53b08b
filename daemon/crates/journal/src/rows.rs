//! Rows to values and back: the statements that the writer, the reader and the check share.

use purser_ledger::{
    Account, AnyOperation, CardId, Content, DebitKey, FoldError, Head, Load, Operation, OperationId,
    Reference, Scheme,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::chain::ChainKey;
use crate::reader::Recorded;
use crate::{ReadError, batches, loads};

/// SQLite's integers are signed; a number of an entry that does not fit has never been given.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The name of an account in the table of balances.
pub(crate) fn account_name(account: Account) -> &'static str {
    match account {
        Account::Sales => "sales",
        Account::Claims => "claims",
        Account::InDoubt => "in_doubt",
        Account::RefundsOwed => "refunds_owed",
        Account::InBatch => "in_batch",
        Account::Permits => "permits",
        Account::Held => "held",
        Account::Netted => "netted",
        Account::LateRefunds => "late_refunds",
        Account::Loads => "loads",
        Account::LoadsOwed => "loads_owed",
        Account::Loaded => "loaded",
    }
}

/// The name of a scheme in the tables of debits and loads.
pub(crate) fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Pboc => "pboc",
    }
}

/// An entry as its row tells it, before anything about it is believed.
pub(crate) struct RawEntry {
    pub(crate) number: u64,
    pub(crate) digest: [u8; 32],
    pub(crate) operation: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

impl RawEntry {
    /// Reads a row of `number, digest, operation, content`.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, ReadError> {
        let damaged = || ReadError::Row { table: "entries" };
        let bytes = |value: ValueRef<'_>| match value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes.to_vec()),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Err(damaged()),
        };
        Ok(Self {
            number: u64::try_from(row.get::<_, i64>(0)?).map_err(|_| damaged())?,
            digest: bytes(row.get_ref(1)?)?.try_into().map_err(|_| damaged())?,
            operation: bytes(row.get_ref(2)?)?,
            content: bytes(row.get_ref(3)?)?,
        })
    }

    pub(crate) fn head(&self) -> Head {
        Head {
            number: self.number,
            digest: self.digest,
        }
    }

    pub(crate) fn decode(&self) -> Result<Recorded, ReadError> {
        let content = Content::decode(&self.content).map_err(|source| ReadError::Entry {
            number: self.number,
            source,
        })?;
        Ok(Recorded {
            head: self.head(),
            content,
        })
    }
}

/// The newest entry's number and digest.
pub(crate) fn head(conn: &Connection) -> Result<Head, ReadError> {
    Ok(newest_raw(conn)?.map_or(Head::EMPTY, |entry| entry.head()))
}

/// The newest entry; none in a journal without entries.
pub(crate) fn newest(conn: &Connection) -> Result<Option<Recorded>, ReadError> {
    newest_raw(conn)?.map(|entry| entry.decode()).transpose()
}

fn newest_raw(conn: &Connection) -> Result<Option<RawEntry>, ReadError> {
    let mut statement = conn.prepare_cached(
        "SELECT number, digest, operation, content FROM entries ORDER BY number DESC LIMIT 1",
    )?;
    let mut rows = statement.query(())?;
    rows.next()?.map(RawEntry::read).transpose()
}

/// The one number that a statement answers with.
pub(crate) fn count(conn: &Connection, sql: &str) -> Result<u64, ReadError> {
    let rows: i64 = conn.prepare_cached(sql)?.query_row((), |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or_default())
}

/// Folds an operation from its entries. With the chain's key each of them is believed only in its place in the record chain:
/// whoever acts on an operation must give it.
pub(crate) fn operation(
    conn: &Connection,
    id: &[u8],
    key: Option<&ChainKey>,
) -> Result<Option<AnyOperation>, ReadError> {
    operation_upto(conn, id, u64::MAX, key)
}

/// As [`operation`], from its entries up to a number.
pub(crate) fn operation_upto(
    conn: &Connection,
    id: &[u8],
    upto: u64,
    key: Option<&ChainKey>,
) -> Result<Option<AnyOperation>, ReadError> {
    let mut statement = conn.prepare_cached(
        "SELECT number, digest, operation, content FROM entries
         WHERE operation = ?1 AND number <= ?2 ORDER BY number",
    )?;
    let mut rows = statement.query((id, signed(upto)))?;
    let mut operation: Option<AnyOperation> = None;
    while let Some(row) = rows.next()? {
        let entry = RawEntry::read(row)?;
        if let Some(key) = key {
            check_place(conn, key, &entry)?;
        }
        let recorded = entry.decode()?;
        fold(&mut operation, &recorded).map_err(|source| ReadError::Order {
            number: recorded.head.number,
            source,
        })?;
    }
    Ok(operation)
}

/// Whether an entry is the one that was chained to the entry before it. A byte that changed in either of the two shows.
fn check_place(conn: &Connection, key: &ChainKey, entry: &RawEntry) -> Result<(), ReadError> {
    let number = entry.number;
    let before: Option<[u8; 32]> = match number.checked_sub(1) {
        Some(0) => Some(Head::EMPTY.digest),
        Some(before) => conn
            .prepare_cached("SELECT digest FROM entries WHERE number = ?1")?
            .query_row((signed(before),), |row| row.get(0))
            .optional()?,
        None => None,
    };
    match before {
        Some(before) if key.digest(number, &before, &entry.content) == entry.digest => Ok(()),
        Some(_) | None => Err(ReadError::Chain { number }),
    }
}

/// Takes one more entry into an operation that may not have begun.
pub(crate) fn fold(operation: &mut Option<AnyOperation>, recorded: &Recorded) -> Result<(), FoldError> {
    match operation {
        Some(operation) => operation.apply(&recorded.content, recorded.head),
        None => {
            *operation = Some(AnyOperation::begin(&recorded.content, recorded.head)?);
            Ok(())
        }
    }
}

/// Folds the operation that has a reference.
pub(crate) fn operation_by_reference(
    conn: &Connection,
    reference: &Reference,
    key: Option<&ChainKey>,
) -> Result<Option<AnyOperation>, ReadError> {
    let mut statement = conn.prepare_cached("SELECT id FROM operations WHERE reference = ?1")?;
    let id: Option<Vec<u8>> = statement
        .query_row((reference.as_str(),), |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    // A row without its entries must not read as a reference that is free, nor one with another operation's as that one.
    match operation(conn, &id, key)? {
        Some(operation) if operation.reference() == Some(reference) => Ok(Some(operation)),
        Some(_) | None => Err(ReadError::Row { table: "operations" }),
    }
}

/// Whether any debit, with whatever card, has this terminal's serial number.
pub(crate) fn debit_key_exists(conn: &Connection, key: &DebitKey) -> Result<bool, ReadError> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM debits WHERE terminal_number = ?1 AND terminal_sn = ?2")?;
    Ok(statement.exists((key.terminal_number, key.terminal_sn))?)
}

/// The sales that are proven neither way, and the loads that have no end.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// Every open sale that can be believed, oldest first.
    pub(crate) operations: Vec<Operation>,
    /// Every open load that can be believed, oldest first.
    pub(crate) loads: Vec<Load>,
    /// The cards of those that cannot.
    pub(crate) held: Vec<CardId>,
    /// How many sales cannot.
    pub(crate) unreadable: usize,
    /// How many loads cannot.
    pub(crate) unreadable_loads: usize,
}

/// Every open sale and load. One whose entries are damaged must not keep all others from being served (money rule 7), nor be
/// forgotten: the row of its debit, or of its load, which stands in a table of its own, tells which card to leave alone. With the chain's key an
/// operation counts as damaged too when an entry of it is not the one that was chained: what is to be asked of its card, and what
/// follows from the answer, stands in there.
///
/// # Errors
/// [`ReadError`], also where that row cannot tell: then nobody knows which card must not be used, and none may be.
pub(crate) fn open(conn: &Connection, key: Option<&ChainKey>) -> Result<Open, ReadError> {
    let mut statement = conn.prepare_cached("SELECT operation FROM open_operations ORDER BY opening")?;
    let ids: Vec<Vec<u8>> = statement
        .query_map((), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut open = Open::default();
    for id in ids {
        match operation(conn, &id, key) {
            Ok(Some(AnyOperation::Sale(sale))) => open.operations.push(sale),
            Ok(Some(AnyOperation::Load(load))) => open.loads.push(load),
            Ok(Some(AnyOperation::Settlement(_)) | None) => {
                let table = "open_operations";
                open.hold(conn, &id, ReadError::Row { table })?;
            }
            Err(error) if error.is_damage() => open.hold(conn, &id, error)?,
            Err(error) => return Err(error),
        }
    }
    Ok(open)
}

impl Open {
    /// Holds the cards that a damaged operation may concern.
    fn hold(&mut self, conn: &Connection, id: &[u8], damage: ReadError) -> Result<(), ReadError> {
        let card = match debited_card(conn, id)? {
            Some(card) => {
                self.unreadable = self.unreadable.saturating_add(1);
                Some(card)
            }
            None => {
                self.unreadable_loads = self.unreadable_loads.saturating_add(1);
                // A load that no card was ever credited for concerns none.
                loads::card_of(conn, id)?.ok_or(damage)?
            }
        };
        // Of an entry and the row beside it, either may be the damaged one.
        let told = match operation(conn, id, None) {
            Ok(Some(AnyOperation::Sale(sale))) => sale.key().map(|key| key.card.clone()),
            Ok(Some(AnyOperation::Load(load))) => load.card().cloned(),
            Ok(Some(AnyOperation::Settlement(_)) | None) | Err(_) => None,
        };
        self.held.extend(told.filter(|told| Some(told) != card.as_ref()));
        self.held.extend(card);
        Ok(())
    }
}

/// The card that an operation's debit was intended for. Looks at every debit: only for what is damaged.
fn debited_card(conn: &Connection, operation: &[u8]) -> Result<Option<CardId>, ReadError> {
    let mut statement = conn.prepare("SELECT card FROM debits WHERE operation = ?1 AND scheme = ?2")?;
    let card: Option<Vec<u8>> = statement
        .query_row((operation, scheme_name(Scheme::Pboc)), |row| row.get(0))
        .optional()?;
    let serial = card.and_then(|card| card.try_into().ok());
    Ok(serial.map(|serial| CardId::new(Scheme::Pboc, serial)))
}

/// The highest terminal serial number ever intended, over all PSAM terminal numbers: one probe for each of them.
pub(crate) fn terminal_sn_max(conn: &Connection) -> Result<Option<u32>, ReadError> {
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE terminal (number) AS (
             SELECT min(terminal_number) FROM debits
             UNION ALL
             SELECT (SELECT min(terminal_number) FROM debits WHERE terminal_number > terminal.number)
             FROM terminal WHERE terminal.number IS NOT NULL)
         SELECT max((SELECT max(terminal_sn) FROM debits WHERE terminal_number = terminal.number)) FROM terminal",
    )?;
    Ok(statement.query_row((), |row| row.get(0))?)
}

/// The operations of each PSAM terminal number's highest serial number: one probe for each number.
pub(crate) fn newest_debits(conn: &Connection) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE terminal (number) AS (
             SELECT min(terminal_number) FROM debits
             UNION ALL
             SELECT (SELECT min(terminal_number) FROM debits WHERE terminal_number > terminal.number)
             FROM terminal WHERE terminal.number IS NOT NULL)
         SELECT operation FROM terminal JOIN debits ON terminal_number = terminal.number
         WHERE terminal_sn = (SELECT max(terminal_sn) FROM debits WHERE terminal_number = terminal.number)",
    )?;
    let rows = statement.query_map((), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes an entry's row.
pub(crate) fn insert_entry(
    conn: &Connection,
    head: Head,
    id: OperationId,
    content: &[u8],
) -> Result<(), ReadError> {
    let text = std::str::from_utf8(content).expect("canonical content is JSON, and JSON is UTF-8");
    conn.prepare_cached("INSERT INTO entries (number, digest, operation, content) VALUES (?1, ?2, ?3, ?4)")?
        .execute((signed(head.number), head.digest, id.bytes(), text))?;
    Ok(())
}

/// Writes the rows that an operation's first entry brings.
pub(crate) fn insert_operation(conn: &Connection, operation: &AnyOperation) -> Result<(), ReadError> {
    let opening = signed(operation.head().number);
    let reference = operation.reference().map(Reference::as_str);
    conn.prepare_cached("INSERT INTO operations (id, opening, reference, owner) VALUES (?1, ?2, ?3, ?4)")?
        .execute((operation.id().bytes(), opening, reference, operation.owner().0))?;
    match operation {
        AnyOperation::Sale(sale) => insert_debit(conn, sale)?,
        AnyOperation::Load(load) => loads::insert(conn, load)?,
        AnyOperation::Settlement(settlement) => return batches::insert(conn, settlement),
    }
    if operation.is_open() {
        conn.prepare_cached("INSERT INTO open_operations (opening, operation) VALUES (?1, ?2)")?
            .execute((opening, operation.id().bytes()))?;
    }
    Ok(())
}

fn insert_debit(conn: &Connection, operation: &Operation) -> Result<(), ReadError> {
    let id = operation.id.bytes();
    if let Some(key) = operation.key() {
        let scheme = scheme_name(key.card.scheme());
        conn.prepare_cached(
            "INSERT INTO debits (terminal_number, terminal_sn, scheme, card, operation) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((key.terminal_number, key.terminal_sn, scheme, key.card.serial(), id))?;
    }
    Ok(())
}

/// Writes what a further entry of an operation changes in its rows.
pub(crate) fn change_operation(
    conn: &Connection,
    before: &AnyOperation,
    after: &AnyOperation,
) -> Result<(), ReadError> {
    match (before, after) {
        (AnyOperation::Sale(_), AnyOperation::Sale(_)) => {}
        (AnyOperation::Load(before), AnyOperation::Load(after)) => loads::change(conn, before, after)?,
        (_, AnyOperation::Settlement(settlement)) => return batches::set_standing(conn, settlement),
        (_, AnyOperation::Sale(_) | AnyOperation::Load(_)) => unreachable!("an operation stays of its kind"),
    }
    if before.is_open() && !after.is_open() {
        close_operation(conn, after.id())?;
    }
    Ok(())
}

/// Takes an operation out of those that are open.
fn close_operation(conn: &Connection, id: OperationId) -> Result<(), ReadError> {
    conn.prepare_cached(
        "DELETE FROM open_operations WHERE opening = (SELECT opening FROM operations WHERE id = ?1)",
    )?
    .execute((id.bytes(),))?;
    Ok(())
}
