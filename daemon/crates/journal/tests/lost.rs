//! A journal that has lost entries, or the rows that guard them, does not open as if it had not.
#![allow(clippy::panic, reason = "a helper of a test fails the test")]

mod common;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use common::{NO_RESERVE, Sale, folder, open, store};
use purser_journal::{Finding, Journal, OpenError, VerifyError, mend, verify};
use purser_ledger::{Conclusion, Find, FindError, Store};
use rusqlite::Connection;
use tempfile::TempDir;

/// A closed journal with one sale in the data base file and two in the WAL, the newest of them open.
fn with_wal() -> TempDir {
    let folder = folder();
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).intended());
    store(&mut journal, Sale::new(1).paid(1, false));
    journal.maintain().expect("the journal works");
    store(&mut journal, Sale::new(2).intended());
    store(&mut journal, Sale::new(2).paid(1, false));
    store(&mut journal, Sale::new(3).intended());
    folder
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// Every file of the state folder but the lock, which any start writes, and the index, which any reader makes.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = ["journal.db", "journal.db-wal", "journal.head", "chain.key"];
    let paths = names.map(|name| folder.join(name));
    let read = |path: PathBuf| fs::read(&path).ok().map(|bytes| (path, bytes));
    // SQLite makes an empty WAL when it reads.
    let is_content = |(path, bytes): &(PathBuf, Vec<u8>)| !bytes.is_empty() || path.ends_with("journal.db");
    paths.into_iter().filter_map(read).filter(is_content).collect()
}

/// The refusal, which changes nothing.
fn refusal(folder: &TempDir) -> OpenError {
    let before = content(folder.path());
    let error = Journal::open(folder.path(), &NO_RESERVE).expect_err("it does not open");
    assert!(content(folder.path()) == before, "{error} changed a file");
    assert!(error.to_string().contains("; "), "a cause and a remedy: {error}");
    assert!(!error.is_transient());
    error
}

fn assert_tail_cut(folder: &TempDir, last: u64) {
    let error = refusal(folder);
    assert!(
        matches!(error, OpenError::TailCut { found, expected: 5 } if found == last),
        "{error}"
    );
    let verified = verify(folder.path(), None, |_, _| {});
    let is_found = |finding: &Finding| matches!(finding, Finding::TailCut { expected: 5, .. });
    assert!(
        matches!(&verified, Err(VerifyError::Found(finding)) if is_found(finding)),
        "{verified:?}"
    );
}

#[test]
fn a_journal_whose_wal_is_gone_is_refused_and_opens_when_it_is_back() {
    let folder = with_wal();
    let wal = file(&folder, "journal.db-wal");
    let bytes = fs::read(&wal).expect("readable");
    fs::remove_file(&wal).expect("it goes");
    assert_tail_cut(&folder, 2);
    fs::write(&wal, bytes).expect("written");
    assert_eq!(open(&folder).head().number, 5);
}

#[test]
fn a_wal_with_a_damaged_header_salt_or_frame_is_refused_untouched() {
    const FRAME: usize = 24 + 4096;
    // Header: magic, version, salt, checksum. First frame: page number, salt, checksum, page.
    for (place, last) in [
        (0, 2),
        (7, 2),
        (17, 2),
        (27, 2),
        (35, 2),
        (41, 2),
        (49, 2),
        (32 + FRAME / 2, 2),
    ] {
        let folder = with_wal();
        let wal = file(&folder, "journal.db-wal");
        let mut bytes = fs::read(&wal).expect("readable");
        bytes[place] ^= 0xFF;
        fs::write(&wal, bytes).expect("written");
        assert_tail_cut(&folder, last);
    }
}

#[test]
fn an_older_copy_of_the_data_base_is_refused() {
    let folder = folder();
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).closed());
    drop(journal);
    let names = ["journal.db", "journal.db-wal"];
    let older = names.map(|name| fs::read(file(&folder, name)).expect("readable"));
    let mut journal = open(&folder);
    for n in 2..6 {
        store(&mut journal, Sale::new(n).closed());
    }
    drop(journal);
    for (name, bytes) in names.iter().zip(older) {
        fs::write(file(&folder, name), bytes).expect("written");
    }
    assert_tail_cut(&folder, 1);
}

