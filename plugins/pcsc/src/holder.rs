//! Which programs hold a card: those that have the PC/SC library in their memory now.
//!
//! pcscd tells nobody who its clients are. What `/proc` tells is the best there is, and it has two holes: it shows
//! programs that use PC/SC, not which reader they use; and without root's rights it shows the own user's only. The
//! text says both.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

/// The file name that a PC/SC program has among its mappings.
const LIBRARY: &[u8] = b"libpcsclite";

/// How many programs are named: more do not fit into a detail text.
const NAMED_MAX: usize = 4;

/// One sentence on who may hold a card that pcscd says is held.
pub(crate) fn holder() -> String {
    tell(&scan(Path::new("/proc"), std::process::id()))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    programs: Vec<Program>,
    /// Whether there are processes that cannot be looked into.
    hidden: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    pid: u32,
}

fn scan(proc: &Path, own_pid: u32) -> Found {
    let mut found = Found::default();
    let Ok(entries) = fs::read_dir(proc) else {
        found.hidden = true;
        return found;
    };
    for entry in entries.flatten() {
        let Some(pid) = pid(&entry.file_name()).filter(|pid| *pid != own_pid) else {
            continue;
        };
        match fs::read(entry.path().join("maps")) {
            Ok(maps) if maps.windows(LIBRARY.len()).any(|window| window == LIBRARY) => {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                let name = name.trim_end().to_owned();
                found.programs.push(Program { name, pid });
            }
            Ok(_) => {}
            Err(error) => found.hidden |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    found.programs.sort_by_key(|program| program.pid);
    found
}

fn pid(file_name: &OsStr) -> Option<u32> {
    file_name.to_str()?.parse().ok()
}

fn tell(found: &Found) -> String {
    let named: Vec<String> = found
        .programs
        .iter()
        .take(NAMED_MAX)
        .map(|Program { name, pid }| format!("{name} (pid {pid})"))
        .collect();
    let who = match (named.as_slice(), found.hidden) {
        ([], true) => {
            return "another program holds the card; unknown which: it runs as another user".to_owned();
        }
        ([], false) => return "another program holds the card; unknown which".to_owned(),
        ([one], false) => return format!("{one} holds the card"),
        (several, _) => several.join(", "),
    };
    let others = if found.hidden {
        ", or one of another user"
    } else {
        ""
    };
    format!("another program holds the card, one of those that use PC/SC now: {who}{others}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: &str, name: &str, maps: &str) {
        let folder = proc.join(pid);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("comm"), format!("{name}\n")).expect("comm");
        fs::write(folder.join("maps"), maps).expect("maps");
    }

    const MAPPED: &str = "7f00-7f01 r-xp 00000000 fe:00 1 /usr/lib/x86_64-linux-gnu/libpcsclite.so.1.0.0\n";

    #[test]
    fn programs_with_the_library_are_found_and_the_own_process_is_not() {
        let proc = tempfile::tempdir().expect("a folder");
        process(proc.path(), "30", "scdaemon", MAPPED);
        process(proc.path(), "7", "other-till", MAPPED);
        process(
            proc.path(),
            "8",
            "bash",
            "7f00-7f01 r-xp 00000000 fe:00 1 /usr/lib/libc.so.6\n",
        );
        process(proc.path(), "9", "purser-driver-host", MAPPED);
        process(proc.path(), "self", "other-till", MAPPED);
        let found = scan(proc.path(), 9);
        let names: Vec<_> = found
            .programs
            .iter()
            .map(|program| (program.pid, program.name.as_str()))
            .collect();
        assert_eq!(names, [(7, "other-till"), (30, "scdaemon")]);
        assert!(!found.hidden);
    }

    #[test]
    fn one_program_is_the_holder_and_several_are_candidates() {
        let program = |name: &str, pid| Program {
            name: name.to_owned(),
            pid,
        };
        let mut found = Found {
            programs: vec![program("scdaemon", 30)],
            hidden: false,
        };
        assert_eq!(tell(&found), "scdaemon (pid 30) holds the card");
        found.hidden = true;
        assert!(tell(&found).contains("scdaemon (pid 30), or one of another user"));
        found.programs.push(program("till", 31));
        found.hidden = false;
        assert!(tell(&found).ends_with("use PC/SC now: scdaemon (pid 30), till (pid 31)"));
    }

    #[test]
    fn what_is_not_known_is_called_unknown() {
        assert!(tell(&Found::default()).contains("unknown"));
        assert!(
            tell(&Found {
                programs: Vec::new(),
                hidden: true
            })
            .contains("another user")
        );
        let nowhere = scan(Path::new("/nowhere"), 1);
        assert_eq!(
            nowhere,
            Found {
                programs: Vec::new(),
                hidden: true
            }
        );
    }
}
