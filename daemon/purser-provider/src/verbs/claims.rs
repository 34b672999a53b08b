//! `claims`, `alarms` and `liability`: what was claimed, what became of it, what is odd, and where each minor unit is.

use purser_provider_link::{BatchId, Decision, Item};
use purser_provider_rules::books::Account;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::hex_bytes;
use crate::authority::now_unix_seconds;
use crate::cli::Claims;
use crate::fault::{Failure, Fault};
use crate::show::Shown;
use crate::store::batches::{self, StoredItem, key_bytes};
use crate::store::{Store, alarm, books, currency};

const COLUMNS: &[&str] = &[
    "batch",
    "place",
    "kind",
    "card",
    "terminal_number",
    "terminal_sn",
    "amount",
    "currency",
    "refund_owed",
    "decision",
    "reason",
    "is_paid",
    "upheld",
];

pub(super) fn claims(store: &mut Store, verb: &Claims) -> Result<Shown, Failure> {
    if let Claims::Uphold {
        card,
        terminal_number,
        terminal_sn,
        why,
    } = verb
    {
        let key = debit(card, terminal_number, *terminal_sn)?;
        return uphold(store, &key, why);
    }
    look(store, verb)
}

/// The bytes under which a debit is stored.
fn debit(card: &str, terminal_number: &str, terminal_sn: u32) -> Result<Vec<u8>, Failure> {
    let card: [u8; 10] = hex_bytes("Serial", card)?;
    let number: [u8; 6] = hex_bytes("PsamNumber", terminal_number)?;
    Ok([&card[..], &number, &terminal_sn.to_be_bytes()].concat())
}

