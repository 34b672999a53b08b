//! A small file that tells how far the journal had come, so that a tail that got lost is found at the next start.
//!
//! SQLite reads a WAL up to its first frame that does not check out, and a data base without its WAL is a whole data base:
//! a damaged or deleted WAL, or an older `journal.db` put in place, reads as a journal that never had its newest sales. Their
//! terminal serial numbers would be used again, and their claims be lost without a word.
//!
//! ```text
//! NUMBER:DIGEST MAC      the head after the newest commit, and a MAC over it under the chain's key
//! ```
//! It is written after each commit, over the same bytes of the same block, and never synced by a sale: a sale keeps its two
//! syncs. So it may be older than the journal (after a power cut, or where it could not be written), and is never newer: it
//! never claims an entry that was not durable. One that does not check out claims nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use purser_ledger::Head;
use rusqlite::{Connection, OptionalExtension};

use crate::OpenError;
use crate::chain::ChainKey;
use crate::files::{FILE_MODE, StateFolder};
use crate::rows::signed;

/// A line is shorter: twenty digits, two digests in hexadecimal and three signs.
const LINE_BYTES_MAX: u64 = 256;

/// The file, open for the one writer; none where it could not be made, which costs nothing but the safeguard.
#[derive(Debug)]
pub(crate) struct HeadFile(Option<File>);

impl HeadFile {
    /// Takes over the file, or makes it, and notes the head that was just read.
    pub(crate) fn open(folder: &StateFolder, key: &ChainKey, head: Head) -> Self {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(folder.head_file());
        let opened = Self(file.ok());
        opened.note(key, head);
        opened.sync();
        opened
    }

    /// Notes a head that is durable. A failure leaves an older note or one that does not check out: both claim too little.
    pub(crate) fn note(&self, key: &ChainKey, head: Head) {
        if let Some(file) = self.0.as_ref().filter(|_| head != Head::EMPTY) {
            let _ = file.write_all_at(line(key, head).as_bytes(), 0);
        }
    }

    /// Lets the note outlive a power cut. Not for a sale: its syncs are counted.
    pub(crate) fn sync(&self) {
        if let Some(file) = &self.0 {
            let _ = file.sync_all();
        }
    }
}

/// Notes a head so that it outlives a power cut. `own` gives the file to whom it is to belong to.
///
/// # Errors
/// It could not be written: the head is not vouched for.
pub(crate) fn keep(
    folder: &StateFolder,
    key: &ChainKey,
    head: Head,
    own: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    if head == Head::EMPTY {
        return Ok(());
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(folder.head_file())?;
    own(&file)?;
    file.write_all_at(line(key, head).as_bytes(), 0)?;
    file.sync_all()
}

fn line(key: &ChainKey, head: Head) -> String {
    let mac = Head {
        number: head.number,
        digest: key.vouch(head),
    };
    format!("{head} {mac}\n")
}

/// The head that the file vouches for; none where there is no file, or one that does not check out.
pub(crate) fn noted(folder: &StateFolder, key: &ChainKey) -> io::Result<Option<Head>> {
    let file = match File::open(folder.head_file()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(LINE_BYTES_MAX).read_to_end(&mut text)?;
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let head = std::str::from_utf8(first)
        .ok()
        .and_then(|text| text.split_once(' '))
        .and_then(|(head, _)| head.parse::<Head>().ok());
    Ok(head.filter(|head| line(key, *head).trim_end().as_bytes() == first))
}

/// Refuses a journal that has lost what the file vouches for. Only reads: what is lost to SQLite may yet be mended by a person.
///
/// # Errors
/// [`OpenError::TailCut`] or [`OpenError::Replaced`].
pub(crate) fn check(folder: &StateFolder, conn: &Connection, key: &ChainKey) -> Result<(), OpenError> {
    let Some(expected) = noted(folder, key)? else {
        return Ok(());
    };
    let digest: Option<Vec<u8>> = conn
        .prepare("SELECT digest FROM entries WHERE number = ?1")?
        .query_row((signed(expected.number),), |row| row.get(0))
        .optional()?;
    match digest {
        Some(digest) if digest == expected.digest => Ok(()),
        Some(_) => Err(OpenError::Replaced {
            number: expected.number,
        }),
        None => {
            let found: Option<i64> =
                conn.query_row("SELECT max(number) FROM entries", (), |row| row.get(0))?;
            Err(OpenError::TailCut {
                found: found.and_then(|number| u64::try_from(number).ok()).unwrap_or(0),
                expected: expected.number,
            })
        }
    }
}
