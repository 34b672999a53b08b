//! Queries: each answer is derived again from the query and from what cards have made.

use rusqlite::OptionalExtension;

use super::Audit;
use super::batches::signed;
use super::raw::{self, Evidence, Item, Query, digest, part};
use crate::card_crypto::Purchase;
use crate::fault::Failure;
use crate::masters::CardKeys;

/// The proofs as an answer has them.
const CARD_ANSWER: u8 = 1;
const CLAIM: u8 = 2;
const OTHER_DEBIT: u8 = 3;
const DECIDED_HAPPENED: u8 = 4;
const DECIDED_NOT: u8 = 5;

/// A query as it is stored.
struct Row {
    name: String,
    operation: Vec<u8>,
    terminal: String,
    key: Vec<u8>,
    money: (String, i64),
    document: Vec<u8>,
    answer: Option<(Vec<u8>, Vec<u8>)>,
    why: Option<String>,
}

/// What a card's answer to a debit comes to.
#[derive(PartialEq, Eq)]
enum Made {
    ByCard,
    /// MAC2 is right, TAC is not.
    Forged,
    Neither,
}

pub(super) fn check(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query = "SELECT lower(hex(operation)), operation, terminal, key, currency, minor, document, answer, signature, why
                 FROM query ORDER BY operation";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let answer: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(7)?, row.get(8)?);
        let row = Row {
            name: row.get(0)?,
            operation: row.get(1)?,
            terminal: row.get(2)?,
            key: row.get(3)?,
            money: (row.get(4)?, row.get(5)?),
            document: row.get(6)?,
            answer: answer.0.zip(answer.1),
            why: row.get(9)?,
        };
        one(audit, &row)?;
    }
    Ok(())
}

fn one(audit: &mut Audit<'_>, row: &Row) -> Result<(), Failure> {
    let name = &row.name;
    let Some(query) = Query::read(&row.document) else {
        audit.find("Query", format!("the query of sale {name} cannot be read"));
        return Ok(());
    };
    let owner = "SELECT 1 FROM terminal WHERE psam_number = ?1 AND name = ?2";
    let number: [u8; 6] = part(&query.key, 10).unwrap_or_default();
    let is_ours = audit.sql.prepare_cached(owner)?.exists((number, &row.terminal))?;
    let is_itself = is_ours
        && query.operation[..] == row.operation[..]
        && query.key[..] == row.key[..]
        && (query.currency.as_str(), signed(query.amount)) == (row.money.0.as_str(), row.money.1)
        && query.debit.is_some_and(|it| it.is_of(&query.key, query.amount));
    audit.check(is_itself, "Query", || {
        format!("the query of sale {name} is stored as something else")
    });
    let made = match (query.debit, query.answer) {
        (Some(debit), Some((tac, mac2))) => made(audit, &query.key, &debit, tac, mac2)?,
        _ => Made::Neither,
    };
    forged(audit, row, &made)?;
    let Some((document, signature)) = &row.answer else {
        return Ok(());
    };
    let proof = answer_proof(document, &row.document, &query.operation);
    let is_said = proof.is_some() && audit.is_signed(document, signature);
    audit.check(is_said, "QueryAnswer", || {
        format!("the answer about sale {name} is of another query, or not signed by this provider")
    });
    let is_reasoned = row.why.as_ref().is_some_and(|why| !why.trim().is_empty());
    let is_proven = match proof {
        Some(CARD_ANSWER) => made == Made::ByCard && row.why.is_none(),
        Some(CLAIM) => row.why.is_none() && is_claimed(audit, &query)?,
        Some(OTHER_DEBIT) => row.why.is_none() && is_number_used(audit, row, &query)?,
        Some(DECIDED_HAPPENED | DECIDED_NOT) => is_reasoned,
        Some(_) | None => false,
    };
    audit.check(is_proven, "QueryProof", || {
        format!("what the answer about sale {name} says to prove it does not")
    });
    let is_contradicted = match proof {
        Some(DECIDED_HAPPENED) => is_number_used(audit, row, &query)?,
        Some(DECIDED_NOT) => is_tried(audit, row)? && (made == Made::ByCard || is_claimed(audit, &query)?),
        Some(_) | None => false,
    };
    audit.check(!is_contradicted, "QueryContradicted", || {
        format!("what was decided about sale {name} is not what the card has proven")
    });
    Ok(())
}