/// A person has looked at a debit whose claim was forged: its next claim is judged by its evidence, once. If that is forged too, it is
/// as before: nobody finds out by claims what a card would have made (money rule T3).
fn uphold(store: &mut Store, key: &[u8], why: &str) -> Result<Shown, Failure> {
    let (now, why) = (now_unix_seconds(), why.trim());
    if why.is_empty() {
        let cause = "no reason is given";
        return Err(Fault::invalid("Why", cause, "say with --why who looked at what").into());
    }
    let sql = store.begin()?;
    let query = "UPDATE forged SET upheld_at = coalesce(upheld_at, ?2), upheld_why = coalesce(upheld_why, ?3)
                 WHERE key = ?1 RETURNING terminal, upheld_why";
    let upheld: Option<(String, String)> = sql
        .query_row(query, (key, now, why), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((terminal, kept)) = upheld else {
        let cause = "no claim of this debit was forged";
        let remedy = "`claims show` tells why a claim is held; what is held for another reason is judged anew whenever the terminal presents it again";
        return Err(Fault::unknown("NotForged", cause, remedy).into());
    };
    alarm(&sql, now, Some(&terminal), "ForgedUpheld")?;
    sql.commit()?;
    Ok(Shown::one(
        "the next claim of this debit is judged by its evidence; have the terminal present it again"
            .to_owned(),
        json!({ "terminal": terminal, "upheld": kept }),
    ))
}

fn look(store: &Store, verb: &Claims) -> Result<Shown, Failure> {
    let sql = store.reader();
    match verb {
        Claims::Uphold { .. } => unreachable!("a change is not a look"),
        Claims::List { batch, from, limit } => {
            let id = BatchId(hex_bytes("BatchId", batch)?);
            let stored = batches::find(sql, id)?.ok_or_else(|| {
                let cause = format!("there is no batch {batch}");
                Fault::unknown("UnknownBatch", cause, "ask the terminal for its batch's number")
            })?;
            let items = batches::items(sql, stored.row, *from, *limit)?;
            let objects = items
                .iter()
                .map(|item| shown(sql, batch, item))
                .collect::<Result<_, _>>()?;
            Ok(Shown::list(COLUMNS, objects))
        }
        Claims::Show {
            card,
            terminal_number,
            terminal_sn,
        } => {
            let key = debit(card, terminal_number, *terminal_sn)?;
            let query =
                "SELECT batch.number, lower(hex(id)), place FROM item JOIN batch ON batch.number = item.batch
                         WHERE key = ?1 ORDER BY batch.number, place LIMIT 1000";
            let mut statement = sql.prepare(query)?;
            let mut rows = statement.query([key])?;
            let mut objects = Vec::new();
            while let Some(row) = rows.next()? {
                let (number, batch, place): (i64, String, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
                for item in batches::items(sql, number, place, 1)? {
                    objects.push(shown(sql, &batch, &item)?);
                }
            }
            Ok(Shown::list(COLUMNS, objects))
        }
    }
}

fn shown(sql: &Connection, batch: &str, stored: &StoredItem) -> Result<Value, Failure> {
    let item = Item::decode(&stored.document).map_err(|_| Failure::Damaged("an item"))?;
    let (kind, amount, refund) = match &item {
        Item::Claim(claim) => ("claim", claim.amount, claim.refund_owed.minor()),
        Item::LateRefund(refund) => ("late_refund", refund.amount, 0),
    };
    let (decision, reason) = match stored.verdict.decision {
        Decision::Pay(_) => ("pay", None),
        Decision::Owe(_) => ("owe", None),
        Decision::Hold(reason) => ("hold", Some(format!("{reason:?}"))),
        Decision::Dispute(reason) => ("dispute", Some(format!("{reason:?}"))),
    };
    let key = item.key();
    let charge = batches::charge(sql, &key_bytes(key))?;
    let upheld: Option<String> = sql
        .prepare_cached("SELECT upheld_why FROM forged WHERE key = ?1 AND upheld_why IS NOT NULL")?
        .query_row([key_bytes(key)], |row| row.get(0))
        .optional()?;
    let is_paid =
        charge.is_some_and(|it| (it.batch, it.place) == (stored.verdict.batch, stored.verdict.place));
    Ok(json!({
        "batch": batch, "place": stored.verdict.place, "kind": kind, "card": hex::encode(key.card.serial()),
        "terminal_number": hex::encode(key.terminal_number), "terminal_sn": key.terminal_sn,
        "amount": amount.minor(), "currency": amount.currency().code(), "refund_owed": refund,
        "decision": decision, "reason": reason, "is_paid": is_paid, "upheld": upheld,
    }))
}

pub(super) fn alarms(store: &Store, limit: u32) -> Result<Shown, Failure> {
    let query = "SELECT number, at, terminal, name FROM alarm ORDER BY number DESC LIMIT ?1";
    let mut statement = store.reader().prepare(query)?;
    let rows = statement.query_map([limit], |row| {
        let (number, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (terminal, name): (Option<String>, String) = (row.get(2)?, row.get(3)?);
        Ok(json!({ "number": number, "unix_seconds": at, "terminal": terminal, "alarm": name }))
    })?;
    let columns = &["number", "unix_seconds", "terminal", "alarm"];
    Ok(Shown::list(columns, rows.collect::<Result<_, _>>()?))
}

pub(super) fn liability(store: &Store) -> Result<Shown, Failure> {
    let sql = store.reader();
    let mut statement = sql.prepare(
        "SELECT currency FROM books UNION SELECT currency FROM query WHERE answer IS NULL ORDER BY currency",
    )?;
    let codes = statement.query_map((), |row| row.get::<_, String>(0))?;
    let mut objects = Vec::new();
    for code in codes {
        let code = code?;
        let books = books::books(sql, currency(&code)?)?;
        let mut object = json!({ "currency": code, "is_balanced": books.are_balanced() });
        for account in Account::ALL {
            object[account.name()] = books.balance(account).minor().into();
        }
        // No account: what is asked about is outstanding until it is claimed.
        let query = "SELECT coalesce(sum(minor), 0) FROM query WHERE currency = ?1 AND answer IS NULL";
        let in_doubt: i64 = sql.query_row(query, [&code], |row| row.get(0))?;
        object["queries_in_doubt"] = in_doubt.into();
        objects.push(object);
    }
    let columns = &[
        "currency",
        "issued",
        "loads_in_doubt",
        "outstanding",
        "unexplained",
        "refunds_owed",
        "permits",
        "merchant_debt",
        "redeemed",
        "queries_in_doubt",
        "is_balanced",
    ];
    Ok(Shown::list(columns, objects))
}
