//! Configurations that are refused: exit code 78, before the state folder is even looked at.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::{Fault, ensure};
use purser_lab::stack::Programs;

use crate::purserd::{CONFIG, Home};
use crate::table::{Group, says};
use crate::template::Template;

/// What is done to a good configuration.
type Spoil = fn(&Home) -> Result<(), Fault>;

/// A row: its name, what is done, and what must be said.
type Row = (&'static str, Spoil, &'static [&'static str]);

/// The refusal of a configuration.
const REFUSED: i32 = 78;

const ROWS: [Row; 24] = [
    (
        "syntax error",
        |home| append(home, "[bus2\n"),
        &["unclosed table, expected `]`", "purser.toml:9:"],
    ),
    (
        "unknown key",
        |home| append(home, "[pin]\nthrough_apy = true\n"),
        &[
            "unknown key `through_apy`",
            "did you mean `through_api`?",
            "purser.toml:10:1",
        ],
    ),
    (
        "unknown section",
        |home| append(home, "[sales]\nmax = 3\n"),
        &["unknown key `sales`", "known here:", "`terminal`"],
    ),
    (
        "wrong type",
        |home| append(home, "[pin]\nthrough_api = \"yes\"\n"),
        &["expected true or false", "purser.toml:10:15"],
    ),
    (
        "a number where a text belongs",
        |home| replace(home, "\"000000000001\"", "1"),
        &["expected a string", "purser.toml:2:"],
    ),
    (
        "terminal number of eleven digits",
        |home| replace(home, "000000000001", "00000000001"),
        &[
            "a PSAM terminal number is written as 12 hex digits",
            "purser.toml:2:",
        ],
    ),
    (
        "issuer id of the wrong length",
        |home| replace(home, "5055525345520001", "50555253"),
        &["an issuer id is written as 16 hex digits", "purser.toml:6:"],
    ),
    (
        "currency in lower case",
        |home| replace(home, "\"JPY\"", "\"jpy\""),
        &["a currency is three capital letters of ISO 4217", "such as JPY"],
    ),
    (
        "value out of range",
        |home| append(home, "[timeouts]\ncard_wait_ms = 5\n"),
        &["expected 1000 to 3600000 milliseconds", "purser.toml:10:"],
    ),
    (
        "negative amount",
        |home| append(home, "[pin.free_up_to]\nJPY = -1\n"),
        &["invalid value: integer `-1`, expected a whole number"],
    ),
    (
        "number too large for its key",
        |home| append(home, "[journal]\nreserve_mib = 99999999999\n"),
        &["invalid value: integer `99999999999`, expected a whole number"],
    ),
    (
        "duplicate key",
        |home| append(home, "bus = \"off\"\n"),
        &["duplicate key", "purser.toml:9:1"],
    ),
    (
        "limit for a currency that no card has",
        |home| append(home, "[pin.free_up_to]\nEUR = 1000\n"),
        &["names EUR, but no issuer", "add the issuer, or take the line out"],
    ),
    (
        "PIN pad of a driver that is not there",
        |home| append(home, "[pin.pads]\nreader = \"keypad\"\n"),
        &[
            "names `reader`, but no driver file is called `reader.toml`",
            "write one file for each",
        ],
    ),
    (
        "bad drop-in",
        |home| drop_in(home, "50-shop.toml", b"[pin]\nthrough_api = maybe\n"),
        &["50-shop.toml:2:"],
    ),
    (
        "drop-in with a key of another version",
        |home| drop_in(home, "50-shop.toml", b"[settlement]\nat = \"03:00\"\n"),
        &["unknown key `settlement`", "50-shop.toml:1:"],
    ),
    (
        "driver file without a path",
        |home| driver(home, "reader.toml", "devices = \"one\"\n"),
        &["missing key `path`", "reader.toml:1:1"],
    ),
    (
        "driver file with a name that is none",
        |home| driver(home, "a b.toml", "path = \"a.so\"\n"),
        &["the file name cannot name a driver", "a b.toml"],
    ),
    (
        "missing file",
        |home| Ok(fs::remove_file(home.config("purser.toml"))?),
        &["cannot read", "purser.toml", "--config"],
    ),
    (
        "folder instead of a file",
        |home| {
            fs::remove_file(home.config("purser.toml"))?;
            Ok(fs::create_dir(home.config("purser.toml"))?)
        },
        &["purser.toml is not a file", "name a file"],
    ),
    (
        "pipe instead of a file",
        |home| pipe(&home.config("purser.toml")),
        &["purser.toml is not a file", "name a file"],
    ),
    (
        "empty file",
        |home| write(home, b""),
        &["[issuers] is not set", "name the issuers whose cards are taken"],
    ),
    (
        "not UTF-8",
        |home| write(home, b"[terminal]\n# caf\xE9\n"),
        &["is not UTF-8 text: byte 17 does not fit", "save it as UTF-8"],
    ),
    (
        "huge file",
        |home| write(home, "# nothing\n".repeat(200_000).as_bytes()),
        &[
            "is longer than 1048576 bytes",
            "look whether it is the right file",
        ],
    ),
];

/// Gives each to the program on one state folder, which stays as it is.
pub(crate) fn rows(template: &Template) -> Result<Group, Fault> {
    let programs = &template.programs;
    let mut group = Group::default();
    let home = Home::with_state(&template.settled())?;
    for (name, spoil, words) in ROWS {
        group.row(name, refused(&home, programs, spoil, words));
    }
    group.row("unreadable file", unreadable(&home, programs));
    home.starts_whole(programs, &template.head)?;
    Ok(group)
}

fn refused(home: &Home, programs: &Programs, spoil: Spoil, words: &[&str]) -> Result<String, Fault> {
    spoil(home)?;
    let said = home.refused(programs, REFUSED, words);
    let checked = home.run(programs, &["check-config"]);
    mend(home)?;
    let checked = checked?;
    ensure(checked.code == Some(REFUSED), || {
        format!("check-config: {checked:?}")
    })?;
    says(&checked.said, words)?;
    said
}

/// Another user than root, for whom the file's mode counts, runs the check: nobody is on every machine.
fn unreadable(home: &Home, programs: &Programs) -> Result<String, Fault> {
    // The program's own folder need not be open to others; a copy of the program in a folder that is.
    let folder = tempfile::tempdir()?;
    let open = |path: &Path, mode: u32| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
    };
    open(folder.path(), 0o755)?;
    let program = folder.path().join("purserd");
    fs::copy(&programs.purserd, &program)?;
    open(&program, 0o755)?;
    let config = folder.path().join("purser.toml");
    fs::write(&config, CONFIG)?;
    open(&config, 0o600)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let output = command
        .arg(&program)
        .arg("check-config")
        .arg("--config")
        .arg(&config)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.code() == Some(REFUSED), || {
        format!("{:?}: {said}", output.status)
    })?;
    says(
        &said,
        &["cannot read", "Permission denied", "let purserd's user read it"],
    )?;
    ensure(home.state.join("journal.db").exists(), || {
        "the state is gone".to_owned()
    })?;
    Ok(said)
}

