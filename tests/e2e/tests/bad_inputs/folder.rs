//! State folders that are refused, and a journal or socket that another purserd has.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use e2e::{Fault, ensure};

use crate::purserd::{Home, Started, last_words};
use crate::table::{Group, says};
use crate::template::Template;

/// A user who is neither root nor purserd's.
const STRANGER: u32 = 12_345;
/// Another purserd is in the way.
const IN_USE: i32 = 75;

pub(crate) fn rows(template: &Template) -> Result<Group, Fault> {
    let programs = &template.programs;
    let mut group = Group::default();
    let home = Home::with_state(&template.settled())?;
    let mode = |mode| fs::set_permissions(&home.state, Permissions::from_mode(mode));
    for (name, bits) in [
        ("state folder open to others", 0o707),
        ("state folder open to the group", 0o770),
    ] {
        mode(bits)?;
        group.row(
            name,
            home.refused(
                programs,
                1,
                &["others may write to the state folder", "run chmod go-w"],
            ),
        );
    }
    mode(0o700)?;
    chown(&home.state, Some(STRANGER), None)?;
    group.row(
        "state folder of another owner",
        home.refused(
            programs,
            1,
            &[
                "the state folder belongs to user 12345",
                "make root or purserd's user its owner",
            ],
        ),
    );
    chown(&home.state, Some(0), None)?;
    home.starts_whole(programs, &template.head)?;

    group.row("file instead of the state folder", {
        let mut other = Home::new()?;
        other.state = home.config("purser.toml");
        other.refused(
            programs,
            74,
            &["the state folder cannot be read or written", "check the disk"],
        )
    });

    let Started::Ready(first) = home.start(programs)? else {
        return Err("it does not start".into());
    };
    group.row(
        "second purserd on the same journal",
        second(template, &home, Use::Journal),
    );
    group.row(
        "second purserd on the same socket",
        second(template, &home, Use::Socket),
    );
    ensure(first.head()? == template.head, || {
        "the first one is disturbed".to_owned()
    })?;
    drop(first);
    home.is_whole(programs, &template.head)?;
    Ok(group)
}

enum Use {
    Journal,
    Socket,
}

fn second(template: &Template, home: &Home, what: Use) -> Result<String, Fault> {
    let mut second = Home::with_state(&template.settled())?;
    let words: &[&str] = match what {
        Use::Journal => {
            second.state.clone_from(&home.state);
            &["the journal is in use by process", "stop that process first"]
        }
        Use::Socket => {
            std::os::unix::fs::symlink(home.folder.path().join("run"), second.folder.path().join("run"))?;
            &[
                "another purserd listens at",
                "stop it, or choose another --run-dir",
            ]
        }
    };
    match second.start(&template.programs)? {
        Started::Ready(_) => Err("it started".into()),
        Started::Ended(ended) => {
            ensure(ended.code == Some(IN_USE), || format!("{ended:?}"))?;
            says(&ended.said, words)?;
            Ok(format!("exit {IN_USE}: {}", last_words(&ended.said)))
        }
    }
}
