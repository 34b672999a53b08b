//! The route of queries: what became of a sale that neither card nor terminal can tell of (money rule C4).
//!
//! It is on the terminal's own connection and not behind a call-back: an answer moves no value. What it makes payable is paid in a
//! settlement, behind a call-back, once. Whoever has stolen a terminal's key gets no answer out of this that a card has not proven.

use std::sync::Arc;

use purser_ledger::{OperationId, Scheme};
use purser_provider_link::{Claim, Item, Query, QueryAnswer, QueryProof};
use purser_provider_rules::Evidence;
use purser_provider_rules::query::{self, CardAnswer, Facts, Known, Refusal, Repeat};
use purser_purse::pboc::{Attempt, ClaimEvidence, DebitAnswer};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;

use super::facts::{self, Keys};
use super::http::Reply;
use super::leg::Leg;
use super::peer::{self, Peer};
use super::{Shared, forgeries};
use crate::authority::now_unix_seconds;
use crate::card_crypto::is_equal;
use crate::fault::{Failure, Fault};
use crate::store::batches::key_bytes;
use crate::store::queries::{self, StoredAnswer, card_range};
use crate::store::{Store, alarm, exists};

/// So many sales of one terminal can be in doubt. A shop has a few: this is against one that fills the disk.
const OPEN_MAX: u32 = 1_000;

/// A query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(with = "hex::serde")]
    query: Vec<u8>,
}

/// Takes a query. A repeat gets the answer that is stored, or what has been proven since.
pub(crate) async fn ask(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    operation: [u8; 16],
    asked: Asked,
) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    let done = move |shared: &Shared, store: &mut Store| {
        let sql = store.begin()?;
        let peer = peer::terminal(&sql, leg.peer)?;
        let invalid = |cause: String| Fault::invalid("BadQuery", cause, "send the query's canonical bytes");
        let query = Query::decode(&asked.query).map_err(|error| invalid(error.to_string()))?;
        if query.operation != OperationId::new(operation) {
            return Err(invalid("the query has another number than its path".to_owned()).into());
        }
        let answered = answered(shared, &sql, &peer, &query)?;
        // Also with a refusal: one that was admitted is kept, and a forged one counts.
        sql.commit()?;
        answered.map(|it| shown(it.as_ref())).map_err(fault)
    };
    shared.with_store(done).await
}

fn shown(answer: Option<&StoredAnswer>) -> Reply {
    Reply::ok(json!({
        "answer": answer.map(|it| hex::encode(it.answer.encode())),
        "signature": answer.map(|it| hex::encode(&it.signature)),
    }))
}

pub(crate) fn fault(refusal: Refusal) -> Failure {
    let cause = refusal.to_string();
    match refusal {
        Refusal::OtherTerminal => Fault::forbidden(refusal.name(), cause, "ask about your own sales").into(),
        _ => {
            let fault = Fault::conflict(refusal.name(), cause, "ask the provider's operator");
            if refusal.is_transient() {
                fault.transient().into()
            } else {
                fault.into()
            }
        }
    }
}

