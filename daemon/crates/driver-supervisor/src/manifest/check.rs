//! The checks before a driver is loaded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use purser_driver_wire::Abi;
use sha2::{Digest, Sha256};

use super::{ABI_MAJOR, Manifest, manifest_path};

/// Longest manifest, in bytes: a page.
const MANIFEST_MAX_BYTES: u64 = 16 * 1024;

/// Mode bits that let others than the owner write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A driver whose manifest, owner, mode and bytes check out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedDriver {
    /// Its path without symbolic links.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

/// Why a driver is refused. It was not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Driver, manifest or folder cannot be read.
    #[error("{path} cannot be read ({kind}); check the path in the configuration and the file's mode")]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// There is no manifest.
    #[error(
        "{0} is missing; make it with `purser-driver-manifest` after you checked where the driver is from"
    )]
    Missing(PathBuf),
    /// Somebody else than root or this user owns it.
    #[error("{path} belongs to user {owner}; give it to root: chown root")]
    Owner {
        /// What.
        path: PathBuf,
        /// The owner's uid.
        owner: u32,
    },
    /// Others than its owner may write it.
    #[error("{path} may be written by others (mode {mode:o}); take that away: chmod go-w")]
    Writable {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The manifest is not one.
    #[error("{path} is no driver manifest: {problem}")]
    Malformed {
        /// What.
        path: PathBuf,
        /// The parser's words.
        problem: String,
    },
    /// It is for another major version of the contract.
    #[error(
        "the driver is for ABI {found}, this release loads {ABI_MAJOR}.x; install the driver for this release"
    )]
    Abi {
        /// What the manifest says.
        found: Abi,
    },
    /// The bytes are not the manifest's.
    #[error("{0} does not have the digest of its manifest; install it again, or make the manifest again")]
    Digest(PathBuf),
}

/// Checks a driver's owner, mode, manifest and bytes. The driver host checks the bytes again, on the very file that it
/// loads.
///
/// # Errors
/// [`ManifestError`]: do not load it.
pub fn check(driver: &Path) -> Result<CheckedDriver, ManifestError> {
    let path = fs::canonicalize(driver).map_err(|error| unreadable(driver, &error))?;
    let manifest_path = manifest_path(&path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    check_owner_and_mode(folder)?;
    check_owner_and_mode(&path)?;
    match check_owner_and_mode(&manifest_path) {
        Err(ManifestError::Unreadable {
            path,
            kind: io::ErrorKind::NotFound,
        }) => {
            return Err(ManifestError::Missing(path));
        }
        checked => checked?,
    }
    let manifest = read(&manifest_path)?;
    if manifest.abi.major != ABI_MAJOR {
        return Err(ManifestError::Abi { found: manifest.abi });
    }
    if digest(&path).map_err(|error| unreadable(&path, &error))? != manifest.sha256().0 {
        return Err(ManifestError::Digest(path));
    }
    Ok(CheckedDriver { path, manifest })
}

/// The digest of a file.
pub(super) fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

fn check_owner_and_mode(path: &Path) -> Result<(), ManifestError> {
    let found = fs::symlink_metadata(path).map_err(|error| unreadable(path, &error))?;
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != 0 && found.uid() != own {
        return Err(ManifestError::Owner {
            path: path.to_owned(),
            owner: found.uid(),
        });
    }
    // A symbolic link has all mode bits set; it is refused by the same words.
    let mode = found.mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(ManifestError::Writable {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn read(path: &Path) -> Result<Manifest, ManifestError> {
    let malformed = |problem: String| ManifestError::Malformed {
        path: path.to_owned(),
        problem,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let read = file.take(MANIFEST_MAX_BYTES).read_to_string(&mut text);
    read.map_err(|error| unreadable(path, &error))?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    if manifest.is_bounded() {
        Ok(manifest)
    } else {
        Err(malformed("an empty or too long name".to_owned()))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ManifestError {
    ManifestError::Unreadable {
        path: path.to_owned(),
        kind: error.kind(),
    }
}
