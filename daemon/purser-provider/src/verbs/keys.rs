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
        let cause = format!("key version {version} is blocked");
        return Err(Fault::conflict("KeyVersionBlocked", cause, "use a newer version").into());
    }
    let masters = of_file(keys, version)?;
    if !is_equal(&masters.check_values(), &check_values) {
        return Err(other_keys(version));
    }
    Ok(masters)
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

pub(super) fn key(store: &mut Store, folder: &Folder, verb: &Key) -> Result<Shown, Failure> {
    let Key::Version(verb) = verb;
    match verb {
        KeyVersion::Add { version, card_keys } => {
            let keys = key_file(folder, card_keys)?;
            let check_values = of_file(&keys, *version)?.check_values();
            let sql = store.begin()?;
            let known: Option<[u8; 9]> = sql
                .query_row(
                    "SELECT check_values FROM key_version WHERE version = ?1",
                    [version],
                    |row| row.get(0),
                )
                .optional()?;
            match known {
                Some(known) if is_equal(&known, &check_values) => {}
                Some(_) => return Err(other_keys(*version)),
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
        KeyVersion::Block { version } => {
            let sql = store.begin()?;
            if sql.execute(
                "UPDATE key_version SET is_blocked = 1 WHERE version = ?1",
                [version],
            )? == 0
            {
                return Err(unknown(*version));
            }
            sql.commit()?;
            Ok(Shown::one(
                format!("key version {version} is blocked"),
                json!({ "key_version": version, "is_blocked": true }),
            ))
        }
        KeyVersion::List => {
            let query = "SELECT version, is_blocked, check_values,
                                (SELECT count(*) FROM card WHERE key_version = version)
                         FROM key_version ORDER BY version";
            let mut statement = store.reader().prepare(query)?;
            let rows = statement.query_map((), |row| {
                let (version, is_blocked, values): (u8, bool, [u8; 9]) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
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
    }
}
