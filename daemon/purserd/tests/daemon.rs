//! The running daemon as systemd, an operator and a client see it, without any driver.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails fails its test"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use purser_journal::{Journal, Options};
use purser_ledger::{
    Amount, CloseReason, Commit, Entry, OperationId, Owner, Reference, SaleClosed, Wall, commit,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

const CONFIG: &str = r#"
terminal.psam_terminal_number = "000000000001"
sam.credential = "sam.key"
bus.bus = "off"
[issuers]
"5055525345520001" = "JPY"
"#;
const KEYS: &str =
    "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"0123456789ABCDEFFEDCBA9876543210\"\n";
/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Daemon {
    folder: TempDir,
    child: Child,
    notified: UnixDatagram,
}

impl Daemon {
    /// Starts purserd in a folder of its own, and listens to what it tells systemd.
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("purser.toml"), config).unwrap();
        fs::write(folder.path().join("sam.key"), KEYS).unwrap();
        fs::set_permissions(folder.path().join("sam.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let notified = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        notified.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = command(folder.path()).spawn().unwrap();
        Self {
            folder,
            child,
            notified,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until a message to systemd has this line.
    fn await_line(&self, line: &str) {
        let since = Instant::now();
        let mut message = [0; 4096];
        while since.elapsed() < PATIENCE {
            let length = self.notified.recv(&mut message).unwrap();
            let text = std::str::from_utf8(&message[..length]).unwrap();
            if text.lines().any(|told| told == line) {
                return;
            }
        }
        panic!("{line} was not told");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path) -> Command {
    command_with(folder, "run", "state")
}

fn command_with(folder: &Path, run: &str, state: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purserd"));
    command
        .env_clear()
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .env("WATCHDOG_USEC", "300000")
        .arg("--config")
        .arg(folder.join("purser.toml"))
        .arg("--run-dir")
        .arg(folder.join(run))
        .arg("--state-dir")
        .arg(folder.join(state))
        .stderr(Stdio::null());
    command
}

fn call(socket: &Path, method: &str) -> serde_json::Value {
    call_with(socket, method, &json!({}))
}

fn call_with(socket: &Path, method: &str, parameters: &serde_json::Value) -> serde_json::Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let call = json!({ "method": format!("org.purser.Purser1.{method}"), "parameters": parameters });
    write!(stream, "{call}\0").unwrap();
    let mut answer = Vec::new();
    BufReader::new(stream).read_until(0, &mut answer).unwrap();
    assert_eq!(answer.pop(), Some(0));
    serde_json::from_slice(&answer).unwrap()
}

#[test]
fn ready_is_told_when_clients_can_call_and_a_stop_is_clean() {
    let mut daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    let socket = daemon.path("run/org.purser.Purser1");
    let info = call(&socket, "GetInfo");
    assert_eq!(info["parameters"]["terminal_number"], "000000000001");
    assert_eq!(call(&socket, "Status")["parameters"]["ready"], false);
    assert_eq!(call(&socket, "Totals")["parameters"]["balanced"], true);
    daemon.signal(Signal::TERM);
    daemon.await_line("STOPPING=1");
    assert_eq!(daemon.exit_code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn files_are_closed_to_others_and_the_socket_is_for_user_and_group() {
    let daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    let mode = |name: &str| fs::metadata(daemon.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run"), 0o755);
    assert_eq!(mode("run/org.purser.Purser1"), 0o660);
    assert_eq!(mode("state"), 0o700);
    for file in fs::read_dir(daemon.path("state")).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
}

#[test]
fn no_core_file_is_ever_written() {
    let daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let columns: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(columns[4..6], ["0", "0"]);
}

#[test]
fn the_watchdog_is_fed_while_the_loop_turns() {
    let daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    for _ in 0..3 {
        daemon.await_line("WATCHDOG=1");
    }
}

#[test]
fn a_second_daemon_on_the_same_journal_or_the_same_socket_exits_with_75() {
    let daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    for (run, state) in [("run2", "state"), ("run", "state2")] {
        let mut second = command_with(daemon.folder.path(), run, state);
        assert_eq!(second.status().unwrap().code(), Some(75), "{run} {state}");
    }
}

#[test]
fn after_a_kill_the_dead_socket_is_replaced() {
    let mut daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.exit_code(), None);
    let socket = daemon.path("run/org.purser.Purser1");
    assert!(socket.exists());
    daemon.child = command(daemon.folder.path()).spawn().unwrap();
    daemon.await_line("READY=1");
    call(&socket, "GetInfo");
}

#[test]
fn a_credential_that_is_open_to_others_exits_with_78() {
    let mut daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));
    fs::set_permissions(daemon.path("sam.key"), fs::Permissions::from_mode(0o644)).unwrap();
    daemon.child = command(daemon.folder.path()).spawn().unwrap();
    assert_eq!(daemon.exit_code(), Some(78));
}

/// A journal of more cancelled sales than a start checks against the record chain; its file for whoever spoils it.
fn write_journal(state_dir: &Path) -> Vec<u8> {
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
            owner: Owner(rustix::process::geteuid().as_raw()),
            amount: Amount::new(300, "JPY".parse().unwrap()).unwrap(),
            reason: CloseReason::CancelledByPos,
        }),
    };
    let sales: Vec<_> = (1..=100).map(closed).collect();
    commit(&mut journal, &sales).unwrap();
    // Out of the WAL, where a changed byte reads as a torn write and cuts the tail.
    journal.maintain().unwrap();
    drop(journal);
    fs::read(state_dir.join("journal.db")).unwrap()
}