/// False where evidence of the debit was forged and nobody has upheld it: no other is tried.
fn is_tried(audit: &Audit<'_>, row: &Row) -> Result<bool, Failure> {
    let query = "SELECT 1 FROM forged WHERE key = ?1 AND upheld_at IS NULL";
    Ok(!audit.sql.prepare_cached(query)?.exists([&row.key])?)
}

fn answer_proof(document: &[u8], query: &[u8], operation: &[u8; 16]) -> Option<u8> {
    let is_it = document.len() == 54
        && document.starts_with(b"PQAN\x01")
        && part(document, 5) == Some(digest(&[query]))
        && part(document, 37) == Some(*operation);
    is_it.then(|| document[53])
}

/// A debit that is kept as forged by no claim is so by its query.
fn forged(audit: &mut Audit<'_>, row: &Row, made: &Made) -> Result<(), Failure> {
    let query = "SELECT 1 FROM forged WHERE key = ?1 AND NOT EXISTS
                   (SELECT 1 FROM item WHERE item.key = forged.key AND substr(verdict, 75, 2) = x'0301')";
    let is_kept = audit.sql.prepare_cached(query)?.exists([&row.key])?;
    audit.check(!is_kept || *made == Made::Forged, "Forged", || {
        format!(
            "the debit of sale {} is kept as forged, and its query is not",
            row.name
        )
    });
    Ok(())
}

fn card_keys(audit: &Audit<'_>, key: &[u8; 20]) -> Result<Option<CardKeys>, Failure> {
    let serial: [u8; 10] = part(key, 0).unwrap_or_default();
    let query = "SELECT key_version FROM card WHERE serial = ?1";
    let mut statement = audit.sql.prepare_cached(query)?;
    let version: Option<u8> = statement.query_row([serial], |row| row.get(0)).optional()?;
    let masters = version.and_then(|it| audit.keys.version(it));
    Ok(masters.map(|it| it.card(&serial)))
}

fn made(
    audit: &Audit<'_>,
    key: &[u8; 20],
    debit: &raw::Debit,
    tac: [u8; 4],
    mac2: [u8; 4],
) -> Result<Made, Failure> {
    let Some(keys) = card_keys(audit, key)? else {
        return Ok(Made::Neither);
    };
    let purchase = Purchase {
        amount: debit.amount,
        is_ep: debit.is_ep,
        terminal_number: debit.terminal_number,
        terminal_sn: debit.terminal_sn,
        at: debit.at,
    };
    let is_mac2 = purchase.mac2(&keys.purchase, debit.random, debit.offline_sn) == mac2;
    Ok(match is_mac2 {
        true if purchase.tac(&keys.tac) == tac => Made::ByCard,
        true => Made::Forged,
        false => Made::Neither,
    })
}

