//! What a start checks of a journal before money moves by it.
//!
//! All of it is as quick as the journal is long only where the journal is short. What a start does not see, the full check
//! finds while the daemon works. But what guards against a second debit under one reference, against a terminal serial
//! number that is used twice, and against an open payment that is forgotten, must be right from the first sale on.

use std::collections::BTreeMap;

use purser_ledger::{Account, Amount, AnyOperation, Currency, Entry, Head, LoadStanding};
use rusqlite::Connection;

use crate::chain::ChainKey;
use crate::memory::Memory;
use crate::rows::{self, RawEntry, signed};
use crate::{OpenError, ReadError};

/// How many of the newest entries a start checks against the record chain; the rest is verify's work.
const TAIL_ENTRIES: u64 = 64;

/// Up to this many entries a start compares operations and entries with their indexes: some ten milliseconds. Beyond,
/// it would keep a shop waiting after each power cut; the full check does it while the shop sells.
const COMPARED_ENTRIES_MAX: u64 = 20_000;

/// Checks a journal. Only reads; what is read may not be durable yet. True when the references were compared with their index:
/// until they are, a sale that is not found there is not known to be new.
pub(super) fn check(conn: &Connection, key: &ChainKey) -> Result<bool, OpenError> {
    let terminal_sn = check_tail(conn, key)?;
    let memory = Memory::load(conn, key)?;
    check_open(&memory)?;
    if terminal_sn > rows::terminal_sn_max(conn)? {
        return Err(ReadError::Row { table: "debits" }.into());
    }
    let is_short = memory.head.number <= COMPARED_ENTRIES_MAX;
    if is_short {
        check_references(conn)?;
        check_entries_of_operations(conn)?;
    }
    Ok(is_short)
}

/// Checks the newest entries against the record chain. Gives the highest terminal serial number that they intended.
fn check_tail(conn: &Connection, key: &ChainKey) -> Result<Option<u32>, OpenError> {
    let newest = rows::head(conn)?.number;
    let first = newest.saturating_sub(TAIL_ENTRIES);
    let mut statement = conn.prepare(
        "SELECT number, digest, operation, content FROM entries WHERE number >= ?1 ORDER BY number",
    )?;
    let mut rows = statement.query((signed(first),))?;
    let mut before = (first == 0).then_some(Head::EMPTY);
    let mut terminal_sn = None;
    while let Some(row) = rows.next().map_err(ReadError::from)? {
        let entry = RawEntry::read(row)?;
        if let Some(before) = before {
            let is_next = entry.number == before.number.saturating_add(1);
            if !is_next || key.digest(entry.number, &before.digest, &entry.content) != entry.digest {
                return Err(OpenError::ChainBroken { number: entry.number });
            }
            if let Entry::SaleIntended(intended) = entry.decode()?.content.entry {
                terminal_sn = terminal_sn.max(Some(intended.key.terminal_sn));
            }
        }
        before = Some(entry.head());
    }
    Ok(terminal_sn)
}

/// What is in doubt in the books is what the open sales are about, and what is owed of loads is what the open loads are about: none
/// of them is missing. Of one that cannot be read nobody knows the amount. A load that is proven is in neither: that its row is
/// not lost is the full check's work, and its card has the value.
fn check_open(memory: &Memory) -> Result<(), OpenError> {
    let mut open: BTreeMap<(Account, Currency), u64> = BTreeMap::new();
    for (account, amount) in memory.open.values().filter_map(booked) {
        let sum = open.entry((account, amount.currency())).or_default();
        *sum = sum.saturating_add(amount.minor());
    }
    let books = memory.totals.books();
    let is_booked = |(account, currency): (Account, Currency)| {
        let booked = books.balance(account, currency).minor();
        let open = open.get(&(account, currency)).copied().unwrap_or(0);
        booked == open || (memory.unreadable > 0 && booked > open)
    };
    let of_books = books
        .currencies()
        .into_iter()
        .flat_map(|currency| [Account::InDoubt, Account::LoadsOwed].map(|account| (account, currency)));
    if of_books.chain(open.keys().copied()).all(is_booked) {
        Ok(())
    } else {
        Err(ReadError::Row {
            table: "open_operations",
        }
        .into())
    }
}

/// In which account an open operation's amount stands until its end is proven.
fn booked(operation: &AnyOperation) -> Option<(Account, Amount)> {
    match operation {
        AnyOperation::Sale(sale) => Some((Account::InDoubt, sale.amount)),
        AnyOperation::Load(load) => match load.standing {
            LoadStanding::Begun | LoadStanding::Attempted(_) | LoadStanding::Released { .. } => {
                Some((Account::LoadsOwed, load.amount))
            }
            LoadStanding::Proven(_) | LoadStanding::Confirmed(_) | LoadStanding::Voided => None,
        },
        AnyOperation::Settlement(_) => None,
    }
}

/// Each operation stands in two trees: by its id and by its reference. A byte that changed in one of them shows.
fn check_references(conn: &Connection) -> Result<(), OpenError> {
    let answer: String = conn.query_row("PRAGMA integrity_check(operations)", (), |row| row.get(0))?;
    if answer == "ok" {
        Ok(())
    } else {
        Err(ReadError::Row { table: "operations" }.into())
    }
}

/// Each entry stands in two trees: by its number and by its operation. One that the second lost would be missing from its
/// operation without a word: a sale that was concluded could be concluded again. A page that cannot be read hides nothing: who
/// asks for its sale is told, and so is the full check.
fn check_entries_of_operations(conn: &Connection) -> Result<(), OpenError> {
    let sql = "SELECT 1 FROM entries NOT INDEXED WHERE NOT EXISTS (
                   SELECT 1 FROM entries AS found INDEXED BY entries_by_operation
                   WHERE found.operation = entries.operation AND found.number = entries.number)";
    match conn.prepare(sql)?.exists(()).map_err(ReadError::from) {
        Ok(false) => Ok(()),
        Ok(true) => Err(ReadError::Row {
            table: "entries_by_operation",
        }
        .into()),
        Err(error) if error.is_damage() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
