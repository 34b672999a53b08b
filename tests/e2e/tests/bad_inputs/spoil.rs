//! Ways to spoil a state folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::{Fault, ensure};

/// SQLite's page, as the journal has it.
pub(crate) const PAGE: usize = 4096;
pub(crate) const DB: &str = "journal.db";
pub(crate) const WAL: &str = "journal.db-wal";
pub(crate) const KEY: &str = "chain.key";

pub(crate) fn remove(state: &Path, name: &str) -> Result<(), Fault> {
    Ok(fs::remove_file(state.join(name))?)
}

pub(crate) fn flip(state: &Path, name: &str, at: usize) -> Result<(), Fault> {
    let path = state.join(name);
    let mut bytes = fs::read(&path)?;
    let byte = bytes.get_mut(at).ok_or("the file is shorter")?;
    *byte ^= 0xFF;
    Ok(fs::write(path, bytes)?)
}

pub(crate) fn cut(state: &Path, name: &str, length: usize) -> Result<(), Fault> {
    let path = state.join(name);
    let bytes = fs::read(&path)?;
    Ok(fs::write(
        path,
        bytes.get(..length).ok_or("the file is shorter")?,
    )?)
}

pub(crate) fn folder(state: &Path) -> Result<(), Fault> {
    remove(state, DB)?;
    Ok(fs::create_dir(state.join(DB))?)
}

pub(crate) fn half(state: &Path) -> Result<(), Fault> {
    let length = fs::metadata(state.join(DB))?.len();
    cut(state, DB, usize::try_from(length)? / PAGE / 2 * PAGE)
}

/// Changes a text wherever it stands.
pub(crate) fn change_text(state: &Path, from: &str, to: &str) -> Result<(), Fault> {
    let path = state.join(DB);
    let mut bytes = fs::read(&path)?;
    let places: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(from.as_bytes()))
        .collect();
    ensure(!places.is_empty() && from.len() == to.len(), || {
        format!("{from} is not there")
    })?;
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    Ok(fs::write(path, bytes)?)
}

/// Spoils rows, as somebody with a data base shell does.
pub(crate) fn sql(state: &Path, statements: &str) -> Result<(), Fault> {
    python(
        state,
        "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit(); c.close()",
        statements,
    )
}

pub(crate) fn another_data_base(state: &Path) -> Result<(), Fault> {
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        drop(fs::remove_file(state.join(name)));
    }
    sql(state, "CREATE TABLE stamps (id)")
}

fn python(state: &Path, program: &str, argument: &str) -> Result<(), Fault> {
    let output = Command::new("python3")
        .args(["-c", program])
        .arg(state.join(DB))
        .arg(argument)
        .output()?;
    ensure(output.status.success(), || {
        String::from_utf8_lossy(&output.stderr).into_owned()
    })
}