/// A claim of the same debit and amount has the card's TAC.
fn is_claimed(audit: &Audit<'_>, query: &Query) -> Result<bool, Failure> {
    let mut statement = audit
        .sql
        .prepare_cached("SELECT document FROM item WHERE key = ?1")?;
    let mut rows = statement.query([query.key])?;
    while let Some(row) = rows.next()? {
        let item = Item::read(&row.get::<_, Vec<u8>>(0)?);
        if let Some(item) = item.filter(|it| it.is_claim && it.amount == query.amount)
            && has_tac(audit, &item)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The card that the claim names has made its TAC.
pub(super) fn has_tac(audit: &Audit<'_>, item: &Item) -> Result<bool, Failure> {
    let Some(evidence) = Evidence::read(&item.evidence) else {
        return Ok(false);
    };
    let Some(keys) = card_keys(audit, &item.key)? else {
        return Ok(false);
    };
    let debit = evidence.debit;
    let purchase = Purchase {
        amount: debit.amount,
        is_ep: debit.is_ep,
        terminal_number: debit.terminal_number,
        terminal_sn: debit.terminal_sn,
        at: debit.at,
    };
    Ok(debit.is_of(&item.key, item.amount) && purchase.tac(&keys.tac) == evidence.tac)
}

/// A claim of another debit of the card, in a batch of its own terminal, proves that it used the number, and that terminal has no
/// purchase key, or is of the same merchant.
fn is_number_used(audit: &Audit<'_>, row: &Row, query: &Query) -> Result<bool, Failure> {
    let (mut first, mut last) = ([0x00; 20], [0xFF; 20]);
    first[..10].copy_from_slice(&query.key[..10]);
    last[..10].copy_from_slice(&query.key[..10]);
    let mut statement = audit.sql.prepare_cached(
        "SELECT item.document, batch.terminal FROM item JOIN batch ON batch.number = item.batch
             WHERE key BETWEEN ?1 AND ?2",
    )?;
    let mut rows = statement.query((first, last))?;
    while let Some(found) = rows.next()? {
        let item = Item::read(&found.get::<_, Vec<u8>>(0)?);
        let Some(item) = item.filter(|it| it.is_claim && it.key != query.key) else {
            continue;
        };
        let (Some(evidence), Some(asked)) = (Evidence::read(&item.evidence), query.debit) else {
            continue;
        };
        let other = evidence.debit;
        let is_number = (other.is_ep, other.offline_sn) == (asked.is_ep, asked.offline_sn);
        if is_number
            && has_tac(audit, &item)?
            && made(audit, &item.key, &other, evidence.tac, evidence.mac2)? == Made::ByCard
            && counts(
                audit,
                other.terminal_number,
                &found.get::<_, String>(1)?,
                &row.terminal,
            )?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn counts(audit: &Audit<'_>, number: [u8; 6], owner: &str, terminal: &str) -> Result<bool, Failure> {
    let query = "SELECT 1 FROM terminal WHERE psam_number = ?1 AND name = ?2 AND
                 (is_software_sam = 0 OR merchant = (SELECT merchant FROM terminal WHERE name = ?3))";
    let parameters = (number, owner, terminal);
    Ok(audit.sql.prepare_cached(query)?.exists(parameters)?)
}

/// The provider has answered of the claim's very debit that it happened.
pub(super) fn is_answered(audit: &Audit<'_>, item: &Item) -> Result<bool, Failure> {
    let query = "SELECT document, answer FROM query WHERE key = ?1 AND answer IS NOT NULL";
    let mut statement = audit.sql.prepare_cached(query)?;
    let found: Option<(Vec<u8>, Vec<u8>)> = statement
        .query_row([item.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((document, answer)) = found else {
        return Ok(false);
    };
    let proof = answer_proof(&answer, &document, &item.operation);
    let happened = matches!(proof, Some(CARD_ANSWER | CLAIM | DECIDED_HAPPENED));
    let asked = Query::read(&document);
    // Behind the evidence's head, and the card's answer where it has one, is the attempt.
    let attempt = if has_answer(item) { 12 } else { 4 };
    Ok(happened
        && asked.is_some_and(|it| {
            it.operation == item.operation
                && (it.currency, it.amount) == (item.currency.clone(), item.amount)
                && item.evidence.get(attempt..) == Some(&it.attempt[..])
        }))
}

/// The claim's evidence has a card's answer.
pub(super) fn has_answer(item: &Item) -> bool {
    item.evidence.get(3) == Some(&1)
}
