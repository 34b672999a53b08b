//! The journal as a command holds it that changes a file beside it, and not the journal.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::files::{Owner, StateFolder};
use crate::{OpenError, Reader, head_file};

/// A journal that nobody can open for writing before this is dropped. Whoever may read the state folder's files can hold it: also
/// root, where they are another user's.
pub struct Held {
    reader: Reader,
    owner: Owner,
    _lock: File,
}

impl Held {
    /// Holds the journal of a state folder. Changes nothing in a folder that has none.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        drop(Reader::open(state_dir)?);
        let folder = StateFolder::new(state_dir);
        let lock = folder.lock()?;
        let owner = Owner::of(&folder.journal())?;
        owner.take(&lock)?;
        // Only now is it the journal that stays: mending exchanges the files.
        let reader = Reader::open(state_dir)?;
        let key = folder.key()?.ok_or(OpenError::KeyMissing)?;
        head_file::check(&folder, reader.conn(), &key)?;
        Ok(Self {
            reader,
            owner,
            _lock: lock,
        })
    }

    /// For reading.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Gives a file to whom the journal belongs to.
    ///
    /// # Errors
    /// The file system's: only root may give a file away.
    pub fn give(&self, file: &File) -> io::Result<()> {
        self.owner.take(file)
    }
}
