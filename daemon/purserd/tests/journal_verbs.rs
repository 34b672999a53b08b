//! The verbs that open the journal's files, as a script sees them.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use purser_journal::{Journal, Options};
use purser_ledger::{
    Amount, CloseReason, Commit, Entry, Head, OperationId, Owner, Reference, SaleClosed, Wall, commit,
};

fn purserd(state_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purserd"));
    command
        .env_clear()
        .args(arguments)
        .arg("--state-dir")
        .arg(state_dir)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A journal of three sales that were cancelled, closed again, and its heads.
fn journal(state_dir: &Path) -> Vec<Head> {
    let mut journal = Journal::open(state_dir, &Options { reserve_bytes: 0 }).unwrap();
    let closed = |number: u8| Commit {
        operation: OperationId::new([number; 16]),
        step: 0,
        at: Wall {
            unix_seconds: 1_800_000_000,
            utc_offset_seconds: 0,
            trusted: true,
        },
        entry: Entry::SaleClosed(SaleClosed {
            reference: Reference::new(format!("till-{number}")).unwrap(),
            owner: Owner(1000),
            amount: Amount::new(300, "JPY".parse().unwrap()).unwrap(),
            reason: CloseReason::CancelledByPos,
        }),
    };
    let heads = (1..=3)
        .map(|number| {
            let receipts = commit(&mut journal, &[closed(number)]).unwrap();
            receipts.into_iter().next().unwrap().unwrap().head()
        })
        .collect();
    // Out of the WAL, where a changed byte reads as a torn write and cuts the tail.
    journal.maintain().unwrap();
    heads
}

#[test]
fn a_whole_journal_is_whole_and_its_head_is_the_one_that_was_given() {
    let state = tempfile::tempdir().unwrap();
    let heads = journal(state.path());
    let newest = heads[2].to_string();
    let head = purserd(state.path(), &["head"]);
    assert_eq!(
        (head.status.code(), text(&head.stdout).trim()),
        (Some(0), newest.as_str())
    );
    for expect in &heads {
        let output = purserd(state.path(), &["verify-journal", "--expect", &expect.to_string()]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(&newest));
    }
    let json = text(&purserd(state.path(), &["verify-journal", "--json"]).stdout);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["whole"], true);
    assert_eq!(
        (&json["entries"], &json["operations"], &json["debits"]),
        (&3.into(), &3.into(), &0.into())
    );
}

#[test]
fn a_journal_that_ends_before_the_expected_head_exits_with_1_and_says_so() {
    let state = tempfile::tempdir().unwrap();
    journal(state.path());
    let expect = format!("4:{}", "00".repeat(32));
    let output = purserd(state.path(), &["verify-journal", "--expect", &expect]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("its tail is cut off"));
    let output = purserd(state.path(), &["verify-journal", "--json", "--expect", &expect]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["whole"], false);
}

#[test]
fn a_changed_byte_of_an_entry_exits_with_1() {
    let state = tempfile::tempdir().unwrap();
    journal(state.path());
    let path = state.path().join("journal.db");
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(6).position(|window| window == b"till-2").unwrap();
    bytes[place + 5] = b'9';
    fs::write(&path, bytes).unwrap();
    let output = purserd(state.path(), &["verify-journal"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("were not compared with the entries"));
}

#[test]
fn a_folder_without_a_journal_is_not_called_whole() {
    let state = tempfile::tempdir().unwrap();
    for verb in ["verify-journal", "head"] {
        let output = purserd(state.path(), &[verb]);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        assert!(text(&output.stderr).contains("no journal"), "{verb}");
    }
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
}
