//! Batches: every item, page, verdict, charge and permit is reckoned again.

use super::raw::{self, Decision, Item, Verdict, digest};
use super::{Audit, hot_lists, queries};
use crate::fault::Failure;

/// The code of the reason "forged" in a verdict.
const FORGED: u8 = 1;
/// The code of the reason "hot-listed".
const HOT_LISTED: u8 = 13;

/// A batch as it is stored.
pub(super) struct Batch {
    pub(super) row: i64,
    pub(super) name: String,
    pub(super) terminal: String,
    pub(super) digest: Vec<u8>,
    document: Vec<u8>,
    pub(super) phase: String,
    received: u32,
    /// Pages, items' digest, claimed, refunds: what `serve` has counted up.
    counted: (u32, Vec<u8>, i64, i64),
    pub(super) permit: Option<Vec<u8>>,
    void: Option<(Vec<u8>, Vec<u8>)>,
}

/// What the items of a batch come to.
pub(super) struct Walked {
    count: u32,
    items: [u8; 32],
    pub(super) verdicts: [u8; 32],
    claimed: u64,
    refunds: u64,
    pub(super) pay: u64,
    pub(super) owe: u64,
    /// What the paid claims owe to buyers.
    pub(super) refunded: u64,
    /// How many places have to be charged.
    charges: u64,
}

pub(super) fn check(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query =
        "SELECT number, lower(hex(id)), terminal, digest, document, phase, received, permit, void_document,
                        void_signature, pages, items, claimed, refunds FROM batch ORDER BY number";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    let mut charges = 0;
    while let Some(row) = rows.next()? {
        let void: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(8)?, row.get(9)?);
        let batch = Batch {
            row: row.get(0)?,
            name: row.get(1)?,
            terminal: row.get(2)?,
            digest: row.get(3)?,
            document: row.get(4)?,
            phase: row.get(5)?,
            received: row.get(6)?,
            permit: row.get(7)?,
            void: void.0.zip(void.1),
            counted: (row.get(10)?, row.get(11)?, row.get(12)?, row.get(13)?),
        };
        charges += one(audit, &batch)?;
    }
    let stored: u64 = audit
        .sql
        .query_row("SELECT count(*) FROM charge", (), |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)?;
    audit.check(stored == charges, "Charges", || {
        format!("{stored} debits are charged, and permits cover {charges}")
    });
    forged(audit)?;
    super::permits::debts(audit)
}

/// A debit is kept as forged only where a claim of it was, by the terminal and under the key version that are named; or a query,
/// which is looked at with the queries.
fn forged(audit: &mut Audit<'_>) -> Result<(), Failure> {
    // The two bytes of a verdict that hold for the reason "forged", see raw.rs.
    let query = "SELECT lower(hex(key)) FROM forged WHERE NOT EXISTS
                   (SELECT 1 FROM item JOIN batch ON batch.number = item.batch
                    WHERE item.key = forged.key AND substr(verdict, 75, 2) = x'0301' AND batch.terminal = forged.terminal)
                   AND NOT EXISTS (SELECT 1 FROM query WHERE query.key = forged.key AND query.terminal = forged.terminal)
                 OR key_version IS NOT (SELECT key_version FROM card WHERE serial = substr(forged.key, 1, 10))";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        audit.find(
            "Forged",
            format!("debit {key} is kept as forged, and no claim of it was"),
        );
    }
    Ok(())
}

fn one(audit: &mut Audit<'_>, batch: &Batch) -> Result<u64, Failure> {
    let name = &batch.name;
    let Some(told) = raw::Batch::read(&batch.document) else {
        audit.find("BatchDocument", format!("batch {name} cannot be read"));
        return Ok(0);
    };
    let is_itself = digest(&[&batch.document])[..] == batch.digest[..]
        && hex::encode(told.id) == *name
        && told.owner == batch.terminal
        && told.provider == audit.provider;
    audit.check(is_itself, "BatchDocument", || {
        format!("batch {name} is another one than its document says")
    });
    let walked = walk(audit, batch, &told)?;
    let pages = pages(audit, batch, walked.count)?;
    let counted = (
        pages,
        walked.items.to_vec(),
        signed(walked.claimed),
        signed(walked.refunds),
    );
    audit.check(batch.counted == counted, "BatchCounts", || {
        format!("what is counted up of batch {name} is not what its pages and items come to")
    });
    let is_whole = walked.count == told.count
        && walked.items == told.items
        && (walked.claimed, walked.refunds) == (told.claimed, told.refunds);
    let is_ended = match batch.phase.as_str() {
        "receiving" => walked.count < told.count && batch.permit.is_none() && batch.void.is_none(),
        "received" => is_whole && batch.permit.is_none() && batch.void.is_none(),
        "permitted" => is_whole && batch.permit.is_some() && batch.void.is_none(),
        "voided" => batch.permit.is_none() && is_void_signed(audit, batch, &told),
        _ => false,
    };
    audit.check(is_ended && walked.count == batch.received, "BatchPhase", || {
        format!(
            "batch {name} is {}, and what is stored of it says otherwise",
            batch.phase
        )
    });
    super::permits::check(audit, batch, &told, &walked)?;
    Ok(walked.charges)
}

