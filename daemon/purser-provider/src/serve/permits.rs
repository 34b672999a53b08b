//! The permit (S34): every place is charged, the books move, and the permit is stored in one commit (money rules C1, C2).
//!
//! A page of the batch at a time is in memory, however large the batch is.

use std::sync::Arc;

use purser_ledger::{Amount, Currency};
use purser_provider_link::{BatchId, Decision, Item, PermitId, Sum, Verdict, VerdictsDigest};
use purser_provider_rules::batch::{PAGE_ITEMS_MAX, Phase, Refusal};
use purser_provider_rules::books::{self, Account, Books};
use purser_provider_rules::judge::{self, Charging};
use purser_provider_rules::permit::Phase as Standing;
use rusqlite::{Connection, OptionalExtension};
use serde_json::json;

use super::Shared;
use super::batches::{fault, with_batch};
use super::http::Reply;
use super::leg::Leg;
use crate::authority::{now_unix_seconds, random};
use crate::fault::{Failure, Fault};
use crate::store::batches::{self, StoredBatch, StoredItem, key_bytes};
use crate::store::permits::{self, Draft};
use crate::store::{amount, books as stored_books, signed};

/// Gives the batch's permit: a new one, or the newest generation of the one that it has.
pub(crate) async fn permit(shared: &Arc<Shared>, leg: &Arc<Leg>, id: BatchId) -> Result<Reply, Failure> {
    with_batch(shared, leg, id, move |shared, sql, peer, stored| {
        let new = PermitId(random()?);
        let permit = match stored.record.permit(new) {
            Ok(_) => {
                peer.not_revoked()?;
                new
            }
            Err(Refusal::Permitted(permit)) => permit,
            Err(refusal) => return Err(fault(refusal)),
        };
        if !matches!(stored.record.phase(), Phase::Permitted(_)) {
            let settled = charge_all(shared, &sql, &stored)?;
            let draft = Draft {
                id: permit,
                generation: 1,
                batch: (stored.row, stored.batch.digest()),
                verdicts: settled.verdicts.digest(),
                sum: settled.sum,
                presenter: stored.batch.owner.clone(),
            };
            permits::issue(&shared.authority, &sql, draft, now_unix_seconds())?;
            let change = "UPDATE batch SET phase = 'permitted', permit = ?2 WHERE number = ?1";
            sql.execute(change, (stored.row, permit.0))?;
        }
        let newest = permits::newest(&sql, permit)?.ok_or(Failure::Damaged("a batch's permit"))?;
        if newest.permit.presenter != peer.name {
            let cause = format!(
                "the permit was issued again, to terminal {}",
                newest.permit.presenter
            );
            let remedy = "settle the batch there; it is paid once";
            return Err(Fault::forbidden("OtherPresenter", cause, remedy).into());
        }
        // Whoever took it now would hold a permit that no bank pays, and would never ask for the next generation.
        if matches!(newest.record.phase(), Standing::Revoking | Standing::Revoked) {
            let cause = "the permit is being revoked, and no other generation of it is issued yet";
            let remedy = "ask again; the provider's operator issues it again on the bank's word";
            return Err(Fault::conflict("PermitRevoked", cause, remedy).transient().into());
        }
        sql.commit()?;
        Ok(Reply::ok(json!({
            "permit": hex::encode(newest.document), "signature": hex::encode(newest.signature),
        })))
    })
    .await
}

/// What charging a whole batch came to.
struct Settled {
    sum: Sum,
    verdicts: VerdictsDigest,
}

/// What is carried from place to place.
struct Charged {
    sum: Sum,
    verdicts: VerdictsDigest,
    books: Books,
    refunded: Amount,
}