fn mend(home: &Home) -> Result<(), Fault> {
    let path = home.config("purser.toml");
    if path.is_dir() {
        fs::remove_dir(&path)?;
    }
    drop(fs::remove_file(&path));
    for folder in ["purser.toml.d", "drivers.d"] {
        drop(fs::remove_dir_all(home.config(folder)));
    }
    write(home, CONFIG.as_bytes())
}

fn write(home: &Home, bytes: &[u8]) -> Result<(), Fault> {
    Ok(fs::write(home.config("purser.toml"), bytes)?)
}

fn append(home: &Home, text: &str) -> Result<(), Fault> {
    write(home, format!("{CONFIG}{text}").as_bytes())
}

fn replace(home: &Home, from: &str, to: &str) -> Result<(), Fault> {
    ensure(CONFIG.contains(from), || format!("{from} is not in it"))?;
    write(home, CONFIG.replacen(from, to, 1).as_bytes())
}

fn drop_in(home: &Home, name: &str, bytes: &[u8]) -> Result<(), Fault> {
    let folder = home.config("purser.toml.d");
    fs::create_dir(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

fn driver(home: &Home, name: &str, text: &str) -> Result<(), Fault> {
    let folder = home.config("drivers.d");
    fs::create_dir(&folder)?;
    Ok(fs::write(folder.join(name), text)?)
}

/// Puts a pipe that nobody writes into where a file was.
pub(crate) fn pipe(path: &Path) -> Result<(), Fault> {
    drop(fs::remove_file(path));
    let made = Command::new("mkfifo").arg(path).status()?;
    ensure(made.success(), || "mkfifo failed".to_owned())
}
