//! The overview and the history agree with the entries that they sum up.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod common;

use common::{folder, open, store_some_of_each};
use purser_journal::{Query, Reader};
use purser_ledger::{Entry, OperationId, Store, Unsettled};

#[test]
fn the_overview_counts_what_the_entries_say() {
    let folder = folder();
    let mut journal = open(&folder);
    store_some_of_each(&mut journal);
    let reader = Reader::open(folder.path()).unwrap();
    let all = Query {
        limit: 1_000,
        ..Query::default()
    };
    let entries = reader.entries(&all).unwrap();
    let opened = |wanted: fn(&Entry) -> bool| entries.iter().filter(|it| wanted(&it.content.entry)).count();
    let debits = opened(|entry| matches!(entry, Entry::SaleIntended(_)));
    let closed = opened(|entry| matches!(entry, Entry::SaleClosed(_)));
    let overview = reader.overview().unwrap();
    assert!(debits > 0 && closed > 0 && !overview.open.is_empty());
    assert_eq!(usize::try_from(overview.debits).unwrap(), debits);
    assert_eq!(usize::try_from(overview.sales).unwrap(), debits + closed);
    assert_eq!(overview.open, reader.open_operations().unwrap());
    assert_eq!(overview.totals, reader.totals().unwrap().0);
}

#[test]
fn the_unsettled_claims_of_a_start_are_those_of_the_entries() {
    let folder = folder();
    let mut journal = open(&folder);
    assert_eq!(journal.snapshot().unwrap().unsettled, Unsettled::default());
    store_some_of_each(&mut journal);
    let all = Query {
        limit: 1_000,
        ..Query::default()
    };
    let mut counted = Unsettled::default();
    for entry in Reader::open(folder.path()).unwrap().entries(&all).unwrap() {
        if let Entry::SalePaid(paid) = &entry.content.entry {
            counted.add(paid.amount, entry.content.at);
        }
    }
    assert!(counted.count() > 0 && counted.oldest_unix_seconds().is_some());
    assert_eq!(journal.snapshot().unwrap().unsettled, counted);
    drop(journal);
    assert_eq!(open(&folder).snapshot().unwrap().unsettled, counted);
}

#[test]
fn a_history_has_every_entry_of_its_operation_and_no_other() {
    let folder = folder();
    let mut journal = open(&folder);
    store_some_of_each(&mut journal);
    let reader = Reader::open(folder.path()).unwrap();
    let all = Query {
        limit: 1_000,
        ..Query::default()
    };
    let entries = reader.entries(&all).unwrap();
    for entry in &entries {
        let id = entry.content.operation;
        let own: Vec<_> = entries
            .iter()
            .filter(|it| it.content.operation == id)
            .cloned()
            .collect();
        assert_eq!(reader.history(id).unwrap(), own);
    }
    assert_eq!(reader.history(OperationId::new([0xEE; 16])).unwrap(), []);
}
