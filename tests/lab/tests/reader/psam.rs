//! A PSAM on disk, in a slot, led by lines and by the program, and killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use purser_lab::card::{ScriptedFault, TerminalSn};
use purser_lab::control::{ControlSocket, Led};
use purser_lab::issuer::Masters;
use purser_lab::psam::{Psam, PsamFault, instruction};
use purser_lab::store::{PsamFile, StoreError};
use purser_lab::vpcd::{Place, PsamThread};
use tempfile::TempDir;

use crate::bench::*;

const SELECT_ADF: &[u8] = &[0, 0xA4, 0, 0x0C, 2, 0xDF, 1];
const GET_RESPONSE: &[u8] = &[0, 0xC0, 0, 0, 8];
const WRONG_MAC2: &[u8] = &[0x80, 0x72, 0, 0, 4, 0, 0, 0, 0];

fn initialize() -> Vec<u8> {
    let mut command = vec![0x80, 0x70, 0, 0, 28];
    command.extend([0xA1, 0xB2, 0xC3, 0xD4, 0, 7, 0, 0, 1, 0x2C, 6]);
    command.extend([0x20, 0x26, 0x11, 2, 0x15, 0x30, 0, 1, 0]);
    command.extend([0, 0, 0x20, 0x26, 0, 0, 0, 1]);
    command
}

fn stored_psam() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("psam");
    let personalisation = Masters::public_lab().personalise_psam();
    PsamFile::create(&path, Psam::new(Arc::new(personalisation), TerminalSn(0))).unwrap();
    (folder, path)
}

fn stored_sn(path: &Path) -> u32 {
    PsamFile::read(path).unwrap().state().terminal_sn.0
}

impl Inserted {
    /// Begins an attempt over T=0 and answers the terminal SN.
    fn take_terminal_sn(&mut self) -> u32 {
        assert_eq!(self.ask(SELECT_ADF).unwrap(), OK);
        assert_eq!(self.ask(&initialize()).unwrap(), [0x61, 8]);
        let answer = self.ask(GET_RESPONSE).unwrap();
        assert!(answer.len() == 10 && answer.ends_with(OK), "{answer:02X?}");
        u32::from_be_bytes(answer[..4].try_into().unwrap())
    }
}

#[test]
fn a_terminal_sn_is_on_disk_when_the_psam_says_61_and_a_lock_when_it_says_9302() {
    let (_folder, path) = stored_psam();
    let reader = Reader::new();
    let psam = PsamThread::start(&path, reader.address()).unwrap();
    assert!(matches!(PsamFile::open(&path), Err(StoreError::InUse { .. })));
    psam.insert();
    let mut inserted = reader.accept();
    assert_eq!(
        inserted.ask(&[0x04]).unwrap(),
        [0x3B, 0x65, 0, 0, b'P', b'U', b'R', b'S', b'E']
    );
    for sn in 1..=3 {
        assert_eq!(inserted.ask(SELECT_ADF).unwrap(), OK);
        assert_eq!(inserted.ask(&initialize()).unwrap(), [0x61, 8]);
        assert_eq!(stored_sn(&path), sn);
        assert_eq!(inserted.ask(WRONG_MAC2).unwrap(), [0x93, 0x02]);
    }
    assert!(PsamFile::read(&path).unwrap().is_locked());
    psam.unlock().unwrap();
    assert!(!PsamFile::read(&path).unwrap().is_locked());
    assert_eq!(inserted.take_terminal_sn(), 4);
}

#[test]
fn a_lost_power_takes_the_psam_out_and_its_next_life_goes_on_counting() {
    let (_folder, path) = stored_psam();
    let reader = Reader::new();
    let psam = PsamThread::start(&path, reader.address()).unwrap();
    let mut expected = 0;
    for (instruction, fault, used) in [
        (instruction::INITIALIZE, PsamFault::LosePowerBefore, 0),
        (instruction::INITIALIZE, PsamFault::LosePowerAfter, 1),
        (instruction::CREDIT, PsamFault::LosePowerBefore, 1),
        (instruction::CREDIT, PsamFault::LosePowerAfter, 1),
    ] {
        psam.script(ScriptedFault::next(instruction, fault));
        psam.insert();
        let mut inserted = reader.accept();
        inserted.ask(SELECT_ADF).unwrap();
        let begun = inserted.ask(&initialize());
        if begun.is_some() {
            assert_eq!(inserted.ask(WRONG_MAC2), None);
        }
        assert!(psam.wait_until(Place::Away, PATIENCE));
        expected += used;
        assert_eq!(stored_sn(&path), expected);
    }
    psam.insert();
    let mut inserted = reader.accept();
    assert_eq!(inserted.ask(SELECT_ADF).unwrap(), OK);
    assert_eq!(
        inserted.ask(WRONG_MAC2).unwrap(),
        [0x69, 0x01],
        "what was begun is forgotten"
    );
    assert_eq!(inserted.take_terminal_sn(), expected + 1);
}

