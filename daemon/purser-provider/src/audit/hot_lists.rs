//! Which list had reached a terminal before a sale (money rule C3), reckoned again.

use rusqlite::{Connection, OptionalExtension};

use super::raw::{self, Item};
use crate::fault::Failure;

/// True when a list that the terminal had before this sale names the card, and the list that the sale was made by, if it is a
/// newer one, does too. An acknowledgement that came behind the verdict takes nothing from it.
pub(super) fn names(sql: &Connection, item: &Item) -> Result<bool, Failure> {
    let stamped = list_of(sql, item.parameters_version)?;
    let query = "SELECT 1 FROM delivery JOIN listing ON listing.card = ?1 AND from_version <= delivery.version
                   AND (until_version IS NULL OR delivery.version < until_version)
                 WHERE psam_number = ?2 AND from_terminal_sn <= ?3
                   AND (delivery.version >= ?4
                        OR EXISTS (SELECT 1 FROM listing AS later WHERE later.card = ?1 AND later.from_version <= ?4
                                   AND (later.until_version IS NULL OR ?4 < later.until_version)))";
    let (card, number) = (&item.key[..10], &item.key[10..16]);
    let terminal_sn = raw::part(&item.key, 16).map_or(0, u32::from_be_bytes);
    let parameters = (card, number, terminal_sn, stamped);
    Ok(sql.prepare_cached(query)?.exists(parameters)?)
}

/// The version of the hot list in a version of the parameters; 0 for one that never was.
fn list_of(sql: &Connection, version: u64) -> Result<i64, Failure> {
    let query = "SELECT document FROM parameters WHERE version = ?1";
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    let document: Option<Vec<u8>> = sql
        .prepare_cached(query)?
        .query_row([version], |row| row.get(0))
        .optional()?;
    let list = document.and_then(|document| raw::hot_list_version(&document));
    Ok(list.map_or(0, |list| i64::try_from(list).unwrap_or(i64::MAX)))
}
