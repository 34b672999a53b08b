//! Mending makes rows and pages anew, believes no entry that the chain does not vouch for, and says who wanted it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use common::{Sale, folder, open, store, store_some_of_each};
use purser_journal::{Finding, MendError, OpenError, mend, verify};
use purser_ledger::{Entry, Find, Store};
use rusqlite::Connection;
use tempfile::TempDir;

const NOTE: &str = "2026-11-23 user 0: \"the disk was changed\"";

fn some_of_each() -> TempDir {
    let folder = folder();
    let mut journal = open(&folder);
    store_some_of_each(&mut journal);
    journal.maintain().expect("the journal works");
    folder
}

fn spoil(folder: &Path, sql: &str) {
    let conn = Connection::open(folder.join("journal.db")).expect("it opens");
    conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
        .expect(sql);
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).expect("readable").map(|file| {
        let file = file.expect("readable");
        let name = file.file_name().into_string().expect("a name");
        (name, fs::read(file.path()).expect("readable"))
    });
    files.collect()
}

#[test]
fn rows_and_pages_are_made_anew_and_every_sale_stands_as_it_stood() {
    for sql in [
        "DELETE FROM operations WHERE opening = 1",
        "DELETE FROM debits WHERE terminal_sn = 1",
        "UPDATE balances SET minor = minor + 1",
        "DELETE FROM open_operations",
        "DROP INDEX entries_by_operation",
        "DROP TRIGGER entries_never_change",
        "DELETE FROM operations; DELETE FROM debits; DELETE FROM balances; DELETE FROM open_operations",
    ] {
        let folder = some_of_each();
        let before = {
            let journal = open(&folder);
            (journal.snapshot().expect("readable"), journal.head())
        };
        spoil(folder.path(), sql);
        let damaged = fs::read(folder.path().join("journal.db")).expect("readable");
        let mended = mend(folder.path(), NOTE).expect(sql);
        assert_eq!(mended.report.head, before.1, "{sql}");
        assert_eq!(fs::read(&mended.kept).expect("it is kept"), damaged);
        let note = fs::read_to_string(folder.path().join("journal.mends")).expect("readable");
        assert!(
            note.starts_with(NOTE) && note.ends_with(&format!("head {}\n", before.1)),
            "{note}"
        );
        let mut journal = open(&folder);
        let after = journal.snapshot().expect("readable");
        assert_eq!(after.open, before.0.open, "{sql}");
        assert_eq!(after.terminal_sn_max, before.0.terminal_sn_max);
        let paid = journal.find(&Find::Reference(Sale::new(1).reference()));
        assert!(paid.expect("readable").is_some_and(|paid| !paid.is_open()));
        store(&mut journal, Sale::new(7).in_doubt(1));
        store(&mut journal, Sale::new(8).intended());
        drop(journal);
        verify(folder.path(), Some(before.1), |_, _| {}).expect("it goes on whole");
        assert!(matches!(mend(folder.path(), NOTE), Err(MendError::Whole)));
    }
}

#[test]
fn newest_entries_that_stand_in_the_wal_are_taken_along_and_the_wal_is_kept_beside_the_damaged_file() {
    let folder = some_of_each();
    spoil(folder.path(), "DELETE FROM debits WHERE terminal_sn = 2");
    let mut journal = open(&folder);
    let head = store(&mut journal, Sale::new(20).intended());
    drop(journal);
    let mended = mend(folder.path(), NOTE).expect("mended");
    assert_eq!(mended.report.head, head);
    let kept = Connection::open(&mended.kept).expect("it opens");
    let newest: i64 = kept
        .query_row("SELECT max(number) FROM entries", (), |row| row.get(0))
        .expect("readable");
    assert_eq!(u64::try_from(newest), Ok(head.number));
}

