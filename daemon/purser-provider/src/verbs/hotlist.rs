//! `hotlist`: each change is a new version; a claim is refused only if a version that names its card had reached the
//! terminal before the sale (money rule C3).

use purser_provider_link::HOT_LIST_MAX;
use rusqlite::Transaction;
use serde_json::json;

use super::hex_bytes;
use crate::cli::Hotlist;
use crate::fault::{Failure, Fault};
use crate::show::Shown;
use crate::store::{Store, exists};

pub(crate) fn hotlist(store: &mut Store, verb: &Hotlist) -> Result<Shown, Failure> {
    match verb {
        Hotlist::Add {
            serial: digits,
            reason,
        } => {
            let serial: [u8; 10] = hex_bytes("Serial", digits)?;
            let sql = store.begin()?;
            if !exists(&sql, "SELECT 1 FROM card WHERE serial = ?1", [serial])? {
                let cause = format!("card {digits} is not issued");
                return Err(Fault::unknown("UnknownCard", cause, "see `purser-provider card list`").into());
            }
            if !is_listed(&sql, serial)? {
                check_room(&sql)?;
                sql.execute(
                    "INSERT INTO listing (card, from_version, reason) VALUES (?1, ?2, ?3)",
                    (serial, next_version(&sql)?, reason),
                )?;
            }
            changed(sql, digits, true)
        }
        Hotlist::Remove { serial: digits } => {
            let serial: [u8; 10] = hex_bytes("Serial", digits)?;
            let sql = store.begin()?;
            if is_listed(&sql, serial)? {
                sql.execute(
                    "UPDATE listing SET until_version = ?2 WHERE card = ?1 AND until_version IS NULL",
                    (serial, next_version(&sql)?),
                )?;
            }
            changed(sql, digits, false)
        }
        Hotlist::List => {
            let query = "SELECT hex(card), from_version, reason FROM listing WHERE until_version IS NULL ORDER BY card";
            let mut statement = store.reader().prepare(query)?;
            let rows = statement.query_map((), |row| {
                let (card, from, reason): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(json!({ "card": card, "since_version": from, "reason": reason }))
            })?;
            Ok(Shown::list(
                &["card", "since_version", "reason"],
                rows.collect::<Result<_, _>>()?,
            ))
        }
    }
}

/// The list goes into the parameters, which every terminal keeps in memory.
fn check_room(sql: &Transaction<'_>) -> Result<(), Failure> {
    let query = "SELECT count(*) FROM listing WHERE until_version IS NULL";
    let count: i64 = sql.query_row(query, (), |row| row.get(0))?;
    if usize::try_from(count).map_or(true, |it| it >= HOT_LIST_MAX) {
        let cause = format!("the hot list has {HOT_LIST_MAX} cards");
        let remedy = "take off cards that have expired, or block their key version";
        return Err(Fault::conflict("HotListFull", cause, remedy).into());
    }
    Ok(())
}

fn is_listed(sql: &Transaction<'_>, serial: [u8; 10]) -> Result<bool, Failure> {
    exists(
        sql,
        "SELECT 1 FROM listing WHERE card = ?1 AND until_version IS NULL",
        [serial],
    )
}

fn next_version(sql: &Transaction<'_>) -> Result<i64, Failure> {
    let query = "UPDATE provider SET hotlist_version = hotlist_version + 1 RETURNING hotlist_version";
    Ok(sql.query_row(query, (), |row| row.get(0))?)
}

fn changed(sql: Transaction<'_>, card: &str, is_listed: bool) -> Result<Shown, Failure> {
    let version: i64 = sql.query_row("SELECT hotlist_version FROM provider", (), |row| row.get(0))?;
    sql.commit()?;
    let is = if is_listed { "is" } else { "is not" };
    Ok(Shown::one(
        format!("card {card} {is} on version {version} of the hot list"),
        json!({ "card": card, "hot_listed": is_listed, "version": version }),
    ))
}