fn charge_all(shared: &Shared, sql: &Connection, stored: &StoredBatch) -> Result<Settled, Failure> {
    let currency = stored.batch.claimed.currency();
    let before = stored_books::books(sql, currency)?;
    let mut charged = Charged {
        sum: Sum::begin(debt(sql, stored, currency)?),
        verdicts: VerdictsDigest::begin(stored.batch.digest()),
        books: before.clone(),
        refunded: Amount::zero(currency),
    };
    let mut place = 0;
    while place < stored.batch.count {
        let items = batches::items(sql, stored.row, place, PAGE_ITEMS_MAX)?;
        if items.is_empty() {
            return Err(Failure::Damaged("a batch's items"));
        }
        for item in items {
            if item.verdict.place != place {
                return Err(Failure::Damaged("a batch's items"));
            }
            charged = charge_one(shared, sql, stored, charged, &item)?;
            place += 1;
        }
    }
    let after = charged
        .books
        .after(&books::permitted(&charged.sum, charged.refunded))
        .map_err(|_| Failure::Damaged("the books"))?;
    stored_books::save(sql, &before, &after)?;
    set_debt(sql, stored, charged.sum.debt_after)?;
    Ok(Settled {
        sum: charged.sum,
        verdicts: charged.verdicts,
    })
}

fn charge_one(
    shared: &Shared,
    sql: &Connection,
    stored: &StoredBatch,
    mut charged: Charged,
    at: &StoredItem,
) -> Result<Charged, Failure> {
    let item = Item::decode(&at.document).map_err(|_| Failure::Damaged("an item"))?;
    let key = key_bytes(item.key());
    let now = batches::charge(sql, &key)?;
    let mut verdict = at.verdict;
    let place = (stored.batch.digest(), verdict.place);
    match judge::charge(&item, verdict.decision, at.evidence, place, now.as_ref()) {
        Charging::Store(charge) => {
            batches::set_charge(sql, &key, &charge)?;
            if let Item::Claim(claim) = &item {
                let serial = claim.key.card.serial();
                let (shadow, transfers) =
                    stored_books::shadow(sql, serial)?.claim(claim.amount, Account::Permits);
                stored_books::set_shadow(sql, serial, shadow)?;
                charged.books = charged
                    .books
                    .after(&transfers)
                    .map_err(|_| Failure::Damaged("the books"))?;
                let refunded = charged.refunded.checked_add(claim.refund_owed);
                charged.refunded = refunded.map_err(|_| Failure::Damaged("the sum of refunds"))?;
            }
        }
        Charging::Nothing => {}
        Charging::Again(decision) => verdict = revise(shared, sql, stored.row, verdict, decision)?,
    }
    let sum = charged.sum.with(verdict.decision);
    charged.sum = sum.map_err(|_| Failure::Damaged("the sum of verdicts"))?;
    charged.verdicts = charged.verdicts.with(&verdict);
    Ok(charged)
}

/// Another batch has taken it since: the next revision says so.
fn revise(
    shared: &Shared,
    sql: &Connection,
    row: i64,
    verdict: Verdict,
    decision: Decision,
) -> Result<Verdict, Failure> {
    let verdict = Verdict {
        revision: verdict.revision.saturating_add(1),
        decision,
        ..verdict
    };
    batches::revise(sql, row, &verdict, &shared.authority.sign(&verdict.encode())?)?;
    Ok(verdict)
}

fn debt(sql: &Connection, stored: &StoredBatch, currency: Currency) -> Result<Amount, Failure> {
    let query = "SELECT minor FROM merchant_debt JOIN terminal ON terminal.merchant = merchant_debt.merchant
                 WHERE terminal.name = ?1 AND currency = ?2";
    let minor = sql
        .query_row(query, (stored.batch.owner.as_str(), currency.code()), |row| {
            row.get(0)
        })
        .optional()?;
    amount(minor.unwrap_or(0), currency.code())
}

fn set_debt(sql: &Connection, stored: &StoredBatch, debt: Amount) -> Result<(), Failure> {
    sql.execute(
        "INSERT INTO merchant_debt (merchant, currency, minor) SELECT merchant, ?2, ?3 FROM terminal WHERE name = ?1
         ON CONFLICT (merchant, currency) DO UPDATE SET minor = excluded.minor",
        (stored.batch.owner.as_str(), debt.currency().code(), signed(debt.minor())),
    )?;
    Ok(())
}
