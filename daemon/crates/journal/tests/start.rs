//! What a start makes, and what it refuses with which remedy.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::disk::SmallDisk;
use common::{NO_RESERVE, Sale, folder, open, open_when_free, store};
use purser_journal::{Journal, OpenError, Reader};
use rusqlite::Connection;

fn refusal(state_dir: &Path) -> OpenError {
    let error = open_when_free(state_dir).expect_err("it does not open");
    let shown = error.to_string();
    assert!(shown.contains("; "), "a cause and a remedy: {shown}");
    error
}

fn version(path: &Path) -> u32 {
    let conn = Connection::open(path).expect("it opens");
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("readable")
}

#[test]
fn the_folder_and_its_files_are_for_their_owner_only() {
    let parent = folder();
    let state_dir = parent.path().join("deep/state");
    let mut journal = Journal::open(&state_dir, &NO_RESERVE).expect("the journal opens");
    store(&mut journal, Sale::new(1).intended());
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&state_dir), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&state_dir).expect("readable") {
        let path = entry.expect("readable").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "chain.key",
            "journal.db",
            "journal.db-shm",
            "journal.db-wal",
            "journal.head",
            "journal.lock"
        ]
    );
    assert_eq!(
        fs::metadata(state_dir.join("chain.key"))
            .expect("it is there")
            .len(),
        32
    );
}

#[test]
fn two_journals_have_two_keys() {
    let folders = [folder(), folder()];
    let keys = folders.each_ref().map(|folder| {
        drop(open(folder));
        fs::read(folder.path().join("chain.key")).expect("readable")
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn an_empty_file_becomes_a_journal_of_the_known_version() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    fs::write(&path, []).expect("written");
    assert_eq!(version(&path), 0);
    drop(open(&folder));
    assert_eq!(version(&path), 3);
    drop(open(&folder));
    assert_eq!(version(&path), 3, "a second start changes nothing");
}

#[test]
fn a_start_that_was_killed_before_the_tables_were_made_is_made_up_for() {
    let folder = folder();
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.pragma_update(None, "journal_mode", "wal").expect("set");
    drop(conn);
    fs::write(folder.path().join("chain.key.new"), [1, 2, 3]).expect("written");
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).closed());
}

#[test]
fn a_journal_of_a_newer_purser_is_refused_untouched() {
    let folder = folder();
    drop(open(&folder));
    let path = folder.path().join("journal.db");
    Connection::open(&path)
        .and_then(|conn| conn.pragma_update(None, "user_version", 4))
        .expect("set");
    assert!(matches!(
        refusal(folder.path()),
        OpenError::NewerVersion { found: 4, known: 3 }
    ));
    assert!(matches!(
        Reader::open(folder.path()),
        Err(OpenError::NewerVersion { found: 4, known: 3 })
    ));
    assert_eq!(version(&path), 4);
}

#[test]
fn a_file_that_is_no_journal_is_refused_untouched() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let text = b"a letter to the accountant that somebody has put here by mistake".repeat(20);
    fs::write(&path, &text).expect("written");
    assert!(matches!(refusal(folder.path()), OpenError::NotAJournal));
    assert_eq!(fs::read(&path).expect("readable"), text);
    fs::remove_file(&path).expect("it goes");
    Connection::open(&path)
        .and_then(|conn| conn.execute_batch("CREATE TABLE stamps (id)"))
        .expect("made");
    assert!(
        matches!(refusal(folder.path()), OpenError::NotAJournal),
        "another program's data base"
    );
}

#[test]
fn a_damaged_journal_is_refused() {
    let folder = folder();
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).intended());
    journal.maintain().expect("the journal works");
    drop(journal);
    let path = folder.path().join("journal.db");
    let mut file = fs::read(&path).expect("readable");
    file[4096..].fill(0xFF);
    fs::write(&path, file).expect("written");
    fs::remove_file(folder.path().join("journal.db-wal")).expect("it goes");
    assert!(matches!(refusal(folder.path()), OpenError::Damaged(_)));
}

#[test]
fn a_missing_key_is_made_only_for_a_journal_without_entries() {
    let folder = folder();
    let key = folder.path().join("chain.key");
    drop(open(&folder));
    fs::remove_file(&key).expect("it goes");
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).closed());
    drop(journal);
    let right = fs::read(&key).expect("readable");
    fs::remove_file(&key).expect("it goes");
    assert!(matches!(refusal(folder.path()), OpenError::KeyMissing));
    assert!(!key.exists(), "no other key takes its place");
    fs::write(&key, [0; 31]).expect("written");
    assert!(matches!(refusal(folder.path()), OpenError::KeyUnusable));
    fs::write(&key, [0; 32]).expect("written");
    assert!(matches!(
        refusal(folder.path()),
        OpenError::ChainBroken { number: 1 }
    ));
    fs::write(&key, right).expect("written");
    open(&folder);
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let folder = folder();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("set");
    assert!(matches!(refusal(folder.path()), OpenError::FolderShared));
}

#[test]
fn a_read_only_disk_is_refused_as_such() {
    let disk = SmallDisk::tmpfs(16);
    drop(Journal::open(&disk.state_dir(), &NO_RESERVE).expect("the journal opens"));
    disk.remount_read_only();
    assert!(matches!(refusal(&disk.state_dir()), OpenError::Permission(_)));
    assert!(matches!(
        refusal(&disk.state_dir().join("new")),
        OpenError::Permission(_)
    ));
}

#[test]
fn a_disk_without_room_is_refused_with_what_is_needed() {
    let disk = SmallDisk::tmpfs(16);
    disk.fill();
    let refused = refusal(&disk.state_dir());
    assert!(
        matches!(refused, OpenError::NoSpace { bytes } if bytes > 1 << 20),
        "{refused:?}"
    );
    assert!(refused.is_transient());
}

#[test]
fn a_state_dir_that_is_a_file_is_refused() {
    let folder = folder();
    let path = folder.path().join("file");
    fs::write(&path, []).expect("written");
    assert!(matches!(refusal(&path), OpenError::Io(_)));
}

#[test]
fn a_start_says_that_another_program_does_not_let_go_of_what_it_reads() {
    let folder = folder();
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).intended());
    let stuck = Connection::open(folder.path().join("journal.db")).expect("it opens");
    stuck
        .execute_batch("BEGIN; SELECT count(*) FROM entries")
        .expect("a read that does not end");
    store(&mut journal, Sale::new(1).paid(1, false));
    drop(journal);
    let refused = refusal(folder.path());
    assert!(matches!(refused, OpenError::ReaderHolds), "{refused:?}");
    assert!(refused.is_transient());
    drop(stuck);
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(2).intended());
}
