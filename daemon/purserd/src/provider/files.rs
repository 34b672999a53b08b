//! The folder `provider` in the state folder: the identity, and keys of enrolments whose answer has not come yet.
//!
//! ```text
//! provider/identity.json       the device key, its certificate and what was pinned: replaced as a whole
//! provider/enrolment-*.key     a new key, durable before the provider hears of it, until its answer is stored
//! provider/renewal.key         the same for a renewal
//! provider/parameters.json     the provider's signed parameters: replaced as a whole
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid, fchown, flock};
use zeroize::Zeroizing;

use super::identity::{self, DecodeError, Identity};
use super::key::{DeviceKey, KeyError, generate};

const FOLDER: &str = "provider";
const IDENTITY: &str = "identity.json";
/// The file of the provider's parameters.
pub(super) const PARAMETERS: &str = "parameters.json";
/// What a file is called until it is whole.
const NEW_SUFFIX: &str = ".new";
/// The longest file with a key: two certificates in hex.
const SECRET_BYTES_MAX: usize = 64 * 1024;
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no identity.
    #[error("this terminal is not enrolled: {} is not there; run `purserd enrol` with the provider's code", .0.display())]
    NotEnrolled(PathBuf),
    /// A file or folder cannot be used.
    #[error("{} cannot be {done}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// "read", "made" or "written".
        done: &'static str,
        /// Why. Told in this error's own words too, so it is no source.
        source: io::Error,
    },
    /// Others may read or write the file, or it is not the daemon's.
    #[error(
        "{} is open to others or belongs to user {owner} (mode {mode:04o}); have the terminal revoked at the provider if its \
         key may have been read, or run chmod 0600 and chown on it", path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is damaged.
    #[error("{} is damaged: {why}; put it back from a copy, or enrol with a new code", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another enrolment is under way.
    #[error("another enrolment of this terminal is under way; wait until it has ended")]
    InUse,
}

impl FilesError {
    /// True for what ends by itself.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::InUse => true,
            Self::NotEnrolled(_) | Self::Io { .. } | Self::OpenToOthers { .. } | Self::Damaged { .. } => {
                false
            }
        }
    }

    /// Its name, as `purserd enrol --json` tells it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::NotEnrolled(_) => "NotEnrolled",
            Self::Io { .. } => "StateFolder",
            Self::OpenToOthers { .. } => "KeyFileOpen",
            Self::Damaged { .. } => "Damaged",
            Self::InUse => "InUse",
        }
    }
}

fn io_error<'a>(path: &'a Path, done: &'static str) -> impl FnOnce(io::Error) -> FilesError + 'a {
    move |source| FilesError::Io {
        path: path.to_owned(),
        done,
        source,
    }
}

/// Reads the identity out of a state folder.
pub(super) fn identity(state_dir: &Path) -> Result<Identity, FilesError> {
    stored(&state_dir.join(FOLDER)).map(|(identity, _)| identity)
}

/// An identity with its key's bytes.
type Stored = (Identity, Zeroizing<Vec<u8>>);

fn stored(folder: &Path) -> Result<Stored, FilesError> {
    let path = folder.join(IDENTITY);
    let bytes = read(&path, SECRET_BYTES_MAX)?.ok_or_else(|| FilesError::NotEnrolled(path.clone()))?;
    identity::decode(&bytes).map_err(|error: DecodeError| FilesError::Damaged {
        path,
        why: error.to_string(),
    })
}

/// Reads a file of the folder that is no secret, of at most so many bytes; none where it is not there.
pub(super) fn kept(
    state_dir: &Path,
    name: &str,
    bytes_max: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, FilesError> {
    read(&state_dir.join(FOLDER).join(name), bytes_max)
}

/// Reads what is this user's or root's alone; none where the file is not there.
fn read(path: &Path, bytes_max: usize) -> Result<Option<Zeroizing<Vec<u8>>>, FilesError> {
    // Without waiting: a pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = match rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from) {
        Ok(file) => File::from(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, "read")(error)),
    };
    let metadata = file.metadata().map_err(io_error(path, "read"))?;
    let us = rustix::process::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    // Root reads every user's: it enrols for the daemon.
    if (owner != us && owner != 0 && us != 0) || mode & 0o077 != 0 {
        return Err(FilesError::OpenToOthers {
            path: path.to_owned(),
            owner,
            mode,
        });
    }
    let length = usize::try_from(metadata.len()).ok();
    let length = length.filter(|length| metadata.is_file() && *length <= bytes_max);
    let length = length.ok_or_else(|| FilesError::Damaged {
        path: path.to_owned(),
        why: "it is no file, or too long".to_owned(),
    })?;
    // The full length at once: a buffer that grew would leave a copy of the key behind.
    let mut bytes = Zeroizing::new(vec![0; length]);
    file.read_exact(&mut bytes).map_err(io_error(path, "read"))?;
    Ok(Some(bytes))
}

