//! The routes of a settlement up to the permit (S30 to S34): announcement, pages, verdicts, void.

use std::sync::Arc;

use purser_provider_link::call_back::Purpose;
use purser_provider_link::{Batch, BatchId, Decision, Digest, Item, Reason, SealError, Verdict, VoidReason};
use purser_provider_rules::Evidence;
use purser_provider_rules::batch::{BatchRecord, Page, Phase, Refusal};
use purser_provider_rules::judge::{self, Before, NumberOwner};
use rusqlite::{Connection, Transaction};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::facts::{self, Owner};
use super::http::Reply;
use super::leg::Leg;
use super::peer::{self, Peer};
use super::{Shared, call_back, forgeries, queries, voids};
use crate::authority::now_unix_seconds;
use crate::fault::{Failure, Fault};
use crate::store::Store;
use crate::store::batches::{self, StoredBatch, StoredItem, StoredPage, key_bytes, phase_name};
use crate::store::permits;

/// The document of a batch: announced, or to be voided.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announced {
    #[serde(with = "hex::serde")]
    batch: Vec<u8>,
}

impl Announced {
    /// The batch, if the document is of this number and provider.
    ///
    /// # Errors
    /// A refusal: the terminal has to seal another.
    pub(crate) fn batch(&self, shared: &Shared, id: BatchId) -> Result<Batch, Failure> {
        let invalid = |cause: String| Fault::invalid("BadBatch", cause, "seal the batch again");
        let batch = Batch::decode(&self.batch).map_err(|error| invalid(error.to_string()))?;
        if batch.id != id || batch.provider.as_str() != shared.provider.name {
            return Err(invalid("the batch has another number or provider".to_owned()).into());
        }
        Ok(batch)
    }
}

/// One page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paged {
    items: Vec<String>,
}

pub(crate) fn fault(refusal: Refusal) -> Failure {
    let remedy = match refusal {
        Refusal::PageSkipped(_) => "look at the batch for the page that is wanted next",
        Refusal::NotReceived => "send the pages that are missing",
        Refusal::Permitted(_) => "take the permit",
        Refusal::Voided(_) => "its claims are free: seal another batch",
        _ => "void the batch and seal another",
    };
    let fault = Fault::conflict(refusal.name(), refusal.to_string(), remedy);
    if refusal.is_transient() {
        fault.transient().into()
    } else {
        fault.into()
    }
}

/// An item that no seal of this batch can have counted.
fn not_sealable(error: SealError) -> Failure {
    let name = match error {
        SealError::Full => "TooManyItems",
        SealError::OtherCurrency => "OtherCurrency",
        SealError::TooLarge => "SumTooLarge",
        SealError::Empty => "PageSize",
    };
    Fault::conflict(name, error.to_string(), "void the batch and seal another").into()
}

/// Changes a batch on a leg that is open for it.
pub(crate) async fn with_batch(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: BatchId,
    act: impl FnOnce(&Shared, Transaction<'_>, &Peer, StoredBatch) -> Result<Reply, Failure> + Send + 'static,
) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    shared
        .with_store(move |shared, store| {
            let sql = store.begin()?;
            let (peer, stored) = of_leg(&sql, &leg, id)?;
            act(shared, sql, &peer, stored)
        })
        .await
}

/// Reads a batch on a leg that is open for it: one snapshot, also while a long commit is under way.
async fn read_batch(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: BatchId,
    read: impl FnOnce(&Connection, StoredBatch) -> Result<Reply, Failure> + Send + 'static,
) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    shared
        .with_reader(move |_, store| {
            let sql = store.reader().unchecked_transaction()?;
            let (_, stored) = of_leg(&sql, &leg, id)?;
            read(&sql, stored)
        })
        .await
}

/// The batch, if the leg is open for it and it is the terminal's own.
fn of_leg(sql: &Connection, leg: &Leg, id: BatchId) -> Result<(Peer, StoredBatch), Failure> {
    let peer = peer::known(sql, leg.peer)?;
    let stored = batches::find(sql, id)?;
    // One answer for a batch that is not there and one that this leg is not for.
    let subject = stored.as_ref().map_or(Digest([0; 32]), |it| it.batch.digest());
    call_back::authenticated(leg, &peer, Purpose::Settlement, subject)?;
    let stored =
        stored.ok_or_else(|| Fault::unknown("UnknownBatch", "there is no such batch", "announce it"))?;
    // A digest is no secret: another terminal can be called back for it, and may do nothing with it.
    if stored.batch.owner != peer.name && !is_presenter(sql, &stored, &peer)? {
        let cause = "the batch was sealed by another terminal";
        return Err(Fault::forbidden("OtherTerminal", cause, "settle your own batches").into());
    }
    Ok((peer, stored))
}

/// True for the terminal to which the batch's permit was issued again (money rule B4). What else it could ask about the batch is
/// over by then.
fn is_presenter(sql: &Connection, stored: &StoredBatch, peer: &Peer) -> Result<bool, Failure> {
    let Phase::Permitted(permit) = stored.record.phase() else {
        return Ok(false);
    };
    let newest = permits::newest(sql, permit)?;
    Ok(newest.is_some_and(|it| it.permit.presenter == peer.name))
}