#[test]
fn a_journal_that_went_another_way_is_refused() {
    let folder = folder();
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).closed());
    drop(journal);
    let names = ["journal.db", "journal.db-wal"];
    let fork = names.map(|name| fs::read(file(&folder, name)).expect("readable"));
    store(&mut open(&folder), Sale::new(2).closed());
    let head = fs::read(file(&folder, "journal.head")).expect("readable");
    for (name, bytes) in names.iter().zip(fork) {
        fs::write(file(&folder, name), bytes).expect("written");
    }
    fs::remove_file(file(&folder, "journal.head")).expect("it goes");
    store(&mut open(&folder), Sale::new(3).closed());
    fs::write(file(&folder, "journal.head"), head).expect("written");
    assert!(matches!(refusal(&folder), OpenError::Replaced { number: 2 }));
}

#[test]
fn beside_a_key_a_journal_that_is_gone_or_empty_is_never_begun_anew() {
    for spoil in [
        |folder: &TempDir| fs::remove_file(file(folder, "journal.db")),
        |folder: &TempDir| fs::write(file(folder, "journal.db"), []),
    ] {
        let folder = with_wal();
        spoil(&folder).expect("spoilt");
        assert!(matches!(refusal(&folder), OpenError::Gone));
        fs::remove_file(file(&folder, "journal.db-wal")).expect("it goes");
        assert!(matches!(refusal(&folder), OpenError::Gone));
        let verified = verify(folder.path(), None, |_, _| {});
        assert!(
            matches!(verified, Err(VerifyError::Open(OpenError::Gone))),
            "{verified:?}"
        );
    }
}

#[test]
fn beside_a_key_a_first_page_that_is_none_is_damage_and_no_other_file() {
    let folder = with_wal();
    open(&folder).maintain().expect("the journal works");
    let path = file(&folder, "journal.db");
    let mut bytes = fs::read(&path).expect("readable");
    bytes[3] ^= 0xFF;
    fs::write(&path, bytes).expect("written");
    fs::remove_file(file(&folder, "journal.db-wal")).expect("it goes");
    assert!(matches!(refusal(&folder), OpenError::FirstPage));
}

#[test]
fn a_head_file_that_is_gone_or_damaged_claims_nothing_and_is_made_again() {
    let folder = with_wal();
    let path = file(&folder, "journal.head");
    let right = fs::read(&path).expect("readable");
    for index in 0..right.len() {
        let mut bytes = right.clone();
        bytes[index] ^= 1;
        fs::write(&path, bytes).expect("written");
        drop(open(&folder));
        assert_eq!(fs::read(&path).expect("readable"), right, "byte {index}");
    }
    fs::remove_file(&path).expect("it goes");
    drop(open(&folder));
    assert_eq!(fs::read(&path).expect("readable"), right);
}

#[test]
fn a_key_that_is_gone_is_not_made_anew_where_a_head_file_tells_of_entries() {
    let folder = with_wal();
    for name in ["chain.key", "journal.db", "journal.db-wal"] {
        fs::remove_file(file(&folder, name)).expect("it goes");
    }
    let error = Journal::open(folder.path(), &NO_RESERVE).expect_err("it does not open");
    assert!(matches!(error, OpenError::KeyMissing), "{error}");
}

fn spoil(folder: &TempDir, sql: &str) {
    drop(open(folder));
    let conn = Connection::open(file(folder, "journal.db")).expect("it opens");
    conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
        .expect("spoilt");
}

#[test]
fn an_open_sale_that_is_forgotten_is_found_missing_in_the_books() {
    let folder = with_wal();
    spoil(&folder, "DELETE FROM open_operations");
    let error = Journal::open(folder.path(), &NO_RESERVE).expect_err("it does not open");
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
}

