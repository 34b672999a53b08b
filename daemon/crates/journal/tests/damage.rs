//! A damaged entry is told to whoever asks for its sale, and disturbs nobody else's.

mod common;

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use common::{Sale, append_one, folder, open, store};
use purser_journal::{Done, Job, Journal, JournalThread, OpenError, Reader};
use purser_ledger::{CardId, Find, FindError, Scheme, Store};
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

/// Lets SQL spoil entries behind the guards' back.
fn spoil(folder: &Path, sql: &str) {
    let guards = "DROP TRIGGER entries_never_change; DROP TRIGGER entries_never_vanish;";
    spoil_rows(folder, &format!("{guards} {sql}"));
}

/// Lets SQL spoil what no guard looks after.
fn spoil_rows(folder: &Path, sql: &str) {
    let conn = Connection::open(folder.join("journal.db")).expect("it opens");
    conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
        .expect("spoilt");
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

/// A journal with one open sale, whose entry stands before the newest ones and cannot be read.
fn unreadable_open_sale() -> (TempDir, Sale) {
    spoilt_open_sale("content = '{}'")
}

/// A journal with one open sale, whose entry stands before the newest ones and was changed so.
fn spoilt_open_sale(change: &str) -> (TempDir, Sale) {
    let folder = paid_sales();
    let open_sale = Sale::longest(SALES);
    let mut journal = open(&folder);
    let head = store(&mut journal, open_sale.intended());
    for n in SALES + 1..2 * SALES {
        store(&mut journal, Sale::longest(n).closed());
    }
    journal.maintain().expect("the journal works");
    drop(journal);
    let number = head.number;
    spoil(
        folder.path(),
        &format!("UPDATE entries SET {change} WHERE number = {number}"),
    );
    (folder, open_sale)
}

#[test]
fn an_open_sale_that_cannot_be_read_holds_its_card_and_no_other() {
    let (folder, open_sale) = unreadable_open_sale();
    let mut journal = open(&folder);
    let snapshot = journal.snapshot().expect("readable");
    assert_eq!(
        (snapshot.open.len(), snapshot.held),
        (0, vec![open_sale.key().card])
    );
    let overview = Reader::open(folder.path()).and_then(|reader| Ok(reader.overview()?));
    assert_eq!(overview.expect("readable").unreadable, 1);
    store(&mut journal, Sale::longest(2 * SALES).intended());
    store(&mut journal, Sale::longest(2 * SALES).paid(1, false));
}

#[test]
fn an_open_sale_of_which_not_even_the_card_is_known_stops_the_start() {
    let (folder, open_sale) = unreadable_open_sale();
    let terminal_sn = open_sale.key().terminal_sn;
    spoil_rows(
        folder.path(),
        &format!("DELETE FROM debits WHERE terminal_sn = {terminal_sn}"),
    );
    let refused = Journal::open(folder.path(), &common::NO_RESERVE).expect_err("any card may be the one");
    assert!(matches!(refused, OpenError::Damaged(_)), "{refused:?}");
}

#[test]
fn an_open_sale_whose_old_entry_can_be_read_but_was_changed_is_not_resumed_and_holds_its_card() {
    let other_card = CardId::new(Scheme::Pboc, [0x65; 10]);
    let changes = [
        ("content = replace(content, 'a5a5a5a5', 'a5a5a6a5')", None),
        (
            "content = replace(content, '64646464646464646464', '65656565656565656565')",
            Some(other_card),
        ),
        ("digest = zeroblob(32)", None),
    ];
    for (change, other_card) in changes {
        let (folder, open_sale) = spoilt_open_sale(change);
        let journal = open(&folder);
        let snapshot = journal.snapshot().expect("readable");
        assert_eq!(snapshot.open.len(), 0, "{change}");
        let mut held = snapshot.held;
        assert_eq!(held.pop(), Some(open_sale.key().card), "{change}");
        assert_eq!(held.pop(), other_card, "{change}");
        let found = journal.find(&Find::Reference(open_sale.reference()));
        assert!(matches!(found, Err(FindError::Damaged(_))), "{change}: {found:?}");
        let overview = Reader::open(folder.path()).and_then(|reader| Ok(reader.overview()?));
        let overview = overview.expect("readable");
        assert_eq!(overview.open.len() + overview.unreadable, 1, "{change}");
    }
}

#[test]
fn a_paid_sale_whose_entry_can_be_read_but_was_changed_is_not_told() {
    let folder = paid_sales();
    spoil(
        folder.path(),
        "UPDATE entries SET content = replace(content, '300', '301') WHERE number <= 2",
    );
    let journal = open(&folder);
    let found = journal.find(&Find::Reference(Sale::longest(0).reference()));
    assert!(matches!(found, Err(FindError::Damaged(_))), "{found:?}");
}