fn shown(record: &BatchRecord, id: BatchId) -> Reply {
    Reply::ok(json!({
        "batch": id.to_string(), "phase": phase_name(record.phase()), "received": record.received(),
        "next_page": record.next_page(),
    }))
}

/// Takes the announcement. A repeat gets how far the batch has come. A revoked terminal announces what it has sealed to have its
/// end: the permit that there is, else its void (money rule B3).
pub(crate) async fn announce(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: BatchId,
    announced: Announced,
) -> Result<Reply, Failure> {
    let leg = Arc::clone(leg);
    let done = move |shared: &Shared, store: &mut Store| {
        let sql = store.begin()?;
        let peer = peer::known(&sql, leg.peer)?;
        let batch = announced.batch(shared, id)?;
        if batch.owner != peer.name {
            let cause = "the batch has another owner";
            return Err(Fault::invalid("BadBatch", cause, "seal the batch again").into());
        }
        call_back::authenticated(&leg, &peer, Purpose::Settlement, batch.digest())?;
        let existing = batches::find(&sql, id)?;
        let mut record =
            BatchRecord::announce(existing.as_ref().map(|it| &it.record), &batch).map_err(fault)?;
        let is_permitted = matches!(record.phase(), Phase::Permitted(_));
        if peer.is_revoked && !is_permitted {
            voids::end(shared, &sql, &batch, VoidReason::TerminalRevoked)?;
            record = record.void(VoidReason::TerminalRevoked).map_err(fault)?;
        } else if existing.is_none() {
            reconciled(&sql, &batch)?;
            batches::announce(&sql, &batch, now_unix_seconds())?;
        }
        sql.commit()?;
        Ok(shown(&record, id))
    };
    shared.with_store(done).await
}

/// A new batch is of the generation that a person has reconciled (money rule T1). One that is known goes on: the restored
/// terminal can have it too, and needs its end.
fn reconciled(sql: &Connection, batch: &Batch) -> Result<(), Failure> {
    let generation = generation(sql, batch.owner.as_str())?;
    if batch.generation == generation {
        return Ok(());
    }
    let cause = format!(
        "the batch is of generation {}, and the terminal is reconciled with {generation}",
        batch.generation
    );
    let remedy = if batch.generation > generation {
        "have the provider's operator compare the books and say `purser-provider terminal reconcile`"
    } else {
        "the terminal's state folder is an older copy: stop purserd and say `purserd new-generation --yes --later-than` the \
         generation that it is reconciled with"
    };
    Err(Fault::conflict("NotReconciled", cause, remedy).transient().into())
}

pub(crate) fn generation(sql: &Connection, terminal: &str) -> Result<u32, Failure> {
    let query = "SELECT generation FROM terminal WHERE name = ?1";
    Ok(sql
        .prepare_cached(query)?
        .query_row([terminal], |row| row.get(0))?)
}

/// How far a batch has come.
pub(crate) async fn show(shared: &Arc<Shared>, leg: &Arc<Leg>, id: BatchId) -> Result<Reply, Failure> {
    read_batch(shared, leg, id, move |_, stored| Ok(shown(&stored.record, id))).await
}

/// Takes a page: its items are judged and stored with their signed verdicts. A repeat gets the verdicts that are there.
pub(crate) async fn page(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: BatchId,
    number: u32,
    paged: Paged,
) -> Result<Reply, Failure> {
    with_batch(shared, leg, id, move |shared, sql, peer, stored| {
        peer.not_revoked()?;
        let (items, content) = decode(&paged)?;
        let mut seal = stored.seal.clone();
        let known = batches::page(&sql, stored.row, number)?;
        // A page that came before is not counted again, and need not fit behind the ones after it.
        if known.is_none() {
            for (item, _) in &items {
                seal.add(item).map_err(not_sealable)?;
            }
        }
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let page = stored
            .record
            .page(number, known.map(|it| it.content), content, count, seal.items());
        let (page, record) = match (page.map_err(fault)?, known) {
            (Page::Repeat, Some(page)) => (page, None),
            (Page::Repeat, None) => return Err(Failure::Damaged("a batch's pages")),
            (Page::Next { first_place, record }, _) => (
                StoredPage {
                    content,
                    first_place,
                    count,
                },
                Some(record),
            ),
        };
        if let Some(record) = record {
            if record.phase() == Phase::Received && !seal.is_of(&stored.batch) {
                return Err(fault(Refusal::OtherContent));
            }
            let mut owner = owner(&sql, peer, stored.row)?;
            for (place, (item, document)) in (page.first_place..).zip(items) {
                judge_item(shared, &sql, &mut owner, &stored.batch, place, (&item, document))?;
            }
            batches::add_page(&sql, stored.row, number, &page)?;
            batches::advance(&sql, stored.row, &record, &seal)?;
        }
        let verdicts = batches::items(&sql, stored.row, page.first_place, page.count)?;
        sql.commit()?;
        Ok(verdicts_shown(&verdicts))
    })
    .await
}