/// Changes a byte behind the beginning of each of these places.
fn spoil(state_dir: &Path, mut bytes: Vec<u8>, (places, behind): (&[u8], usize)) {
    // What a page was split from still has copies.
    let is_one = |place: &usize| bytes[*place..].starts_with(places);
    let found: Vec<usize> = (0..bytes.len()).filter(is_one).collect();
    assert!(!found.is_empty());
    found.iter().for_each(|place| bytes[place + behind] ^= 0x20);
    fs::write(state_dir.join("journal.db"), bytes).unwrap();
}

/// A daemon that has ended, with a journal in its folder that a start takes for whole.
fn ended_with_journal() -> (Daemon, Vec<u8>) {
    let mut daemon = Daemon::start(CONFIG);
    daemon.await_line("READY=1");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));
    fs::remove_dir_all(daemon.path("state")).unwrap();
    let bytes = write_journal(&daemon.path("state"));
    (daemon, bytes)
}

#[test]
fn whoever_asks_for_a_damaged_sale_is_told_so_and_ends_nothing() {
    let (mut daemon, bytes) = ended_with_journal();
    spoil(&daemon.path("state"), bytes, (b"\"reference\":\"till-1\"", 1));
    daemon.child = command(daemon.folder.path()).spawn().unwrap();
    daemon.await_line("READY=1");
    let socket = daemon.path("run/org.purser.Purser1");
    let asked = [
        (
            "BeginSale",
            json!({ "reference": "till-1", "amount": { "minor": 300, "currency": "JPY" } }),
        ),
        ("Attach", json!({ "reference": "till-1" })),
        ("Cancel", json!({ "reference": "till-1" })),
        (
            "Conclude",
            json!({ "reference": "till-1", "conclusion": "goods_given" }),
        ),
    ];
    for (method, parameters) in &asked {
        let answer = call_with(&socket, method, parameters);
        assert_eq!(answer["error"], "org.purser.Purser1.JournalDamaged", "{method}");
        assert_eq!(answer["parameters"]["transient"], false, "{method}");
    }
    let whole = call_with(&socket, "Attach", &json!({ "reference": "till-2" }));
    assert_eq!(
        whole["parameters"]["sale"]["reason"], "cancelled_by_pos",
        "{whole}"
    );
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn a_journal_that_is_held_tells_the_sales_that_it_has_and_begins_no_new_one() {
    let (mut daemon, bytes) = ended_with_journal();
    // The guard of the entries is not as it was made: no start reads its words, and no sale needs them.
    spoil(&daemon.path("state"), bytes, (b"'entries never vanish'", 3));
    daemon.child = command(daemon.folder.path()).spawn().unwrap();
    daemon.await_line("READY=1");
    let socket = daemon.path("run/org.purser.Purser1");
    let is_held = || {
        let status = call(&socket, "Status");
        let problems = status["parameters"]["problems"].as_array().cloned();
        problems.unwrap().iter().any(|it| it["name"] == "journal_damaged")
    };
    let since = Instant::now();
    while !is_held() {
        assert!(since.elapsed() < PATIENCE, "the damage is not told");
    }
    let begin = |reference: &str| {
        let sale = json!({ "reference": reference, "amount": { "minor": 300, "currency": "JPY" } });
        call_with(&socket, "BeginSale", &sale)
    };
    let repeat = begin("till-2");
    assert_eq!(repeat["parameters"]["standing"], "completed", "{repeat}");
    assert_eq!(repeat["parameters"]["sale"]["reason"], "cancelled_by_pos");
    let new = begin("till-101");
    assert_eq!(new["error"], "org.purser.Purser1.JournalDamaged", "{new}");
    assert_eq!(new["parameters"]["transient"], false);
    assert_eq!(mend(&daemon).status.code(), Some(75), "not while it runs");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));

    let mended = mend(&daemon);
    assert_eq!(mended.status.code(), Some(0), "{mended:?}");
    let note = fs::read_to_string(daemon.path("state/journal.mends")).unwrap();
    assert!(
        note.contains("the disk was changed") && note.contains(" user "),
        "{note}"
    );
    daemon.child = command(daemon.folder.path()).spawn().unwrap();
    daemon.await_line("READY=1");
    let new = begin("till-101");
    // There is no driver here, and nothing else keeps it from beginning.
    assert_eq!(new["error"], "org.purser.Purser1.NoReader", "{new}");
    assert_eq!(begin("till-50")["parameters"]["standing"], "completed");
    assert!(!is_held());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));
}

fn mend(daemon: &Daemon) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_purserd"))
        .args(["mend-journal", "--reason", "the disk was changed", "--state-dir"])
        .arg(daemon.path("state"))
        .output()
        .unwrap()
}
