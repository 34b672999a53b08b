//! `queries`: the sales in doubt that terminals have asked about, and the operator's word where nothing proves an end (money
//! rule C4).

use purser_ledger::OperationId;
use purser_provider_link::{Item, QueryProof};
use purser_provider_rules::query;
use purser_purse::pboc::Attempt;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::hex_bytes;
use crate::authority::{Authority, now_unix_seconds};
use crate::cli::Queries;
use crate::fault::{Failure, Fault};
use crate::folder::Folder;
use crate::serve::forgeries;
use crate::serve::queries::{CONTRADICTED, counts_against, fault, last_word, same_number, with_answer};
use crate::show::Shown;
use crate::store::batches::key_bytes;
use crate::store::queries::{self, StoredQuery, card_range};
use crate::store::{Store, alarm, exists, signed};

/// The longest reason: a sentence or two, and the number of a letter.
const WHY_CHARACTERS_MAX: usize = 1_000;

const COLUMNS: &[&str] = &[
    "operation",
    "terminal",
    "card",
    "terminal_sn",
    "amount",
    "currency",
    "sold_at",
    "asked_at",
    "state",
    "proof",
];

pub(crate) fn queries(store: &mut Store, folder: &Folder, verb: &Queries) -> Result<Shown, Failure> {
    match verb {
        Queries::List { limit } => {
            let newest = queries::newest(store.reader(), *limit)?;
            Ok(Shown::list(COLUMNS, newest.iter().map(object).collect()))
        }
        Queries::Show { operation } => {
            let id = id(operation)?;
            let stored = queries::find(store.reader(), id)?.ok_or_else(|| unknown(operation))?;
            let object = object(&stored);
            Ok(Shown::one(sentence(&stored), object))
        }
        Queries::Answer {
            operation,
            happened,
            why,
            ..
        } => answer(store, folder, operation, *happened, why),
    }
}

fn id(digits: &str) -> Result<OperationId, Failure> {
    Ok(OperationId::new(hex_bytes("OperationId", digits)?))
}

fn unknown(operation: &str) -> Fault {
    let cause = format!("no terminal has asked about sale {operation}");
    Fault::unknown("UnknownQuery", cause, "see `purser-provider queries list`")
}

fn answer(
    store: &mut Store,
    folder: &Folder,
    operation: &str,
    happened: bool,
    why: &str,
) -> Result<Shown, Failure> {
    let why = why.trim();
    if why.is_empty() || why.chars().count() > WHY_CHARACTERS_MAX {
        let cause = format!("a reason has 1 to {WHY_CHARACTERS_MAX} characters");
        return Err(Fault::invalid("Why", cause, "say what the decision rests on").into());
    }
    let id = id(operation)?;
    let authority = Authority::open(folder, &store.provider()?.name)?;
    let sql = store.begin()?;
    let stored = queries::find(&sql, id)?.ok_or_else(|| unknown(operation))?;
    let key = key_bytes(&stored.query.key);
    let answered = stored.answer.as_ref().map(|it| it.answer.proof);
    let proof = query::decide(answered, forgeries::is_forged(&sql, &key)?, happened).map_err(fault)?;
    let is_contradicted = if happened {
        is_number_proven(&sql, &stored)?
    } else {
        is_paid(&sql, &stored)?
    };
    if is_contradicted {
        let cause = "the provider has proof of the card that says the opposite";
        return Err(Fault::conflict(
            "Contradicted",
            cause,
            "look at the card's other sales, and at the alarms",
        )
        .into());
    }
    if happened && is_number_claimed(&sql, &stored)? {
        alarm(&sql, now_unix_seconds(), Some(&stored.terminal), CONTRADICTED)?;
    }
    let word = last_word(&stored.query, proof, Some(why.to_owned()), |document| {
        authority.sign(document)
    })?;
    queries::answer(&sql, &word)?;
    let stored = queries::find(&sql, id)?.ok_or_else(|| unknown(operation))?;
    sql.commit()?;
    Ok(Shown::one(sentence(&stored), object(&stored)))
}