/// The verdicts of a page as they are now: after the permit, the final ones.
pub(crate) async fn verdicts(
    shared: &Arc<Shared>,
    leg: &Arc<Leg>,
    id: BatchId,
    number: u32,
) -> Result<Reply, Failure> {
    read_batch(shared, leg, id, move |sql, stored| {
        let page = batches::page(sql, stored.row, number)?;
        let page = page.ok_or_else(|| fault(Refusal::PageSkipped(number)))?;
        let verdicts = batches::items(sql, stored.row, page.first_place, page.count)?;
        Ok(verdicts_shown(&verdicts))
    })
    .await
}

fn verdicts_shown(items: &[StoredItem]) -> Reply {
    let verdicts = items.iter().map(|item| {
        json!({ "verdict": hex::encode(item.verdict.encode()), "signature": hex::encode(&item.signature) })
    });
    Reply::ok(json!({ "verdicts": verdicts.collect::<Vec<Value>>() }))
}

type Items = Vec<(Item, Vec<u8>)>;

/// The items of a page with their bytes, and the digest over the page.
fn decode(paged: &Paged) -> Result<(Items, Digest), Failure> {
    let mut content = Sha256::new();
    let mut items = Vec::with_capacity(paged.items.len().min(1_000));
    for (index, digits) in paged.items.iter().enumerate() {
        let wrong = |cause: String| {
            let remedy = "send each item's canonical bytes in hex";
            Fault::invalid("BadItem", format!("item {index} of the page: {cause}"), remedy)
        };
        let document = hex::decode(digits).map_err(|error| wrong(error.to_string()))?;
        let item = Item::decode(&document).map_err(|error| wrong(error.to_string()))?;
        content.update(item.digest().0);
        items.push((item, document));
    }
    Ok((items, Digest(content.finalize().into())))
}

fn owner(sql: &Connection, peer: &Peer, row: i64) -> Result<Owner, Failure> {
    Ok(Owner {
        terminal: peer.name.as_str().to_owned(),
        generation: generation(sql, peer.name.as_str())?,
        row,
        is_suspended: false,
    })
}

/// Judges the item at one place, signs the verdict and stores both.
fn judge_item(
    shared: &Shared,
    sql: &Connection,
    owner: &mut Owner,
    batch: &Batch,
    place: u32,
    (item, document): (&Item, Vec<u8>),
) -> Result<(), Failure> {
    let key = key_bytes(item.key());
    let (decision, evidence) = match item {
        Item::Claim(claim) => {
            if owner.is_suspended {
                (Decision::Hold(Reason::TerminalSuspended), facts::digest(claim))
            } else {
                let facts = facts::of(shared, sql, owner, claim)?;
                let decision = judge::claim(claim, &facts);
                if decision == Decision::Hold(Reason::Forged) {
                    owner.is_suspended = forgeries::count(sql, &owner.terminal, &key)?;
                }
                // A debit that was forged before counts for nothing: what the terminal sees afterwards would tell it whether it has
                // guessed the TAC (money rule T3).
                let is_guess = facts.before == Before::Forged;
                let is_own = facts.number_owner == NumberOwner::BatchOwner;
                if facts.evidence == Evidence::Valid && is_own && !is_guess {
                    proven(sql, owner, claim.key.terminal_sn)?;
                    queries::watch(shared, sql, &owner.terminal, claim)?;
                }
                (decision, facts.evidence_digest)
            }
        }
        Item::LateRefund(refund) => {
            let charge = batches::charge(sql, &key)?;
            let ours = match charge {
                Some(charge) if is_of_merchant(sql, owner, &key)? => Some(charge),
                Some(_) | None => None,
            };
            (judge::refund(refund, ours.as_ref()), Digest([0; 32]))
        }
    };
    let verdict = Verdict {
        batch: batch.digest(),
        place,
        item: item.digest(),
        revision: 0,
        decision,
    };
    let signature = shared.authority.sign(&verdict.encode())?;
    let stored = StoredItem {
        document,
        evidence,
        verdict,
        signature,
    };
    batches::add_item(sql, owner.row, key, &stored)
}

/// A card has proven that the terminal has come so far.
fn proven(sql: &Connection, owner: &Owner, terminal_sn: u32) -> Result<(), Failure> {
    let query = "UPDATE terminal SET highest_sn = ?2 WHERE name = ?1 AND coalesce(highest_sn, -1) < ?2";
    sql.prepare_cached(query)?
        .execute((&owner.terminal, terminal_sn))?;
    Ok(())
}

/// True when the debit was charged in a batch of the same merchant.
pub(crate) fn is_of_merchant(sql: &Connection, owner: &Owner, key: &[u8; 20]) -> Result<bool, Failure> {
    let query = "SELECT 1 FROM charge JOIN batch ON batch.digest = charge.batch JOIN terminal ON terminal.name = batch.terminal
                 WHERE charge.key = ?1 AND terminal.merchant = (SELECT merchant FROM terminal WHERE name = ?2)";
    crate::store::exists(sql, query, (key, &owner.terminal))
}
