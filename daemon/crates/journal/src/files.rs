//! The state folder: who may use it, its lock and its key file.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid, fchown, flock};
use zeroize::Zeroizing;

use crate::OpenError;
use crate::chain::{ChainKey, KEY_BYTES};

const JOURNAL_FILE: &str = "journal.db";
const KEY_FILE: &str = "chain.key";
const LOCK_FILE: &str = "journal.lock";
const HEAD_FILE: &str = "journal.head";
const MENDS_FILE: &str = "journal.mends";
/// Files hold what buyers bought: for the owner only.
pub(crate) const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Opens a file of the state folder to write, made where it is missing. Root does so in folders of others, who must not lead it to
/// another file: no link is followed, and the file has one name.
pub(crate) fn open_own(path: &Path, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(FILE_MODE))?);
    let found = file.metadata()?;
    if found.is_file() && found.nlink() == 1 {
        Ok(file)
    } else {
        Err(io::Error::other(format!(
            "{} is no file, or has another name too; remove it",
            path.display()
        )))
    }
}

/// Paths below one state folder.
#[derive(Clone, Debug)]
pub(crate) struct StateFolder(PathBuf);

impl StateFolder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join(JOURNAL_FILE)
    }

    /// A journal that is made anew, until it takes the old one's name.
    pub(crate) fn new_journal(&self) -> PathBuf {
        self.0.join(format!("{JOURNAL_FILE}.new"))
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.0.join(format!("{JOURNAL_FILE}-wal"))
    }

    pub(crate) fn wal_index(&self) -> PathBuf {
        self.0.join(format!("{JOURNAL_FILE}-shm"))
    }

    pub(crate) fn mends(&self) -> PathBuf {
        self.0.join(MENDS_FILE)
    }

    pub(crate) fn head_file(&self) -> PathBuf {
        self.0.join(HEAD_FILE)
    }

    /// Makes the folder where it is missing, and refuses one that others may write to or own.
    pub(crate) fn prepare(&self) -> Result<(), OpenError> {
        if !self.0.try_exists()? {
            DirBuilder::new()
                .recursive(true)
                .mode(FOLDER_MODE)
                .create(&self.0)?;
            if let Some(parent) = self.0.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        let folder = fs::metadata(&self.0)?;
        if folder.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(OpenError::FolderShared);
        }
        let owner = folder.uid();
        if owner == 0 || owner == rustix::process::geteuid().as_raw() {
            Ok(())
        } else {
            Err(OpenError::FolderOwner { owner })
        }
    }

    /// Makes names that were created in the folder durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    /// Makes the data base file where it is missing; SQLite gives its companions the same mode.
    pub(crate) fn create_journal(&self) -> Result<(), OpenError> {
        let path = self.journal();
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
        {
            Ok(file) => {
                file.sync_all()?;
                self.sync()?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::set_permissions(&path, Permissions::from_mode(FILE_MODE))?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Becomes the journal's one owner until the file that is returned is closed.
    pub(crate) fn lock(&self) -> Result<File, OpenError> {
        let mut file = open_own(&self.0.join(LOCK_FILE), OFlags::RDWR)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::Locked {
                    pid: read_pid(&mut file),
                });
            }
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(file)
    }

    /// Whether the data base file is missing, empty or no file. SQLite must not open an empty one: it deletes the WAL beside it.
    pub(crate) fn lacks_journal(&self) -> io::Result<bool> {
        match fs::metadata(self.journal()) {
            Ok(file) => Ok(file.len() == 0 || !file.is_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether a head was ever noted: then there was an entry.
    pub(crate) fn has_head(&self) -> io::Result<bool> {
        match fs::metadata(self.head_file()) {
            Ok(file) => Ok(file.len() > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a file of the chain's key: then there was a journal.
    pub(crate) fn has_key(&self) -> io::Result<bool> {
        self.0.join(KEY_FILE).try_exists()
    }

    /// Reads the chain's key; none where there is no key file yet.
    pub(crate) fn key(&self) -> Result<Option<ChainKey>, OpenError> {
        let mut file = match File::open(self.0.join(KEY_FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if file.metadata()?.len() != u64::try_from(KEY_BYTES).expect("a small number") {
            return Err(OpenError::KeyUnusable);
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        file.read_exact(bytes.as_mut_slice())?;
        Ok(Some(ChainKey::new(bytes)))
    }

    /// Makes a key and its file; both are durable, whole and under their name when this returns.
    pub(crate) fn create_key(&self) -> Result<ChainKey, OpenError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::from)?;
        let unfinished = self.0.join(format!("{KEY_FILE}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&unfinished)?;
        file.write_all(bytes.as_slice())?;
        file.sync_all()?;
        fs::rename(&unfinished, self.0.join(KEY_FILE))?;
        self.sync()?;
        Ok(ChainKey::new(bytes))
    }
}

/// Whom the journal's files belong to. What root makes beside them must not be what purserd's user cannot open.
pub(crate) struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self {
            user: file.uid(),
            group: file.gid(),
        })
    }

    /// Gives a file to this owner.
    pub(crate) fn take(&self, file: &File) -> io::Result<()> {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) == (self.user, self.group) {
            return Ok(());
        }
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        Ok(fchown(file, Some(user), Some(group))?)
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
