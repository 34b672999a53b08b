//! Changing a claim on the disk, below SQLite.

use std::fs;
use std::path::{Path, PathBuf};

use purser_lab::claims::{self, ClaimsError};

/// Where the TAC begins in the evidence, in bytes: behind technology, version, proof and the answer's mark.
const TAC_OFFSET: usize = 4;
/// The files of a journal that hold entries.
const JOURNAL_FILES: [&str; 2] = ["journal.db", "journal.db-wal"];

/// Changes one hexadecimal digit of the oldest claim's TAC on the disk, below SQLite: what somebody could do who has the
/// disk and no key. Answers the files that it changed.
pub(super) fn tamper(state_dir: &Path) -> Result<Vec<PathBuf>, TamperError> {
    let paid = claims::paid(state_dir).map_err(TamperError::Claims)?;
    let (_, first) = paid.first().ok_or(TamperError::NoClaim)?;
    let evidence = hex::encode(first.evidence.bytes());
    let mut changed = Vec::new();
    for path in JOURNAL_FILES
        .map(|name| state_dir.join(name))
        .into_iter()
        .filter(|path| path.exists())
    {
        let failed = |source| TamperError::Io {
            path: path.clone(),
            source,
        };
        let mut bytes = fs::read(&path).map_err(failed)?;
        let needle = evidence.as_bytes();
        let places = bytes.windows(needle.len()).enumerate();
        let places: Vec<usize> = places
            .filter(|(_, window)| *window == needle)
            .map(|(at, _)| at)
            .collect();
        for at in &places {
            let digit = &mut bytes[at + 2 * TAC_OFFSET];
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }
        if !places.is_empty() {
            fs::write(&path, bytes).map_err(failed)?;
            changed.push(path);
        }
    }
    if changed.is_empty() {
        return Err(TamperError::NoClaim);
    }
    Ok(changed)
}

/// Why the journal could not be tampered with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TamperError {
    /// There is no claim to change.
    #[error("there is no claim in the journal's files")]
    NoClaim,
    /// It cannot be read to begin with.
    #[error("there is no claim to change")]
    Claims(#[source] ClaimsError),
    /// A file.
    #[error("cannot change {path}")]
    Io { path: PathBuf, source: std::io::Error },
}
