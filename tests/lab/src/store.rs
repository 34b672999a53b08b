//! A card (or a PSAM, which is one) on disk: one file, replaced whole and synced at each change, before the card's answer leaves.
//!
//! An EEPROM keeps what it has written through any loss of power; so does this file through any kill. There is no
//! moment at which it holds half of an operation, and never two processes that use one card.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::card::{Card, CardReply, ScriptedFault, SnapshotError};
use crate::chip::Chip;
use crate::psam::Psam;

/// Only the owner may read a card file: it holds keys and the PIN, public as the lab's are.
const MODE: u32 = 0o600;

/// Why a card file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has this card.
    #[error("the card {path} is in use by another process; stop that one first")]
    InUse {
        /// The card file.
        path: PathBuf,
    },
    /// There is a card of this name already.
    #[error("{path} exists; a card is never overwritten: choose another name or delete it first")]
    Exists {
        /// The file that is in the way.
        path: PathBuf,
    },
    /// The file is no card.
    #[error("{path} cannot be read as a card")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether the same call can succeed later without anybody mending something.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::InUse { .. } => true,
            Self::Exists { .. } | Self::Damaged { .. } | Self::Io { .. } => false,
        }
    }
}

/// A purse card and the file that it lives in.
pub type CardFile = ChipFile<Card>;
/// A PSAM and the file that it lives in.
pub type PsamFile = ChipFile<Psam>;

/// A card and the file that it lives in.
#[derive(Debug)]
pub struct ChipFile<C> {
    path: PathBuf,
    card: C,
    stored_revision: u64,
    /// The lock on the file that `path` names; it moves with each replacement.
    lock: Lock,
}

/// A locked file. It is unlocked and not only closed: a child that another thread is just starting has a copy of the
/// descriptor until it executes its program.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // It fails for no file that was locked; closing would unlock it all the same.
        drop(self.0.unlock());
    }
}

impl<C: Chip> ChipFile<C> {
    /// Stores a new card.
    ///
    /// # Errors
    /// [`StoreError::Exists`], or [`StoreError::Io`] and no file of that name.
    pub fn create(path: &Path, card: C) -> Result<Self, StoreError> {
        let (temporary, lock) = write_temporary(path, &card)?;
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary).map_err(io_error("remove", &temporary))?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Exists {
                    path: path.to_owned(),
                });
            }
            linked => linked.map_err(io_error("create", path))?,
        }
        sync_directory(path)?;
        Ok(Self {
            path: path.to_owned(),
            stored_revision: card.revision(),
            card,
            lock,
        })
    }

    /// Opens a stored card for use by this process alone, until it is dropped.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Damaged`] or [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut lock = lock(path)?;
        let card: C = parse(path, &mut lock.0)?;
        Ok(Self {
            path: path.to_owned(),
            stored_revision: card.revision(),
            card,
            lock,
        })
    }

    /// Reads a stored card to look at it, whoever uses it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Io`].
    pub fn read(path: &Path) -> Result<C, StoreError> {
        let mut file = File::open(path).map_err(io_error("open", path))?;
        parse(path, &mut file)
    }

    /// The card.
    pub fn card(&self) -> &C {
        &self.card
    }

    /// Where it lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Executes a command on the card; what it changed is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Io`]: the answer must not leave, as the change may be lost. Drop the card and open it again.
    pub fn process(&mut self, apdu: &[u8]) -> Result<CardReply, StoreError> {
        self.change(|card| card.process(apdu))
    }

    /// Does something to the card; what it changed is durable when this returns.
    ///
    /// # Errors
    /// As [`ChipFile::process`].
    pub fn change<T>(&mut self, change: impl FnOnce(&mut C) -> T) -> Result<T, StoreError> {
        let outcome = change(&mut self.card);
        if self.card.revision() != self.stored_revision {
            self.replace()?;
        }
        Ok(outcome)
    }

    /// Scripts a fault. Faults are not stored: the EEPROM knows nothing of them.
    pub fn script(&mut self, fault: ScriptedFault<C::Fault>) {
        self.card.script(fault);
    }

    /// Takes back the faults that have not struck.
    pub fn clear_script(&mut self) {
        self.card.clear_script();
    }

    /// The card gets power. `seed` makes its challenges differ from those of its last life.
    pub fn power_on(&mut self, seed: u64) {
        self.card.power_on(seed);
    }

    /// The reader resets the card. It changes nothing that is stored.
    pub fn reset(&mut self) {
        self.card.reset();
    }

    /// The card loses its power. It changes nothing that is stored.
    pub fn power_off(&mut self) {
        self.card.power_off();
    }

    fn replace(&mut self) -> Result<(), StoreError> {
        let (temporary, lock) = write_temporary(&self.path, &self.card)?;
        fs::rename(&temporary, &self.path).map_err(io_error("replace", &self.path))?;
        sync_directory(&self.path)?;
        self.lock = lock;
        self.stored_revision = self.card.revision();
        Ok(())
    }
}

/// The card in a new file beside the old one, synced, and locked before anybody can find it under its name.
fn write_temporary(path: &Path, card: &impl Chip) -> Result<(PathBuf, Lock), StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .open(&temporary)?;
        file.write_all(card.to_json().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        file.lock()?;
        Ok(file)
    };
    let file = write().map_err(io_error("write", &temporary))?;
    Ok((temporary, Lock(file)))
}

fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let sync = || File::open(directory)?.sync_all();
    sync().map_err(io_error("sync", directory))
}

/// Locks the file that `path` names now: between opening and locking its owner may have replaced it.
fn lock(path: &Path) -> Result<Lock, StoreError> {
    loop {
        let file = File::open(path).map_err(io_error("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io_error("lock", path)(source)),
        }
        let file = Lock(file);
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let locked = file
            .0
            .metadata()
            .map(identity)
            .map_err(io_error("look at", path))?;
        if fs::metadata(path)
            .map(identity)
            .map_err(io_error("look at", path))?
            == locked
        {
            return Ok(file);
        }
    }
}

fn parse<C: Chip>(path: &Path, file: &mut File) -> Result<C, StoreError> {
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io_error("read", path))?;
    C::from_json(&text).map_err(|source| StoreError::Damaged {
        path: path.to_owned(),
        source,
    })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}