/// True where a claim of this very debit and amount is paid.
fn is_paid(sql: &Connection, stored: &StoredQuery) -> Result<bool, Failure> {
    let query = "SELECT 1 FROM charge WHERE key = ?1 AND currency = ?2 AND minor = ?3";
    let amount = stored.query.amount;
    let minor = signed(amount.minor());
    exists(
        sql,
        query,
        (key_bytes(&stored.query.key), amount.currency().code(), minor),
    )
}

/// True where the card's answer in another query, whose MAC2 `serve` has checked, says that the number went to that debit.
fn is_number_proven(sql: &Connection, stored: &StoredQuery) -> Result<bool, Failure> {
    let attempt_of = |it: &StoredQuery| Attempt::decode(it.query.attempt.bytes()).ok();
    let Some(asked) = attempt_of(stored) else {
        return Ok(false);
    };
    for other in queries::of_card(sql, stored.query.key.card.serial())? {
        let answer = other.answer.as_ref().map(|it| it.answer.proof);
        if other.query.key != stored.query.key
            && answer == Some(QueryProof::CardAnswer)
            && attempt_of(&other).is_some_and(|it| same_number(&it, &asked))
            && counts_against(
                sql,
                &other.query.key.terminal_number,
                &other.terminal,
                &stored.terminal,
            )?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True where a paid claim of another debit names the number. Its MAC2 is not checked here, for no card key is at hand: this is
/// enough for an alarm, and not for a refusal, which any terminal could bring about (money rule T3). `audit` checks it.
fn is_number_claimed(sql: &Connection, stored: &StoredQuery) -> Result<bool, Failure> {
    let Ok(asked) = Attempt::decode(stored.query.attempt.bytes()) else {
        return Ok(false);
    };
    let (first, last) = card_range(stored.query.key.card.serial());
    let query = "SELECT item.document, batch.terminal FROM item JOIN batch ON batch.number = item.batch
                 JOIN charge ON charge.batch = batch.digest AND charge.place = item.place
                 WHERE item.key BETWEEN ?1 AND ?2 AND item.key <> ?3";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query((first, last, key_bytes(&stored.query.key)))?;
    while let Some(row) = rows.next()? {
        let document: Vec<u8> = row.get(0)?;
        let item = Item::decode(&document).map_err(|_| Failure::Damaged("an item"))?;
        let Item::Claim(claim) = item else { continue };
        let is_same = with_answer(&claim).is_some_and(|(it, _)| same_number(&it, &asked));
        let owner: String = row.get(1)?;
        if is_same && counts_against(sql, &claim.key.terminal_number, &owner, &stored.terminal)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn state(stored: &StoredQuery) -> &'static str {
    match &stored.answer {
        None => "open",
        Some(it) if it.answer.proof.happened() => "happened",
        Some(_) => "did_not_happen",
    }
}

fn sentence(stored: &StoredQuery) -> String {
    let query = &stored.query;
    let proof = stored
        .answer
        .as_ref()
        .map_or("nothing yet", |it| it.answer.proof.name());
    let why = stored.answer.as_ref().and_then(|it| it.why.as_deref());
    format!(
        "sale {} of {}, {} {}: {} (proof: {proof}{}{})",
        query.operation,
        stored.terminal,
        query.amount.minor(),
        query.amount.currency().code(),
        state(stored),
        why.map_or("", |_| "; why: "),
        why.unwrap_or_default(),
    )
}

fn object(stored: &StoredQuery) -> Value {
    let query = &stored.query;
    let answer = stored.answer.as_ref();
    json!({
        "operation": query.operation.to_string(), "terminal": stored.terminal,
        "card": hex::encode(query.key.card.serial()), "terminal_number": hex::encode(query.key.terminal_number),
        "terminal_sn": query.key.terminal_sn, "amount": query.amount.minor(),
        "currency": query.amount.currency().code(), "sold_at": query.sold_at.unix_seconds,
        "asked_at": stored.asked_at, "has_card_answer": query.answer.is_some(), "state": state(stored),
        "proof": answer.map(|it| it.answer.proof.name()), "answered_at": answer.map(|it| it.at),
        "why": answer.and_then(|it| it.why.clone()),
    })
}
