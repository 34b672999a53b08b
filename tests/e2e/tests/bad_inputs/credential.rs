//! SAM credentials that are refused: exit code 78, before the state folder is looked at, and no key is ever shown.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use e2e::{Fault, ensure};

use crate::purserd::Home;
use crate::table::Group;
use crate::template::Template;

/// What is done to a good credential.
type Spoil = fn(&Path) -> Result<(), Fault>;

type Row = (&'static str, Spoil, &'static [&'static str]);

const REFUSED: i32 = 78;
/// The lab's purchase key, in the digits of its file; public, but no key is for a log.
const KEY: &str = "00112233445566778899aabbccddeeff";
/// A user who is neither root nor purserd's.
const STRANGER: u32 = 12_345;

const ROWS: [Row; 13] = [
    (
        "missing file",
        |path| Ok(fs::remove_file(path)?),
        &["cannot be read", "sam.credential in purser.toml(5)"],
    ),
    (
        "open to others",
        |path| mode(path, 0o644),
        &[
            "is open to others (mode 0644)",
            "run chmod 0600",
            "change its keys",
        ],
    ),
    (
        "open to the group",
        |path| mode(path, 0o660),
        &["is open to others (mode 0660)", "run chmod 0600"],
    ),
    (
        "of another owner",
        |path| Ok(chown(path, Some(STRANGER), None)?),
        &["belongs to user 12345", "make root or purserd's user its owner"],
    ),
    (
        "empty",
        |path| write(path, b""),
        &["is refused", "has no [[purchase_key]]", "no card can pay"],
    ),
    (
        "syntax",
        |path| write(path, b"key := 1\n"),
        &[
            "line 1",
            "neither [[purchase_key]] nor field = value nor a comment",
        ],
    ),
    (
        "unknown field",
        |path| add(path, "colour = 1\n"),
        &["line 6", "neither [[purchase_key]] nor field"],
    ),
    (
        "key of the wrong length",
        |path| change(path, KEY, &KEY[..30]),
        &["line 4", "key is", "purser.toml(5)"],
    ),
    (
        "key that is not hexadecimal",
        |path| change(path, KEY, "zz112233445566778899aabbccddeeff"),
        &["line 4", "key is"],
    ),
    (
        "duplicate key version",
        |path| {
            let text = fs::read_to_string(path)?;
            add(path, &text)
        },
        &["line 6", "has the version of an earlier one"],
    ),
    (
        "version out of range",
        |path| change(path, "version = 1", "version = 256"),
        &["line 2", "version is"],
    ),
    (
        "folder instead of a file",
        |path| {
            fs::remove_file(path)?;
            Ok(fs::create_dir(path)?)
        },
        &["is not a file", "name the file itself"],
    ),
    (
        "huge file",
        |path| write(path, &[b'#'; 70_000]),
        &["is longer than 65536 bytes", "look whether it is the right file"],
    ),
];

/// Gives each to the program on one state folder, which stays as it is.
pub(crate) fn rows(template: &Template) -> Result<Group, Fault> {
    let programs = &template.programs;
    let mut group = Group::default();
    let home = Home::with_state(&template.settled())?;
    let path = home.config("sam.key");
    let good = fs::read(&path)?;
    for (name, spoil, words) in ROWS {
        let given = spoil(&path).and_then(|()| home.refused(programs, REFUSED, words));
        let given = given.and_then(|said| {
            ensure(!said.to_lowercase().contains(&KEY[..12]), || {
                "a key is shown".to_owned()
            })?;
            Ok(said)
        });
        group.row(name, given);
        if path.is_dir() {
            fs::remove_dir(&path)?;
        }
        drop(fs::remove_file(&path));
        write(&path, &good)?;
    }
    group.row("pipe that nobody writes into", {
        crate::config::pipe(&path)?;
        let given = mode(&path, 0o600).and_then(|()| home.refused(programs, REFUSED, &["is not a file"]));
        fs::remove_file(&path)?;
        write(&path, &good)?;
        given
    });
    home.starts_whole(programs, &template.head)?;
    Ok(group)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    fs::write(path, bytes)?;
    mode(path, 0o600)
}

fn mode(path: &Path, mode: u32) -> Result<(), Fault> {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

fn add(path: &Path, text: &str) -> Result<(), Fault> {
    let before = fs::read_to_string(path)?;
    write(path, format!("{before}{text}").as_bytes())
}

fn change(path: &Path, from: &str, to: &str) -> Result<(), Fault> {
    let before = fs::read_to_string(path)?;
    let found = before
        .to_lowercase()
        .find(from)
        .ok_or("it is not in the credential")?;
    let after = format!("{}{to}{}", &before[..found], &before[found + from.len()..]);
    write(path, after.as_bytes())
}
