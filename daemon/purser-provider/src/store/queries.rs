//! Queries of sales in doubt, and their answers.

use purser_ledger::OperationId;
use purser_provider_link::{Query, QueryAnswer};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::batches::key_bytes;
use super::signed;
use crate::fault::Failure;

/// A query as it is stored.
pub(crate) struct StoredQuery {
    pub(crate) query: Query,
    pub(crate) terminal: String,
    pub(crate) asked_at: i64,
    pub(crate) answer: Option<StoredAnswer>,
}

/// The last word on a query.
pub(crate) struct StoredAnswer {
    pub(crate) answer: QueryAnswer,
    pub(crate) signature: Vec<u8>,
    pub(crate) at: i64,
    /// An operator's reason.
    pub(crate) why: Option<String>,
}

const COLUMNS: &str = "document, terminal, asked_at, answer, signature, answered_at, why";

/// The query of this sale.
pub(crate) fn find(sql: &Connection, operation: OperationId) -> Result<Option<StoredQuery>, Failure> {
    one(sql, "operation = ?1", [operation.bytes()])
}

/// The query of this debit.
pub(crate) fn of_key(sql: &Connection, key: &[u8; 20]) -> Result<Option<StoredQuery>, Failure> {
    one(sql, "key = ?1", [key])
}

fn one(sql: &Connection, condition: &str, parameters: impl Params) -> Result<Option<StoredQuery>, Failure> {
    let query = format!("SELECT {COLUMNS} FROM query WHERE {condition}");
    let found = sql
        .prepare_cached(&query)?
        .query_row(parameters, |row| Ok(read(row)))
        .optional()?;
    found.transpose()
}

/// Every query of a card.
pub(crate) fn of_card(sql: &Connection, serial: &[u8; 10]) -> Result<Vec<StoredQuery>, Failure> {
    let query = format!("SELECT {COLUMNS} FROM query WHERE key BETWEEN ?1 AND ?2");
    many(sql, &query, card_range(serial))
}

/// The newest ones.
pub(crate) fn newest(sql: &Connection, limit: u32) -> Result<Vec<StoredQuery>, Failure> {
    let query = format!("SELECT {COLUMNS} FROM query ORDER BY asked_at DESC, operation LIMIT ?1");
    many(sql, &query, [limit])
}

fn many(sql: &Connection, query: &str, parameters: impl Params) -> Result<Vec<StoredQuery>, Failure> {
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    let mut queries = Vec::new();
    while let Some(row) = rows.next()? {
        queries.push(read(row)?);
    }
    Ok(queries)
}

/// The keys of all debits of a card, from the first to the last.
pub(crate) fn card_range(serial: &[u8; 10]) -> ([u8; 20], [u8; 20]) {
    let (mut first, mut last) = ([0x00; 20], [0xFF; 20]);
    first[..10].copy_from_slice(serial);
    last[..10].copy_from_slice(serial);
    (first, last)
}

fn read(row: &Row<'_>) -> Result<StoredQuery, Failure> {
    let document: Vec<u8> = row.get(0)?;
    let answer: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(3)?, row.get(4)?);
    let (at, why): (Option<i64>, Option<String>) = (row.get(5)?, row.get(6)?);
    let answer = match (answer, at) {
        ((Some(answer), Some(signature)), Some(at)) => Some(StoredAnswer {
            answer: QueryAnswer::decode(&answer).map_err(|_| Failure::Damaged("the answer to a query"))?,
            signature,
            at,
            why,
        }),
        _ => None,
    };
    Ok(StoredQuery {
        query: Query::decode(&document).map_err(|_| Failure::Damaged("a query"))?,
        terminal: row.get(1)?,
        asked_at: row.get(2)?,
        answer,
    })
}

/// How many queries of a terminal nothing answers yet.
pub(crate) fn open_of(sql: &Connection, terminal: &str) -> Result<u32, Failure> {
    let query = "SELECT count(*) FROM query WHERE terminal = ?1 AND answer IS NULL";
    Ok(sql
        .prepare_cached(query)?
        .query_row([terminal], |row| row.get(0))?)
}

/// Stores a query that nothing answers yet.
pub(crate) fn add(sql: &Connection, terminal: &str, query: &Query, now: i64) -> Result<(), Failure> {
    sql.prepare_cached(
        "INSERT INTO query (operation, terminal, key, currency, minor, document, asked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        query.operation.bytes(),
        terminal,
        key_bytes(&query.key),
        query.amount.currency().code(),
        signed(query.amount.minor()),
        query.encode(),
        now,
    ))?;
    Ok(())
}

/// Stores the query again, with the card's answer: nothing answers it yet.
pub(crate) fn complete(sql: &Connection, query: &Query) -> Result<(), Failure> {
    let update = "UPDATE query SET document = ?2 WHERE operation = ?1 AND answer IS NULL";
    sql.prepare_cached(update)?
        .execute((query.operation.bytes(), query.encode()))?;
    Ok(())
}

/// Stores the last word on a query that has none.
pub(crate) fn answer(sql: &Connection, stored: &StoredAnswer) -> Result<(), Failure> {
    let changed = sql
        .prepare_cached(
            "UPDATE query SET answer = ?2, signature = ?3, answered_at = ?4, why = ?5
             WHERE operation = ?1 AND answer IS NULL",
        )?
        .execute((
            stored.answer.operation.bytes(),
            stored.answer.encode(),
            &stored.signature,
            stored.at,
            &stored.why,
        ))?;
    if changed == 1 {
        Ok(())
    } else {
        Err(Failure::Damaged("the answer to a query"))
    }
}
