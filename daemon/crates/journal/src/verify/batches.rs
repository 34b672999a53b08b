//! The batches folded again: that each range begins where it must, and holds what its seal says.

use std::collections::{BTreeMap, VecDeque};

use purser_ledger::{BatchSealed, BatchStanding, Batches, Currency, Entry, Operation, Settlement};
use rusqlite::Connection;

use super::{Derived, Finding, VerifyError, derived};
use crate::batches::{kind, standing_name};
use crate::memory::count;
use crate::verdicts;

/// A settleable entry that is in no exchanged batch yet.
struct Waiting {
    number: u64,
    /// The entry that makes its sale's claim: itself, for a claim.
    claim: u64,
    claimed: u64,
    refund: u64,
    /// Of a late refund: the entry behind it that presents its claim again, which tells of the refund itself in a batch of both.
    told_from: Option<u64>,
}

/// A row of the table of batches, as it must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) operation: Vec<u8>,
    pub(super) currency: String,
    pub(super) after: u64,
    pub(super) upto: u64,
    pub(super) standing: String,
}

/// What the entries so far say about settlement. Holds what waits for it, and a few words of each batch.
#[derive(Default)]
pub(super) struct Rebatch {
    batches: Batches,
    waiting: BTreeMap<Currency, VecDeque<Waiting>>,
    /// The late refunds, by the entry that proved the debit.
    refunds: BTreeMap<u64, u64>,
    /// By the number of the entry that sealed it.
    rows: BTreeMap<u64, Row>,
    settleable: u64,
    /// The first entry that exchanges a batch whose verdicts are not those that it names.
    other_verdicts: Option<u64>,
}

impl Rebatch {
    /// Takes a sale's entry in; `operation` is the sale with it.
    pub(super) fn sale(
        &mut self,
        conn: &Connection,
        number: u64,
        entry: &Entry,
        operation: &Operation,
    ) -> Result<(), VerifyError> {
        let Some((currency, kind)) = kind(entry) else {
            return Ok(());
        };
        derived::check_settleable(conn, number, currency, kind)?;
        self.settleable = self.settleable.saturating_add(1);
        let (claimed, refund) = match entry {
            Entry::SalePaid(paid) if paid.refund_owed => (paid.amount.minor(), paid.amount.minor()),
            Entry::SalePaid(paid) => (paid.amount.minor(), 0),
            Entry::SalePresentedAgain(again) => (again.amount.minor(), owed(operation)),
            _ => (0, owed(operation)),
        };
        let waiting = self.waiting.entry(currency).or_default();
        let paid = operation.paid_head.map_or(number, |head| head.number);
        if matches!(entry, Entry::SalePresentedAgain(_)) {
            let refund = self.refunds.get(&paid);
            let place = refund.and_then(|refund| waiting.binary_search_by_key(refund, |it| it.number).ok());
            if let Some(late) = place.and_then(|place| waiting.get_mut(place)) {
                late.told_from = Some(number);
            }
        } else if claimed == 0 {
            self.refunds.insert(paid, number);
        }
        waiting.push_back(Waiting {
            number,
            claim: operation.claim_entry.unwrap_or(number),
            claimed,
            refund,
            told_from: None,
        });
        Ok(())
    }

    /// Whether the batch that has this sale's claim was exchanged.
    pub(super) fn has_left(&self, sale: &Operation) -> bool {
        self.batches.has_left(sale)
    }

    /// Takes a settlement's entry in; `settlement` is the settlement with it.
    pub(super) fn settlement(
        &mut self,
        conn: &Connection,
        number: u64,
        settlement: &Settlement,
    ) -> Result<(), VerifyError> {
        let currency = settlement.currency();
        let standing = standing_name(&settlement.standing).to_owned();
        match &settlement.standing {
            BatchStanding::Sealed => {
                let sealed = &settlement.sealed;
                let is_right = self.batches.admit(sealed, number.saturating_sub(1)) && self.holds(sealed);
                if !is_right {
                    return Err(Finding::Batch { number }.into());
                }
                let row = Row {
                    operation: settlement.id.bytes().to_vec(),
                    currency: currency.code().to_owned(),
                    after: sealed.after,
                    upto: sealed.upto,
                    standing,
                };
                self.rows.insert(number, row);
            }
            BatchStanding::Exchanged(exchanged) => {
                // Nothing follows from them: what cannot be read of them keeps nothing else from being checked.
                let are_right = match verdicts::are_those_of(conn, settlement, exchanged) {
                    Err(error) if !error.is_transient() => false,
                    checked => checked?,
                };
                if !are_right {
                    self.other_verdicts.get_or_insert(number);
                }
                let waiting = self.waiting.entry(currency).or_default();
                let upto = settlement.sealed.upto;
                while waiting.pop_front_if(|first| first.number <= upto).is_some() {}
            }
            BatchStanding::Voided(_) => {}
        }
        let mut own = self.rows.values_mut();
        if let Some(row) = own.find(|row| row.operation == settlement.id.bytes()) {
            row.standing = standing_name(&settlement.standing).to_owned();
        }
        self.batches.take(settlement);
        Ok(())
    }

    /// The first entry that exchanges a batch whose verdicts are not those that it names.
    pub(super) fn other_verdicts(&self) -> Option<u64> {
        self.other_verdicts
    }

    /// True when the batch's sums are those of its range.
    fn holds(&self, sealed: &BatchSealed) -> bool {
        let (mut claims, mut late, mut claimed, mut refunds) = (0_u64, 0_u64, 0_u64, 0_u64);
        let waiting = self.waiting.get(&sealed.currency()).into_iter().flatten();
        for it in waiting.take_while(|it| it.number <= sealed.upto) {
            if it.told_from.is_some_and(|claim| claim <= sealed.upto) {
                continue;
            }
            if it.number == it.claim {
                claims = claims.saturating_add(1);
            } else if it.claim <= sealed.after {
                late = late.saturating_add(1);
            }
            claimed = claimed.saturating_add(it.claimed);
            refunds = refunds.saturating_add(it.refund);
        }
        (claims.saturating_add(late), claims, claimed, refunds)
            == (
                u64::from(sealed.count),
                u64::from(sealed.claims.count),
                sealed.claims.amount.minor(),
                sealed.refunds.minor(),
            )
    }

    /// Compares what follows from all entries with the tables of settlement.
    pub(super) fn compare(&self, conn: &Connection) -> Result<(), VerifyError> {
        derived::check_count(conn, Derived::Settleable, self.settleable)?;
        derived::check_count(conn, Derived::Batches, count(self.rows.len()))?;
        derived::check_batches(conn, &self.rows)
    }
}

/// What a sale's buyer is owed, in minor units.
fn owed(sale: &Operation) -> u64 {
    sale.refund_owed.map_or(0, |owed| owed.minor())
}
