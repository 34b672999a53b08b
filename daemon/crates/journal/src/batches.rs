//! The rows of settlement: what can be settled, and the batches that were sealed.

use std::collections::BTreeSet;

use purser_ledger::{
    Account, AnyOperation, BatchStanding, Batches, Claims, Currency, Entry, Operation, Settlement,
};
use rusqlite::Connection;

use crate::chain::ChainKey;
use crate::rows::{self, RawEntry, signed};
use crate::{ReadError, Totals};

/// How many claims are looked at for the oldest one with a trusted time. A journal whose clock was wrong for longer has no age
/// limit until a claim of this run has one: sales go on with a wrong clock (money rule T2), and a start stays quick.
const OLDEST_LOOKED_AT: i64 = 10_000;

/// The most entries of one page: bounds the memory of a batch's reader to a few megabytes.
pub(crate) const SETTLEABLE_MAX: u32 = 1_000;

/// The most settleable entries of one batch; a provider takes no more items at once.
pub(crate) const BATCH_ENTRIES_MAX: u32 = 1_000_000;

/// What kind of item an entry makes, if it makes one.
pub(crate) fn kind(entry: &Entry) -> Option<(Currency, &'static str)> {
    match entry {
        Entry::SalePaid(paid) => Some((paid.amount.currency(), "claim")),
        Entry::SalePresentedAgain(again) => Some((again.amount.currency(), "again")),
        Entry::SaleConcluded(concluded) => concluded.refund_owed.map(|owed| (owed.currency(), "refund")),
        Entry::SaleIntended(_)
        | Entry::SaleInDoubt(_)
        | Entry::SaleQueried(_)
        | Entry::SaleVoided(_)
        | Entry::SaleClosed(_)
        | Entry::BatchSealed(_)
        | Entry::BatchExchanged(_)
        | Entry::BatchVoided(_)
        | Entry::LoadBegun(_)
        | Entry::LoadAttempted(_)
        | Entry::LoadReleased(_)
        | Entry::LoadProven(_)
        | Entry::LoadConfirmed(_)
        | Entry::LoadVoided(_) => None,
    }
}

/// Writes the row of an entry that makes an item.
pub(crate) fn insert_settleable(conn: &Connection, number: u64, entry: &Entry) -> Result<(), ReadError> {
    if let Some((currency, kind)) = kind(entry) {
        conn.prepare_cached("INSERT INTO settleable (currency, entry, kind) VALUES (?1, ?2, ?3)")?
            .execute((currency.code(), signed(number), kind))?;
    }
    Ok(())
}

/// Writes the row of a batch that is sealed.
pub(crate) fn insert(conn: &Connection, settlement: &Settlement) -> Result<(), ReadError> {
    let sealed = &settlement.sealed;
    conn.prepare_cached(
        "INSERT INTO batches (sealed, operation, currency, after, upto, standing) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        signed(settlement.head.number),
        settlement.id.bytes(),
        sealed.currency().code(),
        signed(sealed.after),
        signed(sealed.upto),
        standing_name(&settlement.standing),
    ))?;
    Ok(())
}

/// The flip of money rule B2: one row.
pub(crate) fn set_standing(conn: &Connection, settlement: &Settlement) -> Result<(), ReadError> {
    conn.prepare_cached(
        "UPDATE batches SET standing = ?2 WHERE sealed = (SELECT opening FROM operations WHERE id = ?1)",
    )?
    .execute((settlement.id.bytes(), standing_name(&settlement.standing)))?;
    Ok(())
}

/// The name of a standing in the table of batches.
pub(crate) fn standing_name(standing: &BatchStanding) -> &'static str {
    match standing {
        BatchStanding::Sealed => "sealed",
        BatchStanding::Exchanged(_) => "exchanged",
        BatchStanding::Voided(_) => "voided",
    }
}

/// Where settlement stands. A batch under way whose entry is damaged keeps its currency from being settled, and nothing else:
/// nobody knows whether the provider has it.
pub(crate) fn load(conn: &Connection, key: &ChainKey) -> Result<Batches, ReadError> {
    let damaged = || ReadError::Row { table: "batches" };
    let parsed = |code: String| code.parse::<Currency>().map_err(|_| damaged());
    let mut statement = conn.prepare_cached(
        "SELECT currency, max(upto) FROM batches WHERE standing = 'exchanged' GROUP BY currency",
    )?;
    let mut found = statement.query(())?;
    let mut ends = Vec::new();
    while let Some(row) = found.next()? {
        let upto = u64::try_from(row.get::<_, i64>(1)?).map_err(|_| damaged())?;
        ends.push((parsed(row.get(0)?)?, upto));
    }
    let mut statement =
        conn.prepare_cached("SELECT operation, currency FROM batches WHERE standing = 'sealed'")?;
    let mut found = statement.query(())?;
    let mut under_way = Vec::new();
    let mut blocked = BTreeSet::new();
    while let Some(row) = found.next()? {
        let currency = parsed(row.get(1)?)?;
        match rows::operation(conn, &row.get::<_, Vec<u8>>(0)?, Some(key)) {
            Ok(Some(AnyOperation::Settlement(settlement)))
                if settlement.is_under_way() && settlement.currency() == currency =>
            {
                under_way.push(settlement);
            }
            Err(error) if !error.is_damage() => return Err(error),
            Ok(_) | Err(_) => {
                blocked.insert(currency);
            }
        }
    }
    Ok(Batches::of(ends, under_way, blocked))
}

