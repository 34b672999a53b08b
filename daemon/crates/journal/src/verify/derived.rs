//! Derived rows compared with what the entries say.

use std::collections::BTreeMap;

use purser_ledger::{AnyOperation, Currency, Load, Operation, OperationId, Reference};
use rusqlite::Connection;

use super::batches::Row;
use super::{Derived, Finding, VerifyError};
use crate::rows::{scheme_name, signed};
use crate::{ReadError, Totals, loads};

pub(super) fn check_operation(conn: &Connection, operation: &AnyOperation) -> Result<(), VerifyError> {
    let mut statement = conn.prepare_cached(
        "SELECT 1 FROM operations WHERE id = ?1 AND opening = ?2 AND reference IS ?3 AND owner = ?4",
    )?;
    let row = (
        operation.id().bytes().to_owned(),
        signed(operation.head().number),
        operation.reference().map(Reference::as_str),
        operation.owner().0,
    );
    found(statement.exists(row)?, Derived::Operations)
}

pub(super) fn check_settleable(
    conn: &Connection,
    number: u64,
    currency: Currency,
    kind: &str,
) -> Result<(), VerifyError> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM settleable WHERE currency = ?1 AND entry = ?2 AND kind = ?3")?;
    let row = (currency.code(), signed(number), kind);
    found(statement.exists(row)?, Derived::Settleable)
}

pub(super) fn check_batches(conn: &Connection, expected: &BTreeMap<u64, Row>) -> Result<(), VerifyError> {
    let mut statement = conn.prepare_cached(
        "SELECT 1 FROM batches WHERE sealed = ?1 AND operation = ?2 AND currency = ?3 AND after = ?4 AND upto = ?5
         AND standing = ?6",
    )?;
    for (number, row) in expected {
        let (after, upto) = (signed(row.after), signed(row.upto));
        let is_there = statement.exists((
            signed(*number),
            &row.operation,
            &row.currency,
            after,
            upto,
            &row.standing,
        ))?;
        found(is_there, Derived::Batches)?;
    }
    Ok(())
}

pub(super) fn check_debit(conn: &Connection, operation: &Operation) -> Result<(), VerifyError> {
    let Some(key) = operation.key() else { return Ok(()) };
    let mut statement = conn.prepare_cached(
        "SELECT 1 FROM debits
         WHERE terminal_number = ?1 AND terminal_sn = ?2 AND scheme = ?3 AND card = ?4 AND operation = ?5",
    )?;
    let scheme = scheme_name(key.card.scheme());
    let row = (
        key.terminal_number,
        key.terminal_sn,
        scheme,
        key.card.serial(),
        operation.id.bytes(),
    );
    found(statement.exists(row)?, Derived::Debits)
}

/// A load's row as it is after the newest of its entries.
pub(super) fn check_load(conn: &Connection, load: &Load) -> Result<(), VerifyError> {
    found(loads::is_right(conn, load)?, Derived::Loads)
}

/// Each entry found its own row by a unique key: as many rows as entries means that there are no others.
pub(super) fn check_count(conn: &Connection, table: Derived, expected: u64) -> Result<(), VerifyError> {
    let sql = match table {
        Derived::Operations => "SELECT count(*) FROM operations",
        Derived::Debits => "SELECT count(*) FROM debits",
        Derived::Loads => "SELECT count(*) FROM loads",
        Derived::OpenOperations => "SELECT count(*) FROM open_operations",
        Derived::Balances => "SELECT count(*) FROM balances",
        Derived::Settleable => "SELECT count(*) FROM settleable",
        Derived::Batches => "SELECT count(*) FROM batches",
    };
    let rows: i64 = conn.query_row(sql, (), |row| row.get(0))?;
    found(rows == signed(expected), table)
}

pub(super) fn check_open(
    conn: &Connection,
    expected: &BTreeMap<u64, OperationId>,
) -> Result<(), VerifyError> {
    let mut statement = conn.prepare("SELECT opening, operation FROM open_operations ORDER BY opening")?;
    let rows = statement.query_map((), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    let expected: Vec<_> = expected
        .iter()
        .map(|(opening, id)| (signed(*opening), id.bytes().to_vec()))
        .collect();
    found(rows == expected, Derived::OpenOperations)
}

pub(super) fn check_totals(conn: &Connection, expected: &Totals) -> Result<(), VerifyError> {
    match Totals::load(conn) {
        Ok(totals) => found(totals == *expected, Derived::Balances),
        Err(ReadError::Row { .. } | ReadError::Books(_)) => found(false, Derived::Balances),
        Err(error) => Err(error.into()),
    }
}

fn found(is_right: bool, table: Derived) -> Result<(), VerifyError> {
    if is_right {
        Ok(())
    } else {
        Err(Finding::Derived(table).into())
    }
}