#[test]
fn a_psam_that_loses_power_once_it_has_answered_has_answered_and_is_away() {
    let (_folder, path) = stored_psam();
    let reader = Reader::new();
    let psam = PsamThread::start(&path, reader.address()).unwrap();
    psam.script(ScriptedFault::next(
        instruction::GET_RESPONSE,
        PsamFault::LosePowerOnceAnswered,
    ));
    psam.insert();
    let mut inserted = reader.accept();
    assert_eq!(inserted.take_terminal_sn(), 1);
    assert_eq!(inserted.receive(), None);
    assert!(psam.wait_until(Place::Away, PATIENCE));
    psam.insert();
    assert_eq!(reader.accept().take_terminal_sn(), 2);
}

#[test]
fn a_psam_is_led_by_lines_until_quit() {
    let (folder, path) = stored_psam();
    let reader = Reader::new();
    let psam = Arc::new(PsamThread::start(&path, reader.address()).unwrap());
    let tell = |line: &str| psam.obey(line).line;
    assert_eq!(tell("status"), "ok place=away terminal-sn=0 mac-tries=3 faults=0");
    assert!(tell("fault repeat-sn").contains("faults=1"));
    assert!(tell("clear").contains("faults=0"));
    assert!(tell("tear after initialize").contains("faults=1"));
    assert!(tell("refill 5").starts_with("error say insert, remove"));
    tell("insert");
    let mut inserted = reader.accept();
    inserted.ask(SELECT_ADF).unwrap();
    assert_eq!(inserted.ask(&initialize()), None);
    assert!(psam.wait_until(Place::Away, PATIENCE));
    assert_eq!(tell("unlock"), "ok place=away terminal-sn=1 mac-tries=3 faults=0");

    let control_path = folder.path().join("control");
    let control = ControlSocket::bind(&control_path).unwrap();
    let server = std::thread::spawn({
        let psam = Arc::clone(&psam);
        move || control.serve(&psam)
    });
    let mut client = std::os::unix::net::UnixStream::connect(&control_path).unwrap();
    std::io::Write::write_all(&mut client, b"quit\n").unwrap();
    server.join().unwrap().unwrap();
    assert!(!tell("remove").contains("failure"));
}

fn run(folder: &Path, arguments: &str) -> (bool, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_purser-lab"));
    program.current_dir(folder).args(arguments.split_whitespace());
    let output = program.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), text)
}

#[test]
fn a_new_psam_is_as_it_was_asked_for_and_shows_no_key() {
    let folder = TempDir::new().unwrap();
    let made = run(
        folder.path(),
        "psam new p --terminal-number 112233445566 --levels 2 --factor-order upper-first --mac-tries 5 \
         --last-terminal-sn 99 --whole",
    );
    assert_eq!(made, (true, String::new()));
    let (_, shown) = run(folder.path(), "psam show p --json");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        shown,
        serde_json::json!({
            "serial": "00000000202650000001", "terminal_number": "112233445566", "terminal_sn": 99, "levels": 2,
            "factor_order": "upper-first", "key_version": 1, "mac_tries_left": 5, "locked": false,
        })
    );
    let (_, plain) = run(folder.path(), "psam show p");
    assert!(
        plain.contains("terminal SN      99 was given out last")
            && plain.contains("usable, 5 MAC tries left"),
        "{plain}"
    );
    assert!(!plain.contains("0011223344"), "the key is not shown");
    for wrong in [
        "psam new p",
        "psam new q --levels 4",
        "psam new q --mac-tries 0",
        "psam show nobody",
    ] {
        let (done, told) = run(folder.path(), wrong);
        assert!(!done && !told.is_empty(), "{wrong}");
    }
    assert!(!folder.path().join("q").exists());
}

/// How many times the PSAM's process is killed at an 8070.
const KILLS: u32 = 25;

fn insert(path: &Path, reader: &Reader) -> (Child, Inserted) {
    let port = reader.address().port().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_purser-lab"));
    let process = program
        .args(["psam", "insert"])
        .arg(path)
        .args(["--port", &port])
        .spawn()
        .unwrap();
    (process, reader.accept())
}

#[test]
fn a_psam_killed_at_any_moment_of_8070_never_gives_a_terminal_sn_twice() {
    let (_folder, path) = stored_psam();
    let reader = Reader::new();
    let (mut used, mut kept, mut last) = (0, 0, 0);
    let mut delay = Duration::from_micros(10);
    for _ in 0..KILLS {
        let before = stored_sn(&path);
        let (mut process, mut inserted) = insert(&path, &reader);
        inserted.ask(SELECT_ADF).unwrap();
        inserted.send(&initialize());
        // From at once to long after the sync: the moment of the kill is what this test varies.
        std::thread::sleep(delay);
        delay = delay * 3 / 2;
        process.kill().unwrap();
        process.wait().unwrap();
        let answered = inserted.receive().is_some();
        match stored_sn(&path) - before {
            0 => {
                assert!(!answered, "an answer left before the terminal SN was stored");
                kept += 1;
            }
            1 => used += 1,
            more => panic!("one 8070 used up {more}"),
        }
        let (mut process, mut inserted) = insert(&path, &reader);
        let next = inserted.take_terminal_sn();
        assert!(next > last, "{next} after {last}");
        last = next;
        process.kill().unwrap();
        process.wait().unwrap();
    }
    println!("{KILLS} kills: {used} used up, {kept} kept");
    assert!(
        used > 0 && kept > 0,
        "{used} used up, {kept} kept: one outcome was never reached"
    );
}
