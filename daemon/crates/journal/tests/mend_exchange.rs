//! A mend that is stopped while it exchanges the files: no start takes what is left for a journal, and mending again loses nothing.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{NO_RESERVE, Sale, folder, open, store, store_some_of_each};
use purser_journal::{Journal, MendError, OpenError, Reader, VerifyError, mend, verify};
use purser_ledger::{Find, Head, Store};
use rusqlite::Connection;
use tempfile::TempDir;

const NOTE: &str = "a test";
/// What the exchange does, one after the other.
const RENAMES: [(&str, &str); 4] = [
    ("journal.db", "journal.db.damaged-1"),
    ("journal.db-wal", "journal.db.damaged-1-wal"),
    ("journal.db-shm", "journal.db.damaged-1-shm"),
    ("journal.db.new", "journal.db"),
];

/// A damaged journal whose newest sale stands in the WAL alone, as it is just before the exchange.
fn before_the_exchange() -> (TempDir, Head) {
    let folder = folder();
    let mut journal = open(&folder);
    store_some_of_each(&mut journal);
    journal.maintain().expect("the journal works");
    drop(journal);
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.execute_batch("DELETE FROM debits WHERE terminal_sn = 2")
        .expect("spoilt");
    drop(conn);
    let mut journal = open(&folder);
    let head = store(&mut journal, Sale::new(20).closed());
    drop(journal);
    // The new file as mending makes it.
    let mended = copy(folder.path());
    mend(mended.path(), NOTE).expect("mended");
    fs::copy(mended.path().join("journal.db"), new(&folder)).expect("copied");
    (folder, head)
}

fn new(folder: &TempDir) -> PathBuf {
    folder.path().join("journal.db.new")
}

fn copy(from: &Path) -> TempDir {
    let to = folder();
    for file in fs::read_dir(from).expect("readable") {
        let file = file.expect("readable");
        fs::copy(file.path(), to.path().join(file.file_name())).expect("copied");
    }
    to
}

fn rename(folder: &TempDir, count: usize) {
    for (from, to) in &RENAMES[..count] {
        fs::rename(folder.path().join(from), folder.path().join(to)).expect(from);
    }
}

fn assert_refused(folder: &TempDir) {
    let start = Journal::open(folder.path(), &NO_RESERVE).expect_err("there is no journal");
    assert!(matches!(start, OpenError::Gone), "{start:?}");
    assert!(
        start.to_string().contains("run purserd mend-journal again"),
        "{start}"
    );
    assert!(matches!(Reader::open(folder.path()), Err(OpenError::Gone)));
    let verified = verify(folder.path(), None, |_, _| {});
    assert!(
        matches!(verified, Err(VerifyError::Open(OpenError::Gone))),
        "{verified:?}"
    );
}

#[test]
fn a_stop_at_any_rename_is_told_by_each_start_and_mending_again_loses_nothing() {
    let (before, head) = before_the_exchange();
    for count in 0..=RENAMES.len() {
        let folder = copy(before.path());
        rename(&folder, count);
        if (1..RENAMES.len()).contains(&count) {
            assert_refused(&folder);
            let mended = mend(folder.path(), NOTE).expect("it goes on");
            assert!(mended.finding.is_none(), "{count}");
            assert_eq!(mended.report.head, head, "{count}");
        } else if count == 0 {
            assert_eq!(mend(folder.path(), NOTE).expect("mended").report.head, head);
        } else {
            assert!(matches!(mend(folder.path(), NOTE), Err(MendError::Whole)));
        }
        assert!(!new(&folder).exists(), "{count}");
        let journal = open(&folder);
        assert_eq!(journal.head(), head, "{count}");
        let newest = journal.find(&Find::Reference(Sale::new(20).reference()));
        assert!(matches!(newest, Ok(Some(_))), "{count}: {newest:?}");
        drop(journal);
        verify(folder.path(), Some(head), |_, _| {}).expect("it is whole");
        // The damaged data base and its WAL are kept together.
        let kept = Connection::open(folder.path().join("journal.db.damaged-1")).expect("it opens");
        let newest: i64 = kept
            .query_row("SELECT max(number) FROM entries", (), |row| row.get(0))
            .expect("readable");
        assert_eq!(u64::try_from(newest), Ok(head.number), "{count}");
    }
}

/// What is refused leaves every file under its name.
fn assert_not_taken(folder: &TempDir) -> MendError {
    let refused = mend(folder.path(), NOTE).expect_err("it is not the journal that was here");
    assert!(!refused.is_transient());
    assert!(new(folder).exists() && !folder.path().join("journal.db").exists());
    // With the old files back, all is as it was.
    for (from, to) in &RENAMES[..3] {
        let _ = fs::rename(folder.path().join(to), folder.path().join(from));
    }
    mend(folder.path(), NOTE).expect("mended");
    refused
}

#[test]
fn a_new_file_that_is_older_damaged_or_vouched_for_by_nothing_does_not_take_the_journals_place() {
    let (before, head) = before_the_exchange();

    let folder = copy(before.path());
    rename(&folder, 2);
    let conn = Connection::open(new(&folder)).expect("it opens");
    let number = head.number;
    conn.execute_batch(&format!(
        "PRAGMA foreign_keys = OFF; DROP TRIGGER entries_never_vanish; DELETE FROM entries WHERE number = {number}"
    ))
    .expect("spoilt");
    drop(conn);
    let refused = assert_not_taken(&folder);
    assert!(matches!(refused, MendError::Again(_)), "{refused:?}");

    let folder = copy(before.path());
    rename(&folder, 1);
    let mut bytes = fs::read(new(&folder)).expect("readable");
    let last = bytes.len() - 4096;
    bytes[last] ^= 0xFF;
    fs::write(new(&folder), bytes).expect("written");
    let refused = assert_not_taken(&folder);
    assert!(matches!(refused, MendError::Again(_)), "{refused:?}");

    let folder = copy(before.path());
    rename(&folder, 3);
    fs::remove_file(folder.path().join("journal.head")).expect("it goes");
    let refused = assert_not_taken(&folder);
    assert!(matches!(refused, MendError::Unvouched), "{refused:?}");

    let folder = copy(before.path());
    for name in ["journal.db", "journal.db.new"] {
        fs::remove_file(folder.path().join(name)).expect("it goes");
    }
    let refused = mend(folder.path(), NOTE).expect_err("there is none");
    assert!(matches!(refused, MendError::Open(OpenError::Gone)), "{refused:?}");
}