#[test]
fn where_an_entry_is_damaged_too_nothing_is_mended_and_nothing_changed() {
    let guards = "DROP TRIGGER entries_never_change; DROP TRIGGER entries_never_vanish;";
    for sql in [
        "UPDATE entries SET content = replace(content, '300', '301') WHERE number = 3",
        "UPDATE entries SET digest = zeroblob(32) WHERE number = 15",
        "DELETE FROM entries WHERE number = 4",
        "DELETE FROM entries WHERE number = 15",
    ] {
        let folder = some_of_each();
        spoil(folder.path(), &format!("{guards} {sql}; DELETE FROM debits"));
        let before = files(folder.path());
        let refused = mend(folder.path(), NOTE).expect_err(sql);
        assert!(matches!(refused, MendError::Entries(_)), "{sql}: {refused:?}");
        let mut after = files(folder.path());
        // SQLite's index of a WAL that is not there.
        after.retain(|name, _| name != "journal.lock" && before.contains_key(name));
        assert!(
            after.iter().all(|(name, bytes)| before.get(name) == Some(bytes)),
            "{sql}"
        );
        assert!(!folder.path().join("journal.db.new").exists(), "{sql}");
    }
}

#[test]
fn a_journal_whose_tail_is_gone_or_that_is_in_use_is_not_mended() {
    let folder = some_of_each();
    let journal = open(&folder);
    assert!(matches!(
        mend(folder.path(), NOTE),
        Err(MendError::Open(OpenError::Locked { .. }))
    ));
    drop(journal);
    let early = fs::read(folder.path().join("journal.db")).expect("readable");
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(20).closed());
    drop(journal);
    fs::write(folder.path().join("journal.db"), early).expect("written");
    fs::remove_file(folder.path().join("journal.db-wal")).expect("it goes");
    let refused = mend(folder.path(), NOTE).expect_err("its tail is gone");
    assert!(
        matches!(refused, MendError::Entries(Finding::TailCut { .. })),
        "{refused:?}"
    );
}

#[test]
fn two_operations_with_one_reference_are_told_by_their_entries() {
    let folder = some_of_each();
    spoil(
        folder.path(),
        "DELETE FROM operations WHERE opening = 1; DELETE FROM debits WHERE terminal_sn = 1",
    );
    let mut journal = open(&folder);
    let mut repeated = Sale::new(20).intended();
    if let Entry::SaleIntended(intended) = &mut repeated.entry {
        intended.reference = Sale::new(1).reference();
    }
    let head = store(&mut journal, repeated);
    drop(journal);
    assert_twice(&folder, head.number);
}

#[test]
fn two_operations_with_one_terminal_serial_number_are_told_by_their_entries() {
    let folder = some_of_each();
    spoil(folder.path(), "DELETE FROM debits WHERE terminal_sn = 1");
    let mut journal = open(&folder);
    let mut repeated = Sale::new(20).intended();
    if let Entry::SaleIntended(intended) = &mut repeated.entry {
        intended.key = Sale::new(1).key();
    }
    let head = store(&mut journal, repeated);
    drop(journal);
    assert_twice(&folder, head.number);
}

fn assert_twice(folder: &TempDir, again: u64) {
    let before = fs::read(folder.path().join("journal.db")).expect("readable");
    let refused = mend(folder.path(), NOTE).expect_err("one of the two would be lost");
    assert!(
        matches!(refused, MendError::Twice { first: 1, second } if second == again),
        "{refused:?}"
    );
    assert!(!refused.is_transient() && refused.to_string().contains("reconcile both"));
    assert!(fs::read(folder.path().join("journal.db")).expect("readable") == before);
    assert!(!folder.path().join("journal.db.new").exists());
}

#[test]
fn what_root_mends_belongs_to_whom_the_journal_belonged() {
    const OWNER: (u32, u32) = (1234, 4321);
    let folder = some_of_each();
    spoil(folder.path(), "DELETE FROM debits WHERE terminal_sn = 2");
    for name in ["journal.head", "journal.lock"] {
        fs::remove_file(folder.path().join(name)).expect("it goes");
    }
    for file in fs::read_dir(folder.path()).expect("readable") {
        let path = file.expect("readable").path();
        chown(&path, Some(OWNER.0), Some(OWNER.1)).expect("this test needs root, as CI has");
    }
    mend(folder.path(), NOTE).expect("mended");
    let mut names = Vec::new();
    for file in fs::read_dir(folder.path()).expect("readable") {
        let file = file.expect("readable");
        let metadata = file.metadata().expect("readable");
        assert_eq!((metadata.uid(), metadata.gid()), OWNER, "{file:?}");
        names.push(file.file_name().into_string().expect("a name"));
    }
    for name in ["journal.db", "journal.head", "journal.lock", "journal.mends"] {
        assert!(names.iter().any(|it| it == name), "{names:?}");
    }
}
