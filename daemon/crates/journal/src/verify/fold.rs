//! The entries folded again, beside the rows that were derived from them when they were written.

use std::collections::BTreeMap;

use purser_ledger::{AnyOperation, Books, Entry, FoldError, Head, OperationId};
use rusqlite::Connection;

use super::batches::Rebatch;
use super::derived;
use super::{Derived, Finding, Report, VerifyError};
use crate::memory::count;
use crate::rows::{self, RawEntry, fold};
use crate::{ReadError, Totals};

/// What the entries so far add up to. Holds only operations that may still get entries by themselves.
#[derive(Default)]
pub(super) struct Refold {
    totals: Totals,
    alive: BTreeMap<OperationId, Alive>,
    batches: Rebatch,
    operations: u64,
    debits: u64,
    loads: u64,
}

struct Alive {
    opening: u64,
    operation: AnyOperation,
}

impl Refold {
    pub(super) fn take(&mut self, conn: &Connection, entry: &RawEntry) -> Result<(), VerifyError> {
        let number = entry.number;
        let recorded = entry.decode().map_err(|error| match error {
            ReadError::Entry { number, source } => Finding::Unreadable { number, source }.into(),
            other => VerifyError::Read(other),
        })?;
        let id = recorded.content.operation;
        if entry.operation != id.bytes() {
            return Err(Finding::OtherOperation { number }.into());
        }
        let known = self.alive.remove(&id);
        let opening = known.as_ref().map_or(number, |alive| alive.opening);
        let mut operation = known.map(|alive| alive.operation);
        if matches!(recorded.content.entry, Entry::SalePresentedAgain(_)) {
            operation = Some(self.left_unpaid(conn, number, id, operation)?);
        }
        let is_new = operation.is_none();
        fold(&mut operation, &recorded).map_err(|source| Finding::OutOfOrder { number, source })?;
        let operation = operation.expect("a fold that succeeds makes an operation");
        if is_new {
            self.operations = self.operations.saturating_add(1);
            derived::check_operation(conn, &operation)?;
            if let Some(sale) = operation.sale().filter(|sale| sale.key().is_some()) {
                self.debits = self.debits.saturating_add(1);
                derived::check_debit(conn, sale)?;
            }
            if operation.load().is_some() {
                self.loads = self.loads.saturating_add(1);
            }
        }
        let entry = &recorded.content.entry;
        match &operation {
            AnyOperation::Sale(sale) => self.batches.sale(conn, number, entry, sale)?,
            // While it is open its row is ahead of its entries so far: it is compared at its end, or behind them all.
            AnyOperation::Load(load) if load.is_open() => {}
            AnyOperation::Load(load) => derived::check_load(conn, load)?,
            AnyOperation::Settlement(settlement) => self.batches.settlement(conn, number, settlement)?,
        }
        let mut books: Books = self.totals.books().clone();
        for transfer in recorded.content.entry.transfers() {
            books
                .transfer(transfer)
                .map_err(|source| Finding::Books { number, source })?;
        }
        self.totals = self.totals.after(&recorded.content.entry, books);
        if operation.may_get_entries() {
            self.alive.insert(id, Alive { opening, operation });
        }
        Ok(())
    }

    /// The sale whose claim is presented again with this entry, as it was before: most have been forgotten, as nothing else follows
    /// them.
    fn left_unpaid(
        &self,
        conn: &Connection,
        number: u64,
        id: OperationId,
        alive: Option<AnyOperation>,
    ) -> Result<AnyOperation, VerifyError> {
        let before = match alive {
            Some(alive) => Some(alive),
            None => match rows::operation_upto(conn, id.bytes(), number.saturating_sub(1), None) {
                Err(error) if error.is_damage() => None,
                found => found?,
            },
        };
        let wrong = |source| VerifyError::from(Finding::OutOfOrder { number, source });
        let before = before.ok_or_else(|| wrong(FoldError::NotOpened))?;
        match before.sale() {
            Some(sale) if self.batches.has_left(sale) => Ok(before),
            Some(_) | None => Err(wrong(FoldError::OutOfOrder)),
        }
    }

    /// Compares what follows from all entries with the derived tables.
    pub(super) fn compare(&self, conn: &Connection) -> Result<(), VerifyError> {
        derived::check_count(conn, Derived::Operations, self.operations)?;
        derived::check_count(conn, Derived::Debits, self.debits)?;
        derived::check_count(conn, Derived::Loads, self.loads)?;
        for load in self.alive.values().filter_map(|alive| alive.operation.load()) {
            derived::check_load(conn, load)?;
        }
        let open: BTreeMap<u64, OperationId> = self
            .open()
            .map(|alive| (alive.opening, alive.operation.id()))
            .collect();
        derived::check_open(conn, &open)?;
        self.batches.compare(conn)?;
        derived::check_totals(conn, &self.totals)
    }

    pub(super) fn other_verdicts(&self) -> Option<u64> {
        self.batches.other_verdicts()
    }

    pub(super) fn report(&self, head: Head) -> Report {
        Report {
            head,
            operations: self.operations,
            open: count(self.open().count()),
            debits: self.debits,
        }
    }

    fn open(&self) -> impl Iterator<Item = &Alive> {
        let is_open = |alive: &&Alive| alive.operation.settlement().is_none() && alive.operation.is_open();
        self.alive.values().filter(is_open)
    }
}
