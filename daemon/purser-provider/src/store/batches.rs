//! Batches, pages, items, charges. Nothing here holds more than one page of a batch in memory.

use purser_ledger::DebitKey;
use purser_provider_link::{Batch, BatchId, BatchVoid, Digest, PermitId, Seal, Verdict, VoidReason};
use purser_provider_rules::batch::{BatchRecord, Phase};
use purser_provider_rules::judge::Charge;
use rusqlite::{Connection, OptionalExtension};

use super::{amount, signed};
use crate::fault::Failure;

/// A batch as it is stored.
pub(crate) struct StoredBatch {
    /// The row's number.
    pub(crate) row: i64,
    pub(crate) batch: Batch,
    pub(crate) record: BatchRecord,
    /// Its items as they have been counted up.
    pub(crate) seal: Seal,
}

/// The bytes under which a debit is stored: card's serial 10 · PSAM terminal number 6 · terminal SN 4.
pub(crate) fn key_bytes(key: &DebitKey) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..10].copy_from_slice(key.card.serial());
    bytes[10..16].copy_from_slice(&key.terminal_number);
    bytes[16..].copy_from_slice(&key.terminal_sn.to_be_bytes());
    bytes
}

/// The name of a phase in the data base and in answers.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Receiving => "receiving",
        Phase::Received => "received",
        Phase::Permitted(_) => "permitted",
        Phase::Voided(_) => "voided",
    }
}

/// The batch with this number.
pub(crate) fn find(sql: &Connection, id: BatchId) -> Result<Option<StoredBatch>, Failure> {
    let query = "SELECT number, document, phase, received, pages, items, claimed, refunds, permit FROM batch WHERE id = ?1";
    let found = sql
        .prepare_cached(query)?
        .query_row([id.0], |row| {
            let (number, document, phase): (i64, Vec<u8>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (received, pages, items): (u32, u32, [u8; 32]) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let (claimed, refunds, permit): (i64, i64, Option<[u8; 16]>) =
                (row.get(6)?, row.get(7)?, row.get(8)?);
            Ok((
                number, document, phase, received, pages, items, claimed, refunds, permit,
            ))
        })
        .optional()?;
    let Some((row, document, phase, received, pages, items, claimed, refunds, permit)) = found else {
        return Ok(None);
    };
    let batch = Batch::decode(&document).map_err(|_| Failure::Damaged("a batch"))?;
    let phase = match (phase.as_str(), permit) {
        ("receiving", None) => Phase::Receiving,
        ("received", None) => Phase::Received,
        ("permitted", Some(permit)) => Phase::Permitted(PermitId(permit)),
        // Why stands in the signed void: nothing else depends on it.
        ("voided", None) => Phase::Voided(VoidReason::AskedByTerminal),
        _ => return Err(Failure::Damaged("the phase of a batch")),
    };
    let code = batch.claimed.currency();
    let (claimed, refunds) = (amount(claimed, code.code())?, amount(refunds, code.code())?);
    Ok(Some(StoredBatch {
        row,
        record: BatchRecord::restore(&batch, received, pages, phase),
        seal: Seal::resume(batch.id, received, claimed, refunds, Digest(items)),
        batch,
    }))
}

/// Stores a batch that is announced.
pub(crate) fn announce(sql: &Connection, batch: &Batch, now: i64) -> Result<(), Failure> {
    let seal = Seal::begin(batch.id, batch.claimed.currency());
    sql.prepare_cached(
        "INSERT INTO batch (id, terminal, digest, document, phase, items, announced_at)
         VALUES (?1, ?2, ?3, ?4, 'receiving', ?5, ?6)",
    )?
    .execute((
        batch.id.0,
        batch.owner.as_str(),
        batch.digest().0,
        batch.encode(),
        seal.items().0,
        now,
    ))?;
    Ok(())
}

/// Stores how far a batch has been received.
pub(crate) fn advance(sql: &Connection, row: i64, record: &BatchRecord, seal: &Seal) -> Result<(), Failure> {
    sql.prepare_cached(
        "UPDATE batch SET phase = ?2, received = ?3, pages = ?4, items = ?5, claimed = ?6, refunds = ?7 WHERE number = ?1",
    )?
    .execute((
        row,
        phase_name(record.phase()),
        record.received(),
        record.next_page(),
        seal.items().0,
        signed(seal.claimed().minor()),
        signed(seal.refunds().minor()),
    ))?;
    Ok(())
}

/// A page that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredPage {
    pub(crate) content: Digest,
    pub(crate) first_place: u32,
    pub(crate) count: u32,
}