fn is_void_signed(audit: &Audit<'_>, batch: &Batch, told: &raw::Batch) -> bool {
    batch.void.as_ref().is_some_and(|(document, signature)| {
        let expected = [&b"PBVD\x01"[..], &told.id, &batch.digest].concat();
        document.starts_with(&expected)
            && document.len() == expected.len() + 1
            && audit.is_signed(document, signature)
    })
}

fn walk(audit: &mut Audit<'_>, batch: &Batch, told: &raw::Batch) -> Result<Walked, Failure> {
    let mut walked = Walked {
        count: 0,
        items: digest(&[b"PITM\x01", &told.id]),
        verdicts: digest(&[b"PVRS\x01", &batch.digest]),
        claimed: 0,
        refunds: 0,
        pay: 0,
        owe: 0,
        refunded: 0,
        charges: 0,
    };
    let query =
        "SELECT place, key, document, evidence, verdict, signature FROM item WHERE batch = ?1 ORDER BY place";
    let mut statement = audit.sql.prepare_cached(query)?;
    let mut rows = statement.query([batch.row])?;
    while let Some(row) = rows.next()? {
        let (place, key, document): (u32, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (evidence, verdict, signature): (Vec<u8>, Vec<u8>, Vec<u8>) =
            (row.get(3)?, row.get(4)?, row.get(5)?);
        let at = || format!("place {place} of batch {}", batch.name);
        let item_digest = digest(&[&document]);
        walked.items = digest(&[&walked.items, &item_digest]);
        walked.verdicts = digest(&[&walked.verdicts, &digest(&[&verdict])]);
        let is_next = place == walked.count;
        walked.count += 1;
        let (Some(item), Some(decided)) = (Item::read(&document), Verdict::read(&verdict)) else {
            audit.find("Item", format!("{} cannot be read", at()));
            continue;
        };
        let evidence_digest = if item.is_claim {
            digest(&[&item.evidence])
        } else {
            [0; 32]
        };
        let is_as_stored = is_next && item.key[..] == key[..] && evidence_digest[..] == evidence[..];
        audit.check(is_as_stored, "Item", || {
            format!("{} is stored as something else", at())
        });
        let is_about_it =
            decided.batch[..] == batch.digest[..] && decided.place == place && decided.item == item_digest;
        audit.check(
            is_about_it && audit.is_signed(&verdict, &signature),
            "Verdict",
            || {
                format!(
                    "the verdict on {} is of another item or not signed by this provider",
                    at()
                )
            },
        );
        if item.is_claim {
            walked.claimed = walked.claimed.saturating_add(item.amount);
            walked.refunds = walked.refunds.saturating_add(item.refund_owed);
        } else {
            walked.refunds = walked.refunds.saturating_add(item.amount);
        }
        decision(
            audit,
            batch,
            &item,
            &decided,
            &evidence_digest,
            &item_digest,
            &mut walked,
        )?;
    }
    Ok(walked)
}

/// Whether the decision follows from the evidence, and what it adds up to.
fn decision(
    audit: &mut Audit<'_>,
    batch: &Batch,
    item: &Item,
    decided: &Verdict,
    evidence: &[u8; 32],
    item_digest: &[u8; 32],
    walked: &mut Walked,
) -> Result<(), Failure> {
    let at = || format!("place {} of batch {}", decided.place, batch.name);
    let is_permitted = batch.phase == "permitted";
    match &decided.decision {
        Decision::Pay(currency, minor) => {
            let is_due = item.is_claim
                && *currency == item.currency
                && item.amount.checked_sub(item.refund_owed) == Some(*minor)
                && is_proven(audit, batch, item)?;
            audit.check(is_due, "PaidUnproven", || {
                format!("{} is paid, and its evidence does not say so", at())
            });
            walked.pay = walked.pay.saturating_add(*minor);
            walked.refunded = walked.refunded.saturating_add(item.refund_owed);
            walked.charges += u64::from(is_permitted);
            if is_permitted {
                charged(audit, batch, item, decided, evidence, item_digest)?;
            }
        }
        Decision::Owe(currency, minor) => {
            let is_late = !item.is_claim && *currency == item.currency && item.amount == *minor;
            audit.check(is_late, "OwedUnproven", || {
                format!("{} is no refund of so much", at())
            });
            walked.owe = walked.owe.saturating_add(*minor);
            if is_permitted {
                refunded(audit, item, *minor, at)?;
            }
        }
        Decision::Not(FORGED) => {
            let is_good = item.is_claim && is_ours(audit, batch, item)? && queries::has_tac(audit, item)?;
            audit.check(!is_good, "HeldThoughGood", || {
                format!("{} is held as forged, and its TAC verifies", at())
            });
            let query = "SELECT 1 FROM forged WHERE key = ?1";
            let is_kept = audit.sql.prepare_cached(query)?.exists([item.key])?;
            audit.check(is_kept, "Forged", || {
                format!("{} is forged, and its debit is not kept as that", at())
            });
        }
        Decision::Not(HOT_LISTED) => {
            let is_good = item.is_claim && hot_lists::names(audit.sql, item)?;
            audit.check(is_good, "HotListed", || {
                format!(
                    "{} is held as hot-listed, and no list that had come named its card (C3)",
                    at()
                )
            });
        }
        Decision::Not(_) => {}
    }
    Ok(())
}

/// The card that is named has made the TAC for this very debit, at the terminal whose batch it is; or the provider has answered a
/// query of it, and there was no TAC, or no key to check it with: one that is checked is held where it is wrong.
fn is_proven(audit: &Audit<'_>, batch: &Batch, item: &Item) -> Result<bool, Failure> {
    Ok(is_ours(audit, batch, item)?
        && (queries::has_answer(item) && queries::has_tac(audit, item)?
            || queries::is_answered(audit, item)?))
}

/// The claim is of the terminal whose batch it is in, and of a card of the provider, in its currency.
fn is_ours(audit: &Audit<'_>, batch: &Batch, item: &Item) -> Result<bool, Failure> {
    let query =
        "SELECT 1 FROM terminal, card WHERE psam_number = ?1 AND name = ?2 AND serial = ?3 AND currency = ?4";
    Ok(audit.sql.prepare_cached(query)?.exists((
        &item.key[10..16],
        &batch.terminal,
        &item.key[..10],
        &item.currency,
    ))?)
}

/// The debit of a paid claim is charged with it.
fn charged(
    audit: &mut Audit<'_>,
    batch: &Batch,
    item: &Item,
    decided: &Verdict,
    evidence: &[u8; 32],
    item_digest: &[u8; 32],
) -> Result<(), Failure> {
    let query =
        "SELECT 1 FROM charge WHERE key = ?1 AND claim = ?2 AND evidence = ?3 AND batch = ?4 AND place = ?5
                 AND currency = ?6 AND minor = ?7 AND (?8 = 0 OR refunded = ?8)";
    let (amount, refund) = (signed(item.amount), signed(item.refund_owed));
    let found = audit.sql.prepare_cached(query)?.exists((
        item.key,
        item_digest,
        evidence,
        &batch.digest,
        decided.place,
        &item.currency,
        amount,
        refund,
    ))?;
    audit.check(found, "Charge", || {
        format!(
            "place {} of batch {} is paid, and its debit is not charged with it",
            decided.place, batch.name
        )
    });
    Ok(())
}

/// A late refund is recorded at the debit that it is of.
fn refunded(audit: &mut Audit<'_>, item: &Item, minor: u64, at: impl Fn() -> String) -> Result<(), Failure> {
    let query = "SELECT 1 FROM charge WHERE key = ?1 AND claim = ?2 AND currency = ?3 AND refunded = ?4";
    let parameters = (item.key, item.of, &item.currency, signed(minor));
    let found = audit.sql.prepare_cached(query)?.exists(parameters)?;
    audit.check(found, "Refund", || {
        format!("{} is owed, and its debit is not refunded by that", at())
    });
    Ok(())
}

pub(super) fn signed(minor: u64) -> i64 {
    i64::try_from(minor).unwrap_or(i64::MAX)
}

/// How many pages there are; each holds what came.
fn pages(audit: &mut Audit<'_>, batch: &Batch, count: u32) -> Result<u32, Failure> {
    let mut statement = audit.sql.prepare_cached(
        "SELECT page, content, first_place, count FROM page WHERE batch = ?1 ORDER BY page",
    )?;
    let mut rows = statement.query([batch.row])?;
    let (mut next_page, mut next_place) = (0_u32, 0_u32);
    while let Some(row) = rows.next()? {
        let (page, content): (u32, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let (first, places): (u32, u32) = (row.get(2)?, row.get(3)?);
        let mut items = audit.sql.prepare_cached(
            "SELECT document FROM item WHERE batch = ?1 AND place >= ?2 ORDER BY place LIMIT ?3",
        )?;
        let digests = items.query_map((batch.row, first, places), |row| {
            Ok(digest(&[&row.get::<_, Vec<u8>>(0)?]))
        })?;
        let digests: Vec<[u8; 32]> = digests.collect::<Result<_, _>>()?;
        let is_next =
            page == next_page && first == next_place && digest(&[&digests.concat()])[..] == content[..];
        audit.check(is_next, "Page", || {
            format!("page {page} of batch {} is not what came", batch.name)
        });
        next_page = next_page.saturating_add(1);
        next_place = first.saturating_add(places);
    }
    audit.check(next_place == count, "Page", || {
        format!("the pages of batch {} are not its items", batch.name)
    });
    Ok(next_page)
}