/// The claims of one currency that wait for settlement: those in no batch, and those in the batch under way.
pub(crate) fn unsettled(
    conn: &Connection,
    totals: &Totals,
    batches: &Batches,
    currency: Currency,
) -> Result<(Claims, Claims), ReadError> {
    let begins = batches.next_after(currency);
    let ends = batches.under_way(currency).map_or(begins, |it| it.sealed.upto);
    let of = |account, after, upto| {
        let oldest = match oldest(conn, currency, after, upto) {
            // Damage must not keep the terminal from starting: the full check finds it, tells it, and stops sales.
            Err(error) if error.is_damage() => None,
            oldest => oldest?,
        };
        Ok::<_, ReadError>(Claims {
            count: totals.count(account, currency),
            minor: totals.books().balance(account, currency).minor(),
            oldest_unix_seconds: oldest,
        })
    };
    Ok((
        of(Account::Claims, ends, u64::MAX)?,
        of(Account::InBatch, begins, ends)?,
    ))
}

/// When the oldest claim of a range that has a trusted time was recorded (money rule T2), as far as the first
/// [`OLDEST_LOOKED_AT`] tell.
fn oldest(conn: &Connection, currency: Currency, after: u64, upto: u64) -> Result<Option<i64>, ReadError> {
    let mut statement = conn.prepare_cached(
        "SELECT number, digest, operation, content FROM settleable JOIN entries ON number = entry
         WHERE currency = ?1 AND entry > ?2 AND entry <= ?3 AND kind <> 'refund' ORDER BY entry LIMIT ?4",
    )?;
    let mut found = statement.query((currency.code(), signed(after), signed(upto), OLDEST_LOOKED_AT))?;
    while let Some(row) = found.next()? {
        let content = match RawEntry::read(row)?.decode() {
            Ok(recorded) => recorded.content,
            // An old entry that is damaged must not keep the terminal from starting; the next one is a little younger.
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error),
        };
        if content.at.trusted {
            return Ok(Some(content.at.unix_seconds));
        }
    }
    Ok(None)
}

/// Where a batch that has no more than so many entries ends, and whether there are more.
pub(crate) fn upto(
    conn: &Connection,
    currency: Currency,
    after: u64,
    entries_max: u32,
) -> Result<Option<u64>, ReadError> {
    let mut statement = conn.prepare_cached(
        "SELECT entry FROM settleable WHERE currency = ?1 AND entry > ?2 ORDER BY entry LIMIT 2 OFFSET ?3",
    )?;
    let offset = entries_max.saturating_sub(1);
    let found = statement.query_map((currency.code(), signed(after), offset), |row| {
        row.get::<_, i64>(0)
    })?;
    let found: Vec<i64> = found.collect::<Result<_, _>>()?;
    let damaged = |_| ReadError::Row { table: "settleable" };
    match found.as_slice() {
        [last, _] => Ok(Some(u64::try_from(*last).map_err(damaged)?)),
        _ => Ok(None),
    }
}

/// How many claims stand in `(after, upto]`.
pub(crate) fn claims_behind(
    conn: &Connection,
    currency: Currency,
    after: u64,
    upto: u64,
) -> Result<u64, ReadError> {
    let mut statement = conn.prepare_cached(
        "SELECT count(*) FROM settleable WHERE currency = ?1 AND entry > ?2 AND entry <= ?3 AND kind <> 'refund'",
    )?;
    let counted: i64 =
        statement.query_row((currency.code(), signed(after), signed(upto)), |row| row.get(0))?;
    u64::try_from(counted).map_err(|_| ReadError::Row { table: "settleable" })
}

/// The settleable entries in `(after, upto]`, each with its sale as it stood at `upto`. Ends before one that is damaged; fails where
/// that is the first.
pub(crate) fn page(
    conn: &Connection,
    key: &ChainKey,
    currency: Currency,
    (after, upto): (u64, u64),
    limit: u32,
) -> Result<Vec<(u64, Operation)>, ReadError> {
    let mut statement = conn.prepare_cached(
        "SELECT entry, (SELECT operation FROM entries WHERE number = entry) FROM settleable
         WHERE currency = ?1 AND entry > ?2 AND entry <= ?3 ORDER BY entry LIMIT ?4",
    )?;
    let limit = limit.min(SETTLEABLE_MAX);
    let mut found = statement.query((currency.code(), signed(after), signed(upto), limit))?;
    let damaged = || ReadError::Row { table: "settleable" };
    let mut page = Vec::new();
    while let Some(row) = found.next()? {
        let entry = u64::try_from(row.get::<_, i64>(0)?).map_err(|_| damaged())?;
        let id: Option<Vec<u8>> = row.get(1)?;
        let sale = id.ok_or_else(damaged).and_then(|id| {
            let operation = rows::operation_upto(conn, &id, upto, Some(key))?;
            operation.and_then(AnyOperation::into_sale).ok_or_else(damaged)
        });
        match sale {
            Ok(sale) => page.push((entry, sale)),
            Err(error) if error.is_damage() && !page.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}
