//! Derived rows compared with what the entries say.

use std::collections::BTreeMap;

use purser_ledger::{Operation, OperationId};
use rusqlite::Connection;

use super::{Derived, Finding, VerifyError};
use crate::rows::{scheme_name, signed};
use crate::{ReadError, Totals};

pub(super) fn check_operation(conn: &Connection, operation: &Operation) -> Result<(), VerifyError> {
    let mut statement = conn.prepare_cached(
        "SELECT 1 FROM operations WHERE id = ?1 AND opening = ?2 AND reference = ?3 AND owner = ?4",
    )?;
    let opening = signed(operation.head.number);
    let row = (
        operation.id.bytes(),
        opening,
        operation.reference.as_str(),
        operation.owner.0,
    );
    found(statement.exists(row)?, Derived::Operations)
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

/// Each entry found its own row by a unique key: as many rows as entries means that there are no others.
pub(super) fn check_count(conn: &Connection, table: Derived, expected: u64) -> Result<(), VerifyError> {
    let sql = match table {
        Derived::Operations => "SELECT count(*) FROM operations",
        Derived::Debits => "SELECT count(*) FROM debits",
        Derived::OpenOperations => "SELECT count(*) FROM open_operations",
        Derived::Balances => "SELECT count(*) FROM balances",
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
