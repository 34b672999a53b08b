//! The overview and the history agree with the entries that they sum up.

#![allow(clippy::unwrap_used, reason = "a test ends where it is wrong")]

mod common;

use common::{folder, open, store_some_of_each};
use purser_journal::{Query, Reader};
use purser_ledger::{Entry, OperationId};

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
    assert_eq!(usize::try_from(overview.operations).unwrap(), debits + closed);
    assert_eq!(overview.open, reader.open_operations().unwrap());
    assert_eq!(overview.totals, reader.totals().unwrap().0);
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
