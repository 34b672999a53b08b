//! A journal of the version before loads becomes one of the known version, and can be read, checked and mended before it does.

mod common;

use std::fs;

use common::load::Load;
use common::{Sale, folder, open, store, store_some_of_each};
use purser_journal::{Query, Reader, mend, verify};
use purser_ledger::{Find, Head, Snapshot, Store};
use rusqlite::Connection;
use tempfile::TempDir;

/// The tables as the version before loads made them, in an order in which rows find those that they refer to.
const TABLES: [&str; 8] = [
    "operations",
    "entries",
    "debits",
    "open_operations",
    "settleable",
    "batches",
    "balances",
    "verdicts",
];

fn version(folder: &TempDir) -> u32 {
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("readable")
}

/// A state folder whose data base was made by the old statements, with a sale of each kind in it; and what a start must find.
fn old(journal_mode: &str) -> (TempDir, Snapshot, Head) {
    let folder = folder();
    let mut journal = open(&folder);
    store_some_of_each(&mut journal);
    journal.maintain().expect("the journal works");
    let (snapshot, head) = (journal.snapshot().expect("readable"), journal.head());
    drop(journal);
    let (new, old) = (folder.path().join("journal.db"), folder.path().join("old.db"));
    let conn = Connection::open(&old).expect("made");
    conn.pragma_update(None, "page_size", 4096).expect("set");
    conn.pragma_update_and_check(None, "journal_mode", journal_mode, |_| Ok(()))
        .expect("set");
    conn.execute_batch(include_str!("../src/schema/1.sql"))
        .expect("the old statements");
    conn.execute("ATTACH ?1 AS new", (new.to_str().expect("UTF-8"),))
        .expect("attached");
    for table in TABLES {
        conn.execute(&format!("INSERT INTO main.{table} SELECT * FROM new.{table}"), ())
            .expect(table);
    }
    let application: u32 = conn
        .query_row("SELECT * FROM pragma_application_id", (), |row| row.get(0))
        .expect("readable");
    assert_eq!(application, 0);
    conn.execute_batch("DETACH new; PRAGMA user_version = 1; PRAGMA application_id = 0x50555253")
        .expect("set");
    drop(conn);
    for companion in ["journal.db-wal", "journal.db-shm"] {
        let _ = fs::remove_file(folder.path().join(companion));
    }
    fs::rename(old, new).expect("renamed");
    assert_eq!(version(&folder), 1);
    (folder, snapshot, head)
}

fn assert_sales(snapshot: &Snapshot, expected: &Snapshot) {
    assert_eq!((&snapshot.open, snapshot.loads.len()), (&expected.open, 0));
    assert_eq!(snapshot.terminal_sn_max, expected.terminal_sn_max);
    assert_eq!(snapshot.unsettled, expected.unsettled);
}

#[test]
fn an_old_journal_is_brought_to_the_known_version_with_all_that_it_holds() {
    for journal_mode in ["wal", "delete"] {
        let (folder, expected, head) = old(journal_mode);
        let mut journal = open(&folder);
        assert_eq!(version(&folder), 3);
        assert_eq!(journal.head(), head);
        assert_sales(&journal.snapshot().expect("readable"), &expected);
        for commit in Load::new(1).steps() {
            store(&mut journal, commit);
        }
        store(&mut journal, Load::new(2).begun());
        store(&mut journal, Sale::new(20).intended());
        drop(journal);
        verify(folder.path(), Some(head), |_, _| {}).expect("whole");
        let journal = open(&folder);
        assert_eq!(journal.snapshot().expect("readable").loads.len(), 1);
    }
}

#[test]
fn an_old_journal_can_be_read_and_checked_as_it_is() {
    let (folder, expected, head) = old("wal");
    let report = verify(folder.path(), Some(head), |_, _| {}).expect("whole");
    assert_eq!((report.head, report.operations), (head, 7));
    let reader = Reader::open(folder.path()).expect("readable");
    let overview = reader.overview().expect("readable");
    assert_eq!((overview.sales, overview.loads), (7, 0));
    assert_eq!(overview.open, expected.open);
    let all = Query {
        limit: 1_000,
        ..Query::default()
    };
    assert_eq!(reader.entries(&all).expect("readable").len(), 15);
    let loads = reader.open_loads().expect("readable");
    assert_eq!(
        (loads.len(), version(&folder)),
        (0, 1),
        "nothing was written to it"
    );
}

#[test]
fn a_damaged_old_journal_is_refused_as_it_is_and_mended_into_a_new_one() {
    let (folder, expected, head) = old("wal");
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM open_operations")
        .expect("spoilt");
    drop(conn);
    let opened = common::open_when_free(folder.path());
    assert!(
        opened.is_err() && version(&folder) == 1,
        "a start that is refused changes nothing"
    );
    let mended = mend(folder.path(), "a test").expect("mended");
    assert_eq!(mended.report.head, head);
    let mut journal = open(&folder);
    assert_sales(&journal.snapshot().expect("readable"), &expected);
    let paid = journal.find(&Find::Reference(Sale::new(1).reference()));
    assert!(paid.expect("readable").is_some_and(|paid| !paid.is_open()));
    store(&mut journal, Load::new(1).begun());
    drop(journal);
    assert_eq!(version(&folder), 3);
    verify(folder.path(), Some(head), |_, _| {}).expect("whole");
}
