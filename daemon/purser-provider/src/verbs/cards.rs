//! `card`: a card becomes money when it is issued, and its currency is the provider's fact from then on.

use std::path::Path;

use rusqlite::OptionalExtension;
use serde_json::json;
use zeroize::Zeroizing;

use super::{hex_bytes, key_file};
use crate::authority::now_unix_seconds;
use crate::cli::Card;
use crate::fault::{Failure, Fault};
use crate::folder::{Folder, write_new};
use crate::masters::CardKeys;
use crate::show::Shown;
use crate::store::{Store, exists};

pub(crate) fn card(store: &mut Store, folder: &Folder, verb: &Card) -> Result<Shown, Failure> {
    let Card::Issue {
        serial,
        currency,
        key_version,
        keys_to,
        card_keys,
    } = verb
    else {
        return list(store);
    };
    let digits = serial;
    let serial: [u8; 10] = hex_bytes("Serial", digits)?;
    let keys = key_file(folder, card_keys)?;
    let masters = super::keys::in_use(store, &keys, *key_version)?;
    let sql = store.begin()?;
    let issued: Option<(String, u8)> = sql
        .query_row(
            "SELECT currency, key_version FROM card WHERE serial = ?1",
            [serial],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    match issued {
        // Its keys can be written again: the machine that personalises cards may have failed.
        Some((known, version)) if known == currency.code() && version == *key_version => {}
        Some((known, version)) => {
            let cause = format!("card {digits} is issued in {known} under key version {version}");
            let remedy = "issue another card: what a card is worth does not change";
            return Err(Fault::conflict("CardIssued", cause, remedy).into());
        }
        None => {
            let [_, _, asn @ ..] = serial;
            if exists(&sql, "SELECT 1 FROM card WHERE substr(serial, 3) = ?1", [asn])? {
                let cause = "a card with the same ASN is issued: both would have the same keys";
                return Err(Fault::conflict("AsnTaken", cause, "choose another serial number").into());
            }
            sql.execute(
                "INSERT INTO card (serial, currency, key_version, issued_at) VALUES (?1, ?2, ?3, ?4)",
                (serial, currency.code(), key_version, now_unix_seconds()),
            )?;
        }
    }
    // Before the commit: no card is issued whose keys nobody has.
    write_keys(keys_to, digits, *key_version, &masters.card(&serial))?;
    sql.commit()?;
    Ok(Shown::one(
        format!(
            "card {digits} in {currency}; its keys are in {}",
            keys_to.display()
        ),
        json!({ "card": digits, "currency": currency.code(), "key_version": key_version }),
    ))
}

fn write_keys(path: &Path, serial: &str, version: u8, keys: &CardKeys) -> Result<(), Failure> {
    let digits = |key: &[u8; 16]| Zeroizing::new(hex::encode(key));
    let text = Zeroizing::new(format!(
        "{{\"serial\":\"{serial}\",\"key_version\":{version},\"purchase\":\"{}\",\"load\":\"{}\",\"tac\":\"{}\"}}\n",
        *digits(&keys.purchase),
        *digits(&keys.load),
        *digits(&keys.tac),
    ));
    write_new(path, text.as_bytes())
}

fn list(store: &Store) -> Result<Shown, Failure> {
    let query = "SELECT hex(serial), currency, key_version, loaded, spent,
                        EXISTS (SELECT 1 FROM listing WHERE card = serial AND until_version IS NULL)
                 FROM card ORDER BY serial";
    let mut statement = store.reader().prepare(query)?;
    let rows = statement.query_map((), |row| {
        let (card, currency, version): (String, String, u8) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (loaded, spent, is_listed): (i64, i64, bool) = (row.get(3)?, row.get(4)?, row.get(5)?);
        Ok(json!({
            "card": card, "currency": currency, "key_version": version, "loaded": loaded, "spent": spent,
            "balance": loaded.saturating_sub(spent), "hot_listed": is_listed,
        }))
    })?;
    let columns = &[
        "card",
        "currency",
        "key_version",
        "loaded",
        "spent",
        "balance",
        "hot_listed",
    ];
    Ok(Shown::list(columns, rows.collect::<Result<_, _>>()?))
}
