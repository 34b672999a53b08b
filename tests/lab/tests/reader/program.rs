use std::path::Path;
use std::process::{Command, Output};

use crate::bench::stored_card;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_purser-lab"));
    program.current_dir(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_new_card_is_as_it_was_asked_for() {
    let folder = tempfile::TempDir::new().unwrap();
    let arguments = "card new bob --balance 500 --ed-balance 20 --pin 4321 --issuer 0102030405060708 \
        --serial 00010000000000000042 --expiry 20300131 --pin-tries 5 --first-sn 9 --interface t0";
    let made = run(folder.path(), &arguments.split_whitespace().collect::<Vec<_>>());
    assert!(made.status.success(), "{made:?}");
    let shown = run(folder.path(), &["card", "show", "bob", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["money_minor"], 520);
    assert_eq!(shown["asn"], "0000000000000042");
    assert_eq!(
        (&shown["ep"]["offline_sn"], &shown["pin_tries_left"]),
        (&9.into(), &5.into())
    );
    assert!(!shown.to_string().contains("4321") && shown.get("keys").is_none());
    let plain = run(folder.path(), &["card", "show", "bob"]);
    assert!(
        text(&plain.stdout).contains("wallet (EP)    500 minor units, 9 purchases, 9 loads"),
        "{plain:?}"
    );
}

#[test]
fn a_card_that_exists_is_not_overwritten_and_the_reason_is_told() {
    let (folder, _) = stored_card();
    let again = run(folder.path(), &["card", "new", "alice.card"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("alice.card exists; a card is never overwritten"));
    let missing = run(folder.path(), &["card", "show", "nobody"]);
    assert!(
        text(&missing.stderr).contains("because: No such file"),
        "{missing:?}"
    );
}

#[test]
fn what_no_card_can_be_is_refused_before_anything_is_made() {
    let folder = tempfile::TempDir::new().unwrap();
    for wrong in [
        &["--pin", "12"][..],
        &["--serial", "12"],
        &["--expiry", "2030-01-31"],
        &["--balance", "2000000"],
        &["--pin-tries", "0"],
    ] {
        let refused = run(folder.path(), &[&["card", "new", "bob"], wrong].concat());
        assert!(
            !refused.status.success() && !refused.stderr.is_empty(),
            "{wrong:?}"
        );
        assert!(!folder.path().join("bob").exists());
    }
}

#[test]
fn the_key_file_is_toml_of_the_documented_form() {
    let folder = tempfile::TempDir::new().unwrap();
    assert!(run(folder.path(), &["keys", "sam.toml"]).status.success());
    let written = std::fs::read_to_string(folder.path().join("sam.toml")).unwrap();
    let documented = "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\n\
        levels = [\"asn\"]\n";
    assert!(
        written.starts_with("# PUBLIC") && written.ends_with(documented),
        "{written}"
    );
}