/// The folder while it is being changed: nobody else changes it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Whose the files shall be: the state folder's owner, also where root enrols.
    owner: (Uid, Gid),
    /// Locked, and what makes names durable.
    handle: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Said, and not left to the descriptor's end: a program that is being started can hold a copy of it until it runs.
        let _ = flock(&self.handle, FlockOperation::Unlock);
    }
}

impl Folder {
    /// Opens the folder for a change, and makes it where it is missing.
    pub(super) fn open(state_dir: &Path) -> Result<Self, FilesError> {
        make(state_dir)?;
        let metadata = fs::metadata(state_dir).map_err(io_error(state_dir, "read"))?;
        let owner = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        let path = state_dir.join(FOLDER);
        make(&path)?;
        let handle = File::open(&path).map_err(io_error(&path, "read"))?;
        match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => return Err(FilesError::InUse),
            Err(error) => return Err(io_error(&path, "locked")(error.into())),
        }
        let folder = Self { path, owner, handle };
        folder
            .give(&folder.handle)
            .map_err(io_error(&folder.path, "made"))?;
        Ok(folder)
    }

    fn give(&self, file: &File) -> io::Result<()> {
        let (user, group) = self.owner;
        if rustix::process::geteuid().is_root() {
            fchown(file, Some(user), Some(group))?;
        }
        Ok(())
    }

    /// The identity with its key's bytes, if there is one.
    pub(super) fn stored(&self) -> Result<Option<Stored>, FilesError> {
        match stored(&self.path) {
            Ok(stored) => Ok(Some(stored)),
            Err(FilesError::NotEnrolled(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The key of an enrolment or renewal that was begun under this name, or a new one: durable either way.
    pub(super) fn pending_key(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, FilesError> {
        let path = self.path.join(name);
        if let Some(pkcs8) = read(&path, SECRET_BYTES_MAX)? {
            // One that was not written to its end was never sent.
            if DeviceKey::from_pkcs8(&pkcs8).is_ok() {
                return Ok(pkcs8);
            }
        }
        let pkcs8 = generate().map_err(|error: KeyError| FilesError::Io {
            path: path.clone(),
            done: "made",
            source: io::Error::other(error.to_string()),
        })?;
        self.write(&path, &pkcs8)?;
        self.sync()?;
        Ok(pkcs8)
    }

    /// Puts an identity in place of the one that is there, and forgets the pending key.
    pub(super) fn replace(&self, identity: &[u8], pending: &str) -> Result<(), FilesError> {
        self.put(IDENTITY, identity)?;
        let pending = self.path.join(pending);
        match fs::remove_file(&pending) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(&pending, "removed")(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Puts a file in place of the one of this name: the one or the other is there after a crash, and the new one when this returns.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), FilesError> {
        let (new, path) = (
            self.path.join(format!("{name}{NEW_SUFFIX}")),
            self.path.join(name),
        );
        self.write(&new, bytes)?;
        fs::rename(&new, &path).map_err(io_error(&path, "written"))?;
        self.sync()
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FilesError> {
        // What an interrupted run has left under the name goes first, with the rights that it had.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(path, "replaced")(error));
            }
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        let written = options.open(path).and_then(|mut file| {
            self.give(&file)?;
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(io_error(path, "written"))
    }

    fn sync(&self) -> Result<(), FilesError> {
        self.handle.sync_all().map_err(io_error(&self.path, "written"))
    }
}

fn make(folder: &Path) -> Result<(), FilesError> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(folder, "made")(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
