//! A damaged entry is told to whoever asks for its sale, and disturbs nobody else's.

mod common;

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use common::{Sale, append_one, folder, open, store};
use purser_journal::{Done, Job, JournalThread};
use purser_ledger::{Find, FindError, Store};
use rusqlite::Connection;
use tempfile::TempDir;

/// More entries than a start checks against the record chain, and than one page holds.
const SALES: u32 = 100;

/// A closed journal of paid sales, all of it in the data base file.
fn paid_sales() -> TempDir {
    let folder = folder();
    let mut journal = open(&folder);
    for n in 0..SALES {
        store(&mut journal, Sale::longest(n).intended());
        store(&mut journal, Sale::longest(n).paid(1, false));
    }
    journal.maintain().expect("the journal works");
    folder
}

/// Lets SQL spoil the rows behind the guards' back.
fn spoil(folder: &Path, sql: &str) {
    let conn = Connection::open(folder.join("journal.db")).expect("it opens");
    let sql = format!(
        "PRAGMA foreign_keys = OFF; DROP TRIGGER entries_never_change; DROP TRIGGER entries_never_vanish; {sql}"
    );
    conn.execute_batch(&sql).expect("spoilt");
}

/// Makes the page that holds a sale's first entry one that SQLite does not know.
fn spoil_page(folder: &Path, sale: Sale) {
    const PAGE: usize = 4096;
    let path = folder.join("journal.db");
    let mut bytes = fs::read(&path).expect("readable");
    let content = format!("\"reference\":\"{}\"", sale.reference());
    let place = bytes
        .windows(content.len())
        .position(|window| window == content.as_bytes())
        .expect("an entry is there");
    bytes[place / PAGE * PAGE] = 0xFF;
    fs::write(&path, bytes).expect("written");
}

fn assert_others_go_on(folder: &TempDir, damaged: Sale) {
    let mut journal = open(folder);
    let query = Find::Reference(damaged.reference());
    for _ in 0..2 {
        let damaged = journal.find(&query).expect_err("it is damaged");
        assert!(matches!(damaged, FindError::Damaged(_)), "{damaged:?}");
        assert!(!damaged.is_transient());
    }
    let newest = Find::Reference(Sale::longest(SALES - 1).reference());
    assert!(journal.find(&newest).expect("it is whole").is_some());
    let free = Find::Reference(Sale::longest(SALES).reference());
    assert_eq!(journal.find(&free).expect("nothing is there"), None);
    assert!(append_one(&mut journal, Sale::longest(SALES).intended()).is_ok());
}

#[test]
fn an_entry_that_cannot_be_read_damages_its_own_sale_only() {
    let folder = paid_sales();
    spoil(
        folder.path(),
        "UPDATE entries SET content = '{}' WHERE number = 2",
    );
    assert_others_go_on(&folder, Sale::longest(0));
}

#[test]
fn an_entry_out_of_order_damages_its_own_sale_only() {
    let folder = paid_sales();
    spoil(folder.path(), "DELETE FROM entries WHERE number = 1");
    assert_others_go_on(&folder, Sale::longest(0));
}

#[test]
fn a_reference_without_entries_is_damaged_and_not_free() {
    let folder = paid_sales();
    spoil(folder.path(), "DELETE FROM entries WHERE number <= 2");
    assert_others_go_on(&folder, Sale::longest(0));
}

#[test]
fn a_reference_with_another_sales_entries_is_damaged() {
    let folder = paid_sales();
    let other = Sale::longest(7).reference();
    let swap = format!(
        "UPDATE operations SET reference = 'x' WHERE reference = '{other}';
         UPDATE operations SET reference = '{other}' WHERE opening = 1"
    );
    spoil(folder.path(), &swap);
    let journal = open(&folder);
    let found = journal.find(&Find::Reference(other));
    assert!(matches!(found, Err(FindError::Damaged(_))), "{found:?}");
}

#[test]
fn a_page_that_is_none_damages_its_own_sales_only() {
    let folder = paid_sales();
    // A start reads the first page.
    let sale = Sale::longest(SALES / 3);
    spoil_page(folder.path(), sale);
    assert_others_go_on(&folder, sale);
}

#[test]
fn the_thread_tells_damage_and_goes_on() {
    let folder = paid_sales();
    spoil(
        folder.path(),
        "UPDATE entries SET content = '{}' WHERE number = 2",
    );
    let (answers, received) = channel();
    let thread =
        JournalThread::start(open(&folder), move |done| drop(answers.send(done))).expect("it starts");
    for n in [0, 1] {
        let query = Find::Reference(Sale::longest(n).reference());
        let job = Job::Find {
            id: u64::from(n),
            query,
        };
        thread.submit(job).expect("taken");
    }
    drop(thread);
    let answers: Vec<Done> = received.iter().collect();
    assert!(matches!(
        &answers[0],
        Done::Found {
            id: 0,
            found: Err(_),
            ..
        }
    ));
    assert!(matches!(
        &answers[1],
        Done::Found {
            id: 1,
            found: Ok(Some(_)),
            ..
        }
    ));
    assert_eq!(answers.len(), 2);
}
