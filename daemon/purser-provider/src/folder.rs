//! The provider's folder: its data base, its keys and certificates.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::fault::{Failure, Fault};

/// The longest file that is read: a credential with every key version and comments.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The folder and the names in it.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn data_base(&self) -> PathBuf {
        self.0.join("provider.db")
    }

    /// The key of the private CA.
    pub(crate) fn authority_key(&self) -> PathBuf {
        self.0.join("authority.key")
    }

    pub(crate) fn authority_certificate(&self) -> PathBuf {
        self.0.join("authority.der")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.0.join("server.key")
    }

    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.0.join("server.der")
    }

    /// The key that signs verdicts, permits and voids.
    pub(crate) fn signing_key(&self) -> PathBuf {
        self.0.join("signing.key")
    }

    /// The public half of it, for terminals and auditors.
    pub(crate) fn signing_public_key(&self) -> PathBuf {
        self.0.join("signing.pub")
    }

    /// Makes the folder, open to its owner only, durable under its name. One that is there must be empty.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        self.make_it()?;
        let parent = match self.0.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        sync(parent)
    }

    fn make_it(&self) -> Result<(), Failure> {
        let mut builder = std::fs::DirBuilder::new();
        match builder.mode(0o700).create(&self.0) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut entries =
                    std::fs::read_dir(&self.0).map_err(|source| file("read", &self.0, source))?;
                if entries.next().is_some() {
                    return Err(Fault::conflict(
                        "FolderNotEmpty",
                        format!("{} is not empty", self.0.display()),
                        "name a folder that does not exist; nothing was changed in this one",
                    )
                    .into());
                }
                use std::os::unix::fs::PermissionsExt;
                let closed = std::fs::Permissions::from_mode(0o700);
                std::fs::set_permissions(&self.0, closed)
                    .map_err(|source| file("closed to others", &self.0, source))
            }
            Err(source) => Err(file("made", &self.0, source)),
        }
    }

    /// Makes what is written durable under its name.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        sync(&self.0)
    }
}

fn sync(folder: &Path) -> Result<(), Failure> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| file("written to the disk", folder, source))
}

fn file(done: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        done,
        source,
    }
}

/// Writes a new file that only its owner may read. One that is there is left alone.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
    written.map_err(|source| file("made", path, source))
}

/// Reads a file that holds no secret.
pub(crate) fn read_public(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let opened = File::open(path).map_err(|source| file("read", path, source))?;
    opened
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|source| file("read", path, source))?;
    Ok(bytes)
}

/// Reads a secret: a file of root or of this user that is closed to everyone else.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut opened = OpenOptions::new()
        .read(true)
        // Without waiting: a pipe would wait for its writer.
        .custom_flags(nonblocking())
        .open(path)
        .map_err(|source| file("read", path, source))?;
    let metadata = opened.metadata().map_err(|source| file("read", path, source))?;
    let us = rustix::process::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode());
    // systemd lets a service read its credential through an ACL, which shows as the group's right of root's file.
    let acl_of_systemd = owner == 0 && us != 0 && mode & 0o777 == 0o440;
    let refused = |name, cause, remedy| Err(Fault::conflict(name, cause, remedy).into());
    if !metadata.is_file() {
        let cause = format!("{} is not a file", path.display());
        return refused("NotAFile", cause, "name the file itself");
    }
    if owner != 0 && owner != us {
        let cause = format!("{} belongs to user {owner}", path.display());
        return refused(
            "KeyFileOwner",
            cause,
            "make root or the provider's user its owner",
        );
    }
    if mode & 0o077 != 0 && !acl_of_systemd {
        let cause = format!(
            "{} is open to others (mode {:04o})",
            path.display(),
            mode & 0o7777
        );
        let remedy = "run chmod 0600 on it, and change its keys if it may have been read";
        return refused("KeyFileOpen", cause, remedy);
    }
    let length = usize::try_from(metadata.len()).ok();
    let Some(length) = length.filter(|_| metadata.len() <= FILE_BYTES_MAX) else {
        let cause = format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
        return refused("KeyFileLong", cause, "look whether it is the right file");
    };
    // The full length at once: a buffer that grew would leave a copy behind.
    let mut bytes = Zeroizing::new(vec![0; length]);
    opened
        .read_exact(&mut bytes)
        .map_err(|source| file("read", path, source))?;
    Ok(bytes)
}

fn nonblocking() -> i32 {
    let bits = rustix::fs::OFlags::NONBLOCK.bits();
    i32::try_from(bits).expect("the flag is one of the system's low bits")
}
