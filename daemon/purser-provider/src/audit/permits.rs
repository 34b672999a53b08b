//! Permits: each generation is signed, of its batch, and comes after the bank has called the one before unusable.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;

use super::Audit;
use super::batches::{Batch, Walked, signed};
use super::raw::{self, Permit};
use crate::fault::Failure;

/// A generation as it is stored.
struct Generation {
    id: Vec<u8>,
    number: u32,
    document: Vec<u8>,
    signature: Vec<u8>,
    phase: String,
}

pub(super) fn check(
    audit: &mut Audit<'_>,
    batch: &Batch,
    told: &raw::Batch,
    walked: &Walked,
) -> Result<(), Failure> {
    let query =
        "SELECT id, generation, document, signature, phase FROM permit WHERE batch = ?1 ORDER BY generation";
    let mut statement = audit.sql.prepare_cached(query)?;
    let rows = statement.query_map([batch.row], |row| {
        Ok(Generation {
            id: row.get(0)?,
            number: row.get(1)?,
            document: row.get(2)?,
            signature: row.get(3)?,
            phase: row.get(4)?,
        })
    })?;
    let generations: Vec<Generation> = rows.collect::<Result<_, _>>()?;
    let mut first: Option<Permit> = None;
    for (stored, place) in generations.iter().zip(1_u32..) {
        let Some(permit) = Permit::read(&stored.document) else {
            audit.find(
                "Permit",
                format!("the permit of batch {} cannot be read", batch.name),
            );
            continue;
        };
        one(audit, batch, told, walked, (stored, place, &permit))?;
        let is_newest = generations.len() == usize::try_from(place).unwrap_or(usize::MAX);
        standing(audit, batch, stored, &permit, is_newest)?;
        if let Some(first) = &first {
            audit.check(first.sums == permit.sums, "PermitSum", || {
                format!(
                    "generation {place} of the permit of batch {} has another sum",
                    batch.name
                )
            });
        } else {
            let expected = audit.expected(&told.currency);
            expected.permits += i128::from(permit.sums[3]);
            expected.refunds_owed += i128::from(walked.refunded) + i128::from(walked.owe);
            first = Some(permit);
        }
    }
    let is_permitted = batch.phase == "permitted";
    audit.check(generations.is_empty() != is_permitted, "Permit", || {
        let count = generations.len();
        format!("batch {} is {}, and has {count} permits", batch.name, batch.phase)
    });
    Ok(())
}

/// Whether a generation is signed, of its batch, and for a terminal of the batch's merchant.
fn one(
    audit: &mut Audit<'_>,
    batch: &Batch,
    told: &raw::Batch,
    walked: &Walked,
    (stored, place, permit): (&Generation, u32, &Permit),
) -> Result<(), Failure> {
    let query = "SELECT bank_terminal, pinned_account FROM terminal WHERE name = ?1
                 AND merchant = (SELECT merchant FROM terminal WHERE name = ?2)";
    let of_merchant: Option<(String, Option<String>)> = audit
        .sql
        .prepare_cached(query)?
        .query_row((&permit.presenter, &batch.terminal), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let is_presenters = of_merchant.is_some_and(|(bank_terminal, account)| {
        permit.bank_terminal == *bank_terminal.as_bytes()
            && account.is_some_and(|it| permit.account == *it.as_bytes())
    });
    let [pay, owe, debt_before, total, debt_after] = permit.sums;
    let is_signed = audit.is_signed(&stored.document, &stored.signature);
    let is_of_it = Some(&permit.id[..]) == batch.permit.as_deref()
        && permit.id[..] == stored.id[..]
        && (permit.generation, stored.number) == (place, place)
        && permit.batch[..] == batch.digest[..]
        && permit.verdicts == walked.verdicts
        && permit.currency == told.currency
        && (place > 1 || permit.presenter == batch.terminal);
    audit.check(is_signed && is_of_it && is_presenters, "Permit", || {
        format!("the permit of batch {} is not this provider's for it", batch.name)
    });
    let debt = u128::from(debt_before) + u128::from(owe);
    let is_sum = (pay, owe) == (walked.pay, walked.owe)
        && u128::from(pay) + u128::from(debt_after) == u128::from(total) + debt
        && (total == 0 || debt_after == 0);
    audit.check(is_sum, "PermitSum", || {
        format!(
            "the permit of batch {} is not the sum of the verdicts",
            batch.name
        )
    });
    Ok(())
}

/// Of all generations only the newest can be alive, and each that is revoked is so by the bank's word (money rule B4).
fn standing(
    audit: &mut Audit<'_>,
    batch: &Batch,
    stored: &Generation,
    permit: &Permit,
    is_newest: bool,
) -> Result<(), Failure> {
    let query = "SELECT 1 FROM bank_word WHERE permit = ?1 AND generation = ?2 AND word = 'unusable'";
    let is_unusable = audit
        .sql
        .prepare_cached(query)?
        .exists((&stored.id, stored.number))?;
    let is_of_nothing = permit.sums[3] == 0;
    let holds = match stored.phase.as_str() {
        "revoked" => is_unusable && !is_of_nothing,
        "live" | "revoking" => is_newest && !is_of_nothing,
        "redeemed" => is_newest && is_of_nothing,
        _ => false,
    };
    audit.check(holds, "PermitStanding", || {
        format!(
            "generation {} of the permit of batch {} is {}, and no word of the bank says so",
            stored.number, batch.name, stored.phase
        )
    });
    Ok(())
}

/// Each permit goes on from the debt that the merchant's one before it left.
pub(super) fn debts(audit: &mut Audit<'_>) -> Result<(), Failure> {
    let query = "SELECT merchant, permit.document FROM permit JOIN batch ON batch.number = permit.batch
                 JOIN terminal ON terminal.name = batch.terminal WHERE permit.generation = 1 ORDER BY permit.rowid";
    let mut statement = audit.sql.prepare(query)?;
    let mut rows = statement.query(())?;
    let mut debts: BTreeMap<(String, String), u64> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (merchant, document): (Option<String>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let merchant = merchant.unwrap_or_default();
        let Some(permit) = Permit::read(&document) else {
            continue;
        };
        let [_, _, before, _, after] = permit.sums;
        let debt = debts.entry((merchant.clone(), permit.currency)).or_default();
        let found = std::mem::replace(debt, after);
        audit.check(found == before, "Debt", || {
            format!("a permit of merchant {merchant} goes on from a debt of {before} instead of {found}")
        });
    }
    drop(rows);
    drop(statement);
    for ((merchant, currency), debt) in debts {
        let query =
            "SELECT coalesce((SELECT minor FROM merchant_debt WHERE merchant = ?1 AND currency = ?2), 0)";
        let stored: i64 = audit
            .sql
            .query_row(query, (&merchant, &currency), |row| row.get(0))?;
        audit.check(stored == signed(debt), "Debt", || {
            format!("merchant {merchant} owes {stored} {currency}; its permits say {debt}")
        });
        audit.expected(&currency).merchant_debt += i128::from(debt);
    }
    Ok(())
}
