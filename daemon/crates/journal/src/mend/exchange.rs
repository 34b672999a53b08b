//! The files of a journal exchanged for the one that was made anew, so that a stop in between loses nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::files::{Owner, StateFolder, open_own};

/// Whether a mend was interrupted between its first rename and its last: only then is there a new journal and no old one.
pub(super) fn is_under_way(folder: &StateFolder) -> io::Result<bool> {
    Ok(!folder.journal().try_exists()? && folder.new_journal().try_exists()?)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn kept_name(folder: &StateFolder, number: u32) -> PathBuf {
    with_ending(&folder.journal(), &format!(".damaged-{number}"))
}

/// The highest number under which something is kept; 0 where nothing is.
fn highest_kept(folder: &StateFolder) -> io::Result<u32> {
    let kept = with_ending(&folder.journal(), ".damaged-");
    let prefix = kept.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let mut highest = 0;
    for file in fs::read_dir(kept.parent().unwrap_or(&kept))? {
        let name = file?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let number = number.and_then(|number| number.split('-').next()?.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}

/// A name for the damaged file that nothing has yet.
pub(super) fn free_name(folder: &StateFolder) -> io::Result<PathBuf> {
    let number = highest_kept(folder)?.checked_add(1);
    Ok(kept_name(folder, number.ok_or(io::ErrorKind::AlreadyExists)?))
}

/// The name that the interrupted exchange gave the damaged file, for what is left to follow it. A free one where that would write
/// over another file.
pub(super) fn begun_name(folder: &StateFolder) -> io::Result<PathBuf> {
    let begun = kept_name(folder, highest_kept(folder)?);
    let is_other = folder.wal().try_exists()? && with_ending(&begun, "-wal").try_exists()?;
    if is_other || !begun.try_exists()? {
        free_name(folder)
    } else {
        Ok(begun)
    }
}

/// Adds a line to `journal.mends`.
pub(super) fn write_note(folder: &StateFolder, owner: &Owner, line: &str) -> io::Result<()> {
    let mut file = open_own(&folder.mends(), OFlags::WRONLY | OFlags::APPEND)?;
    owner.take(&file)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    folder.sync()
}

/// The data base first: from then on every start says that it is gone. Without its WAL it would read as a journal that never had
/// its newest sales; and the WAL must be away before another file has the data base's name.
pub(super) fn exchange(folder: &StateFolder, kept: &Path) -> io::Result<()> {
    set_aside(&folder.journal(), kept)?;
    folder.sync()?;
    set_aside(&folder.wal(), &with_ending(kept, "-wal"))?;
    set_aside(&folder.wal_index(), &with_ending(kept, "-shm"))?;
    folder.sync()?;
    fs::rename(folder.new_journal(), folder.journal())?;
    folder.sync()
}

/// Renames what may have been renamed before.
fn set_aside(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the files of an exchange, each holding its name.
    fn before() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["journal.db", "journal.db-wal", "journal.db.new"] {
            fs::write(folder.path().join(name), name).expect("written");
        }
        folder
    }

    #[test]
    fn from_the_first_rename_to_the_last_nothing_has_the_data_bases_name_and_the_last_goes_on() {
        for obstacle in [Some("journal.db.damaged-1-wal"), None] {
            let temp = before();
            let at = |name: &str| temp.path().join(name);
            let folder = StateFolder::new(temp.path());
            let kept = free_name(&folder).expect("readable");
            // A folder is in the way of the WAL's new name; or, later, the new file is away.
            match obstacle {
                Some(obstacle) => fs::create_dir(at(obstacle)),
                None => fs::rename(at("journal.db.new"), at("away")),
            }
            .expect("renamed");
            exchange(&folder, &kept).expect_err("it is stopped");
            assert!(!at("journal.db").exists(), "{obstacle:?}");
            assert_eq!(fs::read_to_string(&kept).expect("readable"), "journal.db");
            match obstacle {
                Some(obstacle) => fs::remove_dir(at(obstacle)),
                None => fs::rename(at("away"), at("journal.db.new")),
            }
            .expect("renamed");
            assert!(is_under_way(&folder).expect("readable"));
            let begun = begun_name(&folder).expect("readable");
            assert_eq!(begun, kept);
            exchange(&folder, &begun).expect("it goes on");
            let content = |name: &str| fs::read_to_string(at(name)).expect("readable");
            assert_eq!(content("journal.db"), "journal.db.new");
            assert_eq!(content("journal.db.damaged-1"), "journal.db");
            assert_eq!(content("journal.db.damaged-1-wal"), "journal.db-wal");
            assert!(!at("journal.db-wal").exists() && !is_under_way(&folder).expect("readable"));
        }
    }

    #[test]
    fn a_damaged_file_is_kept_under_a_name_that_nothing_has() {
        let temp = before();
        let folder = StateFolder::new(temp.path());
        let kept = |number: &str| with_ending(&folder.journal(), &format!(".damaged-{number}"));
        assert_eq!(free_name(&folder).expect("readable"), kept("1"));
        assert_eq!(begun_name(&folder).expect("readable"), kept("1"));
        fs::write(kept("7-wal"), "").expect("written");
        assert_eq!(free_name(&folder).expect("readable"), kept("8"));
        assert_eq!(begun_name(&folder).expect("readable"), kept("8"));
        fs::write(kept("7"), "").expect("written");
        assert_eq!(begun_name(&folder).expect("readable"), kept("8"));
        fs::remove_file(kept("7-wal")).expect("it goes");
        assert_eq!(begun_name(&folder).expect("readable"), kept("7"));
    }
}
