//! The rows of loads: which operations are loads, and which card each may be on.

use purser_ledger::{CardId, Load, Scheme};
use rusqlite::{Connection, OptionalExtension};

use crate::ReadError;
use crate::rows::scheme_name;

/// Writes the row of a load that begins.
pub(crate) fn insert(conn: &Connection, load: &Load) -> Result<(), ReadError> {
    conn.prepare_cached("INSERT INTO loads (operation, scheme, card) VALUES (?1, NULL, NULL)")?
        .execute((load.id.bytes(),))?;
    Ok(())
}

/// Writes what a further entry changes: the card, when CREDIT FOR LOAD may be sent to one for the first time. It stays.
pub(crate) fn change(conn: &Connection, before: &Load, after: &Load) -> Result<(), ReadError> {
    if let (None, Some(card)) = (before.card(), after.card()) {
        conn.prepare_cached("UPDATE loads SET scheme = ?2, card = ?3 WHERE operation = ?1")?
            .execute((after.id.bytes(), scheme_name(card.scheme()), card.serial()))?;
    }
    Ok(())
}

/// The card that an operation's row names; none inside where CREDIT FOR LOAD was sent to no card yet, none at all where no load has
/// this number.
pub(crate) fn card_of(conn: &Connection, operation: &[u8]) -> Result<Option<Option<CardId>>, ReadError> {
    let mut statement = conn.prepare_cached("SELECT scheme, card FROM loads WHERE operation = ?1")?;
    let row: Option<(Option<String>, Option<Vec<u8>>)> = statement
        .query_row((operation,), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((scheme, card)) = row else {
        return Ok(None);
    };
    match (scheme.as_deref(), card.map(<[u8; 10]>::try_from)) {
        (None, None) => Ok(Some(None)),
        (Some(name), Some(Ok(serial))) if name == scheme_name(Scheme::Pboc) => {
            Ok(Some(Some(CardId::new(Scheme::Pboc, serial))))
        }
        _ => Err(ReadError::Row { table: "loads" }),
    }
}

/// Whether a load's row is what its entries say.
pub(crate) fn is_right(conn: &Connection, load: &Load) -> Result<bool, ReadError> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM loads WHERE operation = ?1 AND scheme IS ?2 AND card IS ?3")?;
    let card = load.card();
    let scheme = card.map(|card| scheme_name(card.scheme()));
    Ok(statement.exists((load.id.bytes(), scheme, card.map(CardId::serial)))?)
}