fn answered(
    shared: &Shared,
    sql: &Connection,
    peer: &Peer,
    query: &Query,
) -> Result<Result<Option<StoredAnswer>, Refusal>, Failure> {
    let attempt = Attempt::decode(query.attempt.bytes()).ok();
    let attempt = attempt.filter(|it| is_of(query, it));
    let admission = admission(sql, peer, query, attempt.as_ref())?;
    if let Err(refusal) = query::admit(query, &admission) {
        return Ok(Err(refusal));
    }
    let known = queries::find(sql, query.operation)?;
    let is_repeat = known.is_some();
    match known {
        Some(stored) if stored.terminal != peer.name.as_str() => return Ok(Err(Refusal::OtherContent)),
        Some(stored) => {
            let repeat = match query::repeat(&stored.query, query) {
                Ok(repeat) => repeat,
                Err(refusal) => return Ok(Err(refusal)),
            };
            // The first answer stays, also where the card's own comes after it.
            if stored.answer.is_some() {
                return Ok(Ok(stored.answer));
            }
            if repeat == Repeat::WithAnswer {
                queries::complete(sql, query)?;
            }
        }
        None if queries::of_key(sql, &key_bytes(&query.key))?.is_some() => {
            return Ok(Err(Refusal::OtherContent));
        }
        None if queries::open_of(sql, peer.name.as_str())? >= OPEN_MAX => {
            return Ok(Err(Refusal::TooManyQueries));
        }
        None => queries::add(sql, peer.name.as_str(), query, now_unix_seconds())?,
    }
    let facts = match &attempt {
        Some(attempt) => facts(shared, sql, peer.name.as_str(), query, attempt, admission)?,
        None => admission,
    };
    let (proof, is_contradicted) = match query::judge(&facts) {
        Ok(Known::NotYet) => return Ok(Ok(None)),
        Ok(Known::Proven {
            proof,
            is_contradicted,
        }) => (proof, is_contradicted),
        Err(Refusal::Forged) if is_repeat && forgeries::was_counted(sql, &key_bytes(&query.key))? => {
            // A debit that was upheld: the terminal asks the same again by itself, and that is no new forgery.
            return Ok(Err(Refusal::ForgedBefore));
        }
        Err(refusal) => {
            if refusal == Refusal::Forged {
                forgeries::count(sql, peer.name.as_str(), &key_bytes(&query.key))?;
            }
            return Ok(Err(refusal));
        }
    };
    if is_contradicted {
        alarm(sql, now_unix_seconds(), Some(peer.name.as_str()), CONTRADICTED)?;
    }
    let stored = last_word(query, proof, None, |document| shared.authority.sign(document))?;
    queries::answer(sql, &stored)?;
    Ok(Ok(Some(stored)))
}

/// The name of the alarm that two proofs contradict each other.
pub(crate) const CONTRADICTED: &str = "QueryContradicted";

/// The signed last word on a query.
pub(crate) fn last_word(
    query: &Query,
    proof: QueryProof,
    why: Option<String>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Failure>,
) -> Result<StoredAnswer, Failure> {
    let answer = QueryAnswer {
        query: query.digest(),
        operation: query.operation,
        proof,
    };
    Ok(StoredAnswer {
        answer,
        signature: sign(&answer.encode())?,
        at: now_unix_seconds(),
        why,
    })
}

fn is_of(query: &Query, attempt: &Attempt) -> bool {
    let [_, _, asn @ ..] = *query.key.card.serial();
    query.attempt.scheme() == Scheme::Pboc
        && *attempt.asn.as_bytes() == asn
        && *attempt.terminal_number.as_bytes() == query.key.terminal_number
        && attempt.terminal_sn.value() == query.key.terminal_sn
        && u64::from(attempt.amount.minor()) == query.amount.minor()
}

/// What it takes to admit a query; nothing is known of its proofs yet.
fn admission(
    sql: &Connection,
    peer: &Peer,
    query: &Query,
    attempt: Option<&Attempt>,
) -> Result<Facts, Failure> {
    Ok(Facts {
        number_owner: facts::number_owner(sql, peer.name.as_str(), &query.key)?,
        card_currency: facts::currency(sql, query.key.card.serial())?,
        is_of_attempt: attempt.is_some(),
        answer: CardAnswer::None,
        is_forged_before: false,
        is_claimed: false,
        is_number_used: false,
    })
}

fn facts(
    shared: &Shared,
    sql: &Connection,
    terminal: &str,
    query: &Query,
    attempt: &Attempt,
    admission: Facts,
) -> Result<Facts, Failure> {
    Ok(Facts {
        answer: card_answer(shared, sql, query, attempt)?,
        is_forged_before: forgeries::is_forged(sql, &key_bytes(&query.key))?,
        is_claimed: is_claimed(shared, sql, query)?,
        is_number_used: is_number_used(shared, sql, terminal, query, attempt)?,
        ..admission
    })
}

