//! `key version`: which card master keys are in use, and which are blocked (money rule T3).

use rusqlite::OptionalExtension;
use serde_json::json;

use super::key_file;
use crate::card_crypto::is_equal;
use crate::cli::{Key, KeyVersion};
use crate::fault::{Failure, Fault};
use crate::folder::Folder;
use crate::masters::{KeyFile, Masters};
use crate::show::Shown;
use crate::store::Store;

/// The masters of a version that is in use, if the file has the keys that were taken into use.
pub(crate) fn in_use<'a>(store: &Store, keys: &'a KeyFile, version: u8) -> Result<&'a Masters, Failure> {
    let query = "SELECT check_values, is_blocked FROM key_version WHERE version = ?1";
    let found: Option<([u8; 9], bool)> = store
        .reader()
        .query_row(query, [version], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((check_values, is_blocked)) = found else {
        return Err(unknown(version));
    };
    if is_blocked {
        return Err(blocked(version));
    }
    let masters = of_file(keys, version)?;
    if !is_equal(&masters.check_values(), &check_values) {
        return Err(other_keys(version));
    }
    Ok(masters)
}

fn blocked(version: u8) -> Failure {
    let cause = format!("key version {version} is blocked");
    let remedy =
        "use a newer version; or, if its keys are still secret, `purser-provider key version unblock`";
    Fault::conflict("KeyVersionBlocked", cause, remedy).into()
}

fn unknown(version: u8) -> Failure {
    let cause = format!("key version {version} is not in use");
    Fault::unknown(
        "UnknownKeyVersion",
        cause,
        "add it with `purser-provider key version add`",
    )
    .into()
}

fn of_file(keys: &KeyFile, version: u8) -> Result<&Masters, Failure> {
    keys.version(version).ok_or_else(|| {
        let cause = format!("the card keys file has no version {version}");
        Fault::unknown("NoSuchKeys", cause, "put the masters of that version into it").into()
    })
}

fn other_keys(version: u8) -> Failure {
    let cause = format!("the card keys file has other keys under version {version} than were taken into use");
    let remedy = "name the right file; new keys get a new version";
    Fault::conflict("OtherKeys", cause, remedy).into()
}

pub(crate) fn key(store: &mut Store, folder: &Folder, verb: &Key) -> Result<Shown, Failure> {
    let Key::Version(verb) = verb;
    match verb {
        KeyVersion::Add { version, card_keys } => {
            let keys = key_file(folder, card_keys)?;
            let check_values = of_file(&keys, *version)?.check_values();
            let sql = store.begin()?;
            let query = "SELECT check_values, is_blocked FROM key_version WHERE version = ?1";
            let known: Option<([u8; 9], bool)> = sql
                .query_row(query, [version], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match known {
                Some((known, _)) if !is_equal(&known, &check_values) => return Err(other_keys(*version)),
                Some((_, true)) => return Err(blocked(*version)),
                Some((_, false)) => {}
                None => {
                    sql.execute(
                        "INSERT INTO key_version (version, check_values) VALUES (?1, ?2)",
                        (version, check_values),
                    )?;
                }
            }
            sql.commit()?;
            Ok(Shown::one(
                format!("key version {version} is in use"),
                json!({ "key_version": version, "is_blocked": false }),
            ))
        }
        KeyVersion::Block { version } => set_blocked(store, *version, true),
        KeyVersion::Unblock { version } => set_blocked(store, *version, false),
        KeyVersion::List => list(store),
    }
}

/// Blocks, or ends that: a person has looked, so the forgeries so far do not count towards the next block.
fn set_blocked(store: &mut Store, version: u8, is_blocked: bool) -> Result<Shown, Failure> {
    let sql = store.begin()?;
    let query = "UPDATE key_version SET is_blocked = ?2 WHERE version = ?1";
    if sql.execute(query, (version, is_blocked))? == 0 {
        return Err(unknown(version));
    }
    if !is_blocked {
        sql.execute(
            "UPDATE forged SET is_counted = 0 WHERE key_version = ?1",
            [version],
        )?;
    }
    sql.commit()?;
    let stands = if is_blocked { "blocked" } else { "in use" };
    Ok(Shown::one(
        format!("key version {version} is {stands}"),
        json!({ "key_version": version, "is_blocked": is_blocked }),
    ))
}

fn list(store: &Store) -> Result<Shown, Failure> {
    let query = "SELECT version, is_blocked, check_values,
                                (SELECT count(*) FROM card WHERE key_version = version)
                         FROM key_version ORDER BY version";
    let mut statement = store.reader().prepare(query)?;
    let rows = statement.query_map((), |row| {
        let (version, is_blocked, values): (u8, bool, [u8; 9]) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let cards: i64 = row.get(3)?;
        Ok(json!({
            "key_version": version, "is_blocked": is_blocked, "cards": cards,
            "load": hex::encode(&values[..3]), "purchase": hex::encode(&values[3..6]),
            "tac": hex::encode(&values[6..]),
        }))
    })?;
    let columns = &["key_version", "is_blocked", "cards", "load", "purchase", "tac"];
    Ok(Shown::list(columns, rows.collect::<Result<_, _>>()?))
}
