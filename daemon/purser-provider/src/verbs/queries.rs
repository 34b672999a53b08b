//! `queries`: the sales in doubt that terminals have asked about, and the operator's word where nothing proves an end (money
//! rule C4).

use purser_ledger::OperationId;
use purser_provider_rules::query;
use serde_json::{Value, json};

use super::hex_bytes;
use crate::authority::Authority;
use crate::cli::Queries;
use crate::fault::{Failure, Fault};
use crate::folder::Folder;
use crate::serve::queries::{fault, last_word};
use crate::show::Shown;
use crate::store::batches::key_bytes;
use crate::store::queries::{self, StoredQuery};
use crate::store::{Store, exists};

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
    let is_forged = exists(&sql, "SELECT 1 FROM forged WHERE key = ?1", [key])?;
    let answered = stored.answer.as_ref().map(|it| it.answer.proof);
    let proof = query::decide(answered, is_forged, happened).map_err(fault)?;
    let word = last_word(&stored.query, proof, Some(why.to_owned()), |document| {
        authority.sign(document)
    })?;
    queries::answer(&sql, &word)?;
    let stored = queries::find(&sql, id)?.ok_or_else(|| unknown(operation))?;
    sql.commit()?;
    Ok(Shown::one(sentence(&stored), object(&stored)))
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