#[test]
fn a_terminal_serial_number_that_would_be_used_again_is_found() {
    let folder = with_wal();
    spoil(&folder, "DELETE FROM debits WHERE terminal_sn = 3");
    let error = Journal::open(folder.path(), &NO_RESERVE).expect_err("it does not open");
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
}

#[test]
fn a_reference_that_its_index_no_longer_finds_is_found_at_the_start() {
    let folder = with_wal();
    open(&folder).maintain().expect("the journal works");
    let path = file(&folder, "journal.db");
    let bytes = fs::read(&path).expect("readable");
    let reference = Sale::new(1).reference().to_string().into_bytes();
    let places: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(&reference))
        .collect();
    assert!(places.len() >= 3, "the entry, the operation and the index");
    let mut refused = 0;
    for place in places {
        let mut bytes = bytes.clone();
        bytes[place + 3] ^= 1;
        fs::write(&path, bytes).expect("written");
        refused += u32::from(Journal::open(folder.path(), &NO_RESERVE).is_err());
        fs::remove_file(file(&folder, "journal.db-wal")).expect("it goes");
        fs::remove_file(file(&folder, "journal.db-shm")).expect("it goes");
    }
    assert!(refused >= 3, "{refused}");
}

/// Hides an entry of a sale from the index by which a sale's entries are found. Its row in that index: the header, the operation,
/// and the number twice.
fn hide_entry(folder: &TempDir, sale: Sale, number: u8) {
    let path = file(folder, "journal.db");
    let mut bytes = fs::read(&path).expect("readable");
    let mut row = vec![4, 44, 1, 1];
    row.extend(sale.id().bytes());
    row.extend([number, number]);
    let places: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(&row))
        .collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[at + 10] ^= 0x10);
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_start_is_refused_where_an_entry_is_hidden_from_its_sale_and_mending_shows_it_again() {
    let folder = folder();
    let mut journal = open(&folder);
    let sale = Sale::new(1);
    store(&mut journal, sale.intended());
    store(&mut journal, sale.paid(1, false));
    journal.maintain().expect("the journal works");
    drop(journal);
    hide_entry(&folder, sale, 2);
    let error = refusal(&folder);
    assert!(
        error
            .source()
            .is_some_and(|it| it.to_string().contains("entries_by_operation"))
    );
    mend(folder.path(), "a test").expect("the entries are whole");
    let found = open(&folder)
        .find(&Find::Reference(sale.reference()))
        .expect("readable");
    assert!(found.is_some_and(|found| !found.is_open()));
}

#[test]
fn a_paid_sale_whose_newest_entry_is_lost_to_the_index_at_work_is_damaged_and_not_in_doubt() {
    let folder = folder();
    let mut journal = open(&folder);
    let (sale, open_sale) = (Sale::new(1), Sale::new(2));
    store(&mut journal, sale.intended());
    store(&mut journal, open_sale.intended());
    store(&mut journal, open_sale.in_doubt(1));
    store(&mut journal, sale.paid(1, false));
    let find = |journal: &Journal, sale: Sale| journal.find(&Find::Reference(sale.reference()));
    for sale in [sale, open_sale] {
        assert!(matches!(find(&journal, sale), Ok(Some(_))));
    }
    // Another connection stands for the disk: it takes the newest entry of both from the index and the table.
    let conn = Connection::open(file(&folder, "journal.db")).expect("it opens");
    conn.execute_batch(
        "DROP TRIGGER entries_never_vanish; PRAGMA foreign_keys = OFF; DELETE FROM entries WHERE number >= 3",
    )
    .expect("spoilt");
    for sale in [sale, open_sale] {
        let found = find(&journal, sale);
        assert!(matches!(found, Err(FindError::Damaged(_))), "{found:?}");
    }
    // Nor is a new entry added behind what was found of it.
    assert!(
        journal
            .append(&[sale.concluded(1, Conclusion::GoodsGiven, None)])
            .is_err()
    );
}
