//! `purserd new-generation`, as a script sees it.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "../../crates/journal/tests/common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use common::{Sale, open, store};
use purser_ledger::Entry;
use purserd::generation::{in_force, read};
use serde_json::{Value, json};
use tempfile::TempDir;

const CONFIG: &str = r#"
terminal.psam_terminal_number = "000000000001"
sam.credential = "sam.key"
bus.bus = "off"
[issuers]
"5055525345520001" = "JPY"
"#;

/// A folder with a configuration, and one whose journal has a sale with this terminal serial number.
fn terminal(terminal_sn: u32) -> (TempDir, TempDir) {
    let (config, state) = (tempfile::tempdir().unwrap(), common::folder());
    fs::write(config.path().join("purser.toml"), CONFIG).unwrap();
    let mut journal = open(&state);
    let sale = Sale::new(terminal_sn);
    store(&mut journal, sale.intended());
    store(&mut journal, sale.paid(1, false));
    (config, state)
}

fn new_generation(config: &Path, state: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_purserd"))
        .env_clear()
        .args(["new-generation", "--json"])
        .args(more)
        .arg("--config")
        .arg(config.join("purser.toml"))
        .arg("--state-dir")
        .arg(state)
        .output()
        .unwrap()
}

fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_new_generation_is_begun_when_it_is_confirmed_and_stays() {
    let (config, state) = terminal(7);
    let begin = |more: &[&str]| new_generation(config.path(), state.path(), more);
    let refused = begin(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("--yes"),
        "{refused:?}"
    );
    assert_eq!(read(state.path()).unwrap(), 0);
    assert_eq!(told(&begin(&["--yes"]))["generation"], 1);
    assert_eq!(read(state.path()).unwrap(), 1);
    let mode = fs::metadata(state.path().join("generation"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(told(&begin(&["--yes"]))["generation"], 2);
    // Restored more than once: the provider tells how far it has come.
    assert_eq!(told(&begin(&["--yes", "--later-than", "9"]))["generation"], 10);
    assert_eq!(told(&begin(&["--yes", "--later-than", "4"]))["generation"], 11);
    let remedy = json!("purser-provider terminal reconcile NAME --generation 255");
    assert_eq!(told(&begin(&["--yes", "--later-than", "254"]))["remedy"], remedy);
    let exhausted = begin(&["--yes"]);
    assert_eq!(exhausted.status.code(), Some(1), "{exhausted:?}");
    assert_eq!(read(state.path()).unwrap(), 255);
}

#[test]
fn a_new_generation_is_later_than_every_number_that_was_given_out() {
    // A software SAM that has sold so often that its numbers are those of generation 2.
    let (config, state) = terminal(0x0200_0005);
    assert_eq!(
        told(&new_generation(config.path(), state.path(), &["--yes"]))["generation"],
        3
    );
}

#[test]
fn what_root_begins_belongs_to_whom_the_journal_belongs() {
    const OWNER: (u32, u32) = (1234, 4321);
    let (config, state) = terminal(7);
    fs::remove_file(state.path().join("journal.lock")).unwrap();
    let files = || fs::read_dir(state.path()).unwrap().map(|it| it.unwrap().path());
    for path in files().chain([state.path().to_owned()]) {
        chown(&path, Some(OWNER.0), Some(OWNER.1)).expect("this test needs root, as CI has");
    }
    let begun = new_generation(config.path(), state.path(), &["--yes"]);
    assert_eq!(told(&begun)["generation"], 1);
    for path in files() {
        let file = fs::metadata(&path).unwrap();
        assert_eq!((file.uid(), file.gid()), OWNER, "{path:?}");
    }
    let mode = fs::metadata(state.path().join("generation")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_lost_generation_is_the_newest_sales() {
    let (config, state) = terminal(7);
    assert_eq!(in_force(state.path()).unwrap(), 0);
    let mut journal = open(&state);
    for (n, generation) in [(8, 2), (9, 3)] {
        let mut intended = Sale::new(n).intended();
        if let Entry::SaleIntended(intended) = &mut intended.entry {
            intended.generation = generation;
        }
        store(&mut journal, intended);
    }
    drop(journal);
    assert_eq!(in_force(state.path()).unwrap(), 3, "its file is lost");
    fs::write(state.path().join("generation"), "2\n").unwrap();
    assert_eq!(in_force(state.path()).unwrap(), 3, "its file is older");
    fs::write(state.path().join("generation"), "5\n").unwrap();
    assert_eq!(in_force(state.path()).unwrap(), 5);
    fs::remove_file(state.path().join("generation")).unwrap();
    let begun = new_generation(config.path(), state.path(), &["--yes"]);
    assert_eq!(told(&begun)["generation"], 4);
}

#[test]
fn none_is_begun_beside_a_running_purserd_or_without_a_journal() {
    let (config, state) = terminal(7);
    let journal = open(&state);
    let in_use = new_generation(config.path(), state.path(), &["--yes"]);
    assert_eq!(in_use.status.code(), Some(75), "{in_use:?}");
    drop(journal);
    let empty = common::folder();
    let absent = new_generation(config.path(), empty.path(), &["--yes"]);
    assert_eq!(absent.status.code(), Some(1), "{absent:?}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made");
    assert_eq!(read(state.path()).unwrap(), 0);
}

#[test]
fn a_file_that_holds_no_number_is_no_generation() {
    let (config, state) = terminal(7);
    for wrong in ["", "one", "-1", "4294967296", "1 2"] {
        fs::write(state.path().join("generation"), wrong).unwrap();
        let refused = new_generation(config.path(), state.path(), &["--yes"]);
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}");
        assert_eq!(
            fs::read_to_string(state.path().join("generation")).unwrap(),
            wrong
        );
    }
}