/// The page with this number.
pub(crate) fn page(sql: &Connection, row: i64, number: u32) -> Result<Option<StoredPage>, Failure> {
    let query = "SELECT content, first_place, count FROM page WHERE batch = ?1 AND page = ?2";
    let found = sql.prepare_cached(query)?.query_row((row, number), |row| {
        Ok(StoredPage {
            content: Digest(row.get(0)?),
            first_place: row.get(1)?,
            count: row.get(2)?,
        })
    });
    Ok(found.optional()?)
}

/// Stores a page's place in its batch.
pub(crate) fn add_page(sql: &Connection, row: i64, number: u32, page: &StoredPage) -> Result<(), Failure> {
    sql.prepare_cached(
        "INSERT INTO page (batch, page, content, first_place, count) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((row, number, page.content.0, page.first_place, page.count))?;
    Ok(())
}

/// One place of a batch with its verdict.
pub(crate) struct StoredItem {
    pub(crate) document: Vec<u8>,
    pub(crate) evidence: Digest,
    pub(crate) verdict: Verdict,
    pub(crate) signature: Vec<u8>,
}

/// Stores an item with its first verdict.
pub(crate) fn add_item(sql: &Connection, row: i64, key: [u8; 20], item: &StoredItem) -> Result<(), Failure> {
    sql.prepare_cached(
        "INSERT INTO item (batch, place, key, document, evidence, verdict, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        row,
        item.verdict.place,
        key,
        &item.document,
        item.evidence.0,
        item.verdict.encode(),
        &item.signature,
    ))?;
    Ok(())
}

/// Stores a later verdict on a place.
pub(crate) fn revise(sql: &Connection, row: i64, verdict: &Verdict, signature: &[u8]) -> Result<(), Failure> {
    sql.prepare_cached("UPDATE item SET verdict = ?3, signature = ?4 WHERE batch = ?1 AND place = ?2")?
        .execute((row, verdict.place, verdict.encode(), signature))?;
    Ok(())
}

/// The items from a place on, at most so many.
pub(crate) fn items(sql: &Connection, row: i64, from: u32, count: u32) -> Result<Vec<StoredItem>, Failure> {
    let query = "SELECT document, evidence, verdict, signature FROM item
                 WHERE batch = ?1 AND place >= ?2 ORDER BY place LIMIT ?3";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query((row, from, count))?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let verdict: Vec<u8> = row.get(2)?;
        items.push(StoredItem {
            document: row.get(0)?,
            evidence: Digest(row.get(1)?),
            verdict: Verdict::decode(&verdict).map_err(|_| Failure::Damaged("a verdict"))?,
            signature: row.get(3)?,
        });
    }
    Ok(items)
}

/// Stores the signed void of a batch that has no permit.
pub(crate) fn void(sql: &Connection, row: i64, void: &BatchVoid, signature: &[u8]) -> Result<(), Failure> {
    sql.execute(
        "UPDATE batch SET phase = 'voided', void_document = ?2, void_signature = ?3 WHERE number = ?1",
        (row, void.encode(), signature),
    )?;
    Ok(())
}

/// What a debit was charged with.
pub(crate) fn charge(sql: &Connection, key: &[u8; 20]) -> Result<Option<Charge>, Failure> {
    let query = "SELECT claim, evidence, batch, place, currency, minor, refunded FROM charge WHERE key = ?1";
    let found = sql
        .prepare_cached(query)?
        .query_row([key], |row| {
            let digests = (Digest(row.get(0)?), Digest(row.get(1)?), Digest(row.get(2)?));
            let (place, currency): (u32, String) = (row.get(3)?, row.get(4)?);
            let (minor, refunded): (i64, i64) = (row.get(5)?, row.get(6)?);
            Ok((digests, place, currency, minor, refunded))
        })
        .optional()?;
    let Some(((claim, evidence, batch), place, currency, minor, refunded)) = found else {
        return Ok(None);
    };
    Ok(Some(Charge {
        claim,
        evidence,
        batch,
        place,
        amount: amount(minor, &currency)?,
        refunded: amount(refunded, &currency)?,
    }))
}

/// Stores a charge, or its refund.
pub(crate) fn set_charge(sql: &Connection, key: &[u8; 20], charge: &Charge) -> Result<(), Failure> {
    sql.prepare_cached(
        "INSERT INTO charge (key, claim, evidence, batch, place, currency, minor, refunded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (key) DO UPDATE SET refunded = excluded.refunded",
    )?
    .execute((
        key,
        charge.claim.0,
        charge.evidence.0,
        charge.batch.0,
        charge.place,
        charge.amount.currency().code(),
        signed(charge.amount.minor()),
        signed(charge.refunded.minor()),
    ))?;
    Ok(())
}