fn card_answer(
    shared: &Shared,
    sql: &Connection,
    query: &Query,
    attempt: &Attempt,
) -> Result<CardAnswer, Failure> {
    let Some(told) = &query.answer else {
        return Ok(CardAnswer::None);
    };
    match DebitAnswer::decode(told.bytes()) {
        Ok(answer) => checked(shared, sql, attempt, answer),
        Err(_) => Ok(CardAnswer::NotOfCard),
    }
}

/// What a card's answer to a debit comes to. Its MAC2 covers the card's own counter and challenge, its TAC does not.
fn checked(
    shared: &Shared,
    sql: &Connection,
    attempt: &Attempt,
    answer: DebitAnswer,
) -> Result<CardAnswer, Failure> {
    let keys = match facts::card(sql, attempt.asn.as_bytes())? {
        None => return Ok(CardAnswer::NotCheckable),
        Some(card) => match facts::keys(shared, card, attempt.key_version.0) {
            Keys::Of(keys) => keys,
            Keys::Blocked | Keys::Unknown => return Ok(CardAnswer::NotCheckable),
        },
    };
    let purchase = facts::purchase(attempt);
    let mac2 = purchase.mac2(
        &keys.purchase,
        *attempt.random.as_bytes(),
        attempt.offline_sn.value(),
    );
    Ok(if !is_equal(&mac2, answer.mac2.as_bytes()) {
        CardAnswer::NotOfCard
    } else if is_equal(&purchase.tac(&keys.tac), answer.tac.as_bytes()) {
        CardAnswer::Proven
    } else {
        CardAnswer::Forged
    })
}

