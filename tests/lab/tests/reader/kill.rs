//! The card's process is killed in the middle of debits; its EEPROM must hold the old state or the new one.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use purser_lab::card::LogRecord;
use purser_lab::store::CardFile;

use crate::bench::*;

/// How many times the process is killed at a debit.
const KILLS: u32 = 40;

fn insert(path: &Path, reader: &Reader) -> (Child, Inserted) {
    let port = reader.address().port().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_purser-lab"));
    let process = program
        .args(["card", "insert"])
        .arg(path)
        .args(["--port", &port])
        .spawn()
        .unwrap();
    (process, reader.accept())
}

#[test]
fn a_card_killed_at_any_moment_of_a_debit_has_paid_or_has_not() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let (mut paid, mut kept) = (0, 0);
    let mut delay = Duration::from_micros(10);
    for round in 0..KILLS {
        let before = CardFile::read(&path).unwrap();
        let (mut process, mut inserted) = insert(&path, &reader);
        let debit = inserted.begin_purchase(1, round);
        inserted.send(&debit);
        // From at once to long after the sync: the moment of the kill is what this test varies.
        std::thread::sleep(delay);
        delay = delay * 5 / 4;
        process.kill().unwrap();
        process.wait().unwrap();
        let answered = inserted.receive().is_some();

        let after = CardFile::read(&path).unwrap();
        let (old, new) = (before.state().ep, after.state().ep);
        if new.offline_sn == old.offline_sn {
            assert!(!answered, "an answer left before the change was stored");
            assert_eq!(before.state(), after.state());
            kept += 1;
        } else {
            assert_eq!(
                (new.offline_sn, new.balance.0),
                (old.offline_sn + 1, old.balance.0 - 1)
            );
            let LogRecord(record) = after.state().log.nth_newest(1).unwrap();
            assert_eq!(record[..2], old.offline_sn.to_be_bytes());
            assert_ne!(new.last_purchase, old.last_purchase);
            paid += 1;
        }
    }
    println!("{KILLS} kills: {paid} paid, {kept} kept");
    assert!(
        paid > 0 && kept > 0,
        "{paid} paid, {kept} kept: one outcome was never reached"
    );
}

#[test]
fn the_next_process_proves_what_the_killed_one_did() {
    let (_folder, path) = stored_card();
    let reader = Reader::new();
    let (mut process, mut inserted) = insert(&path, &reader);
    let debit = inserted.begin_purchase(300, 7);
    let answer = inserted.ask(&debit).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();

    let (mut process, mut inserted) = insert(&path, &reader);
    inserted.ask(SELECT).unwrap();
    let proof = inserted.ask(&[0x80, 0x5A, 0, 6, 2, 0, 1]).unwrap();
    assert_eq!((&proof[..4], &proof[4..8]), (&answer[4..8], &answer[..4]));
    process.kill().unwrap();
    process.wait().unwrap();
}