/// True where a claim of this very debit has the card's TAC.
fn is_claimed(shared: &Shared, sql: &Connection, query: &Query) -> Result<bool, Failure> {
    let mut statement = sql.prepare_cached("SELECT document FROM item WHERE key = ?1")?;
    let mut rows = statement.query([key_bytes(&query.key)])?;
    while let Some(row) = rows.next()? {
        let claim = claim(&row.get::<_, Vec<u8>>(0)?)?;
        if let Some(claim) = claim.filter(|it| it.amount == query.amount)
            && facts::evidence(shared, sql, &claim)? == Evidence::Valid
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn claim(document: &[u8]) -> Result<Option<Claim>, Failure> {
    match Item::decode(document).map_err(|_| Failure::Damaged("an item"))? {
        Item::Claim(claim) => Ok(Some(claim)),
        Item::LateRefund(_) => Ok(None),
    }
}

/// True where another debit of the card is proven to have used the number that the card would have used for this one: a purse
/// counts each debit once.
fn is_number_used(
    shared: &Shared,
    sql: &Connection,
    terminal: &str,
    query: &Query,
    attempt: &Attempt,
) -> Result<bool, Failure> {
    let (first, last) = card_range(query.key.card.serial());
    let own = key_bytes(&query.key);
    let statement = "SELECT item.document, batch.terminal FROM item JOIN batch ON batch.number = item.batch
                     WHERE key BETWEEN ?1 AND ?2 AND key <> ?3";
    let mut statement = sql.prepare_cached(statement)?;
    let mut rows = statement.query((first, last, own))?;
    while let Some(row) = rows.next()? {
        let Some(claim) = claim(&row.get::<_, Vec<u8>>(0)?)? else {
            continue;
        };
        let Some((other, answer)) = with_answer(&claim) else {
            continue;
        };
        if same_number(&other, attempt)
            && facts::evidence(shared, sql, &claim)? == Evidence::Valid
            && checked(shared, sql, &other, answer)? == CardAnswer::Proven
            && counts_against(
                sql,
                &claim.key.terminal_number,
                &row.get::<_, String>(1)?,
                terminal,
            )?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) fn with_answer(claim: &Claim) -> Option<(Attempt, DebitAnswer)> {
    let told = ClaimEvidence::decode(claim.evidence.bytes()).ok()?;
    Some((told.attempt().clone(), told.answer()?))
}

pub(crate) fn same_number(one: &Attempt, other: &Attempt) -> bool {
    (one.asn, one.purse, one.offline_sn) == (other.asn, other.purse, other.offline_sn)
}

/// Whether a debit under a PSAM terminal number, in a batch that `owner` has brought, may say anything about a debit of `terminal`:
/// who has a purchase key can make a MAC2 for any number (money rule T3), and so do harm to another merchant, but not to its own.
/// Under the number of somebody else's PSAM it says nothing at all.
pub(crate) fn counts_against(
    sql: &Connection,
    number: &[u8; 6],
    owner: &str,
    terminal: &str,
) -> Result<bool, Failure> {
    let query = "SELECT 1 FROM terminal AS other, terminal AS own
                 WHERE other.psam_number = ?1 AND other.name = ?2 AND own.name = ?3
                   AND (other.is_software_sam = 0 OR other.merchant = own.merchant)";
    exists(sql, query, (number, owner, terminal))
}

/// What a claim with a card's proof, in a batch of its own terminal, says about the queries of its card: an open one of this very
/// debit is answered by it, and an operator is told where it says otherwise than an answer that has been given. The claim is judged
/// without that: the card's proof wins.
pub(crate) fn watch(shared: &Shared, sql: &Connection, terminal: &str, claim: &Claim) -> Result<(), Failure> {
    let Some((attempt, answer)) = with_answer(claim) else {
        return Ok(());
    };
    let (mut contradicts, mut is_checked) = (false, None);
    for stored in queries::of_card(sql, claim.key.card.serial())? {
        let is_same_debit = stored.query.key == claim.key;
        let asked = Attempt::decode(stored.query.attempt.bytes()).ok();
        match (&stored.answer, asked) {
            (None, Some(asked)) if is_same_debit && stored.query.amount == claim.amount => {
                contradicts |= answer_by_claim(shared, sql, &stored, &asked)?;
            }
            (Some(given), _) if is_same_debit => contradicts |= !given.answer.proof.happened(),
            (Some(given), Some(asked)) if given.answer.proof.happened() && same_number(&asked, &attempt) => {
                let is_proven = match is_checked {
                    Some(is_proven) => is_proven,
                    None => checked(shared, sql, &attempt, answer)? == CardAnswer::Proven,
                };
                is_checked = Some(is_proven);
                contradicts |=
                    is_proven && counts_against(sql, &claim.key.terminal_number, terminal, &stored.terminal)?;
            }
            (None | Some(_), _) => {}
        }
    }
    if contradicts {
        alarm(sql, now_unix_seconds(), Some(terminal), CONTRADICTED)?;
    }
    Ok(())
}

/// Answers an open query whose debit has been claimed with the card's proof: its terminal need not ask again. True where another
/// debit is proven to have used its number.
fn answer_by_claim(
    shared: &Shared,
    sql: &Connection,
    stored: &queries::StoredQuery,
    asked: &Attempt,
) -> Result<bool, Failure> {
    let query = &stored.query;
    if forgeries::is_forged(sql, &key_bytes(&query.key))? {
        return Ok(false);
    }
    let word = last_word(query, QueryProof::Claim, None, |document| {
        shared.authority.sign(document)
    })?;
    queries::answer(sql, &word)?;
    is_number_used(shared, sql, &stored.terminal, query, asked)
}

/// True where the provider has answered of this very debit that it happened, as the terminal claims it now.
pub(crate) fn is_answered(sql: &Connection, claim: &Claim, told: &ClaimEvidence) -> Result<bool, Failure> {
    let stored = queries::of_key(sql, &key_bytes(&claim.key))?;
    Ok(stored.is_some_and(|it| {
        it.answer.is_some_and(|answer| answer.answer.proof.happened())
            && it.query.operation == claim.operation
            && it.query.amount == claim.amount
            && it.query.attempt.bytes() == told.attempt().encode()
    }))
}
