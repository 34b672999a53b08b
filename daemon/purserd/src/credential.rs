//! The software SAM's keys: a file that nobody else may read, held in memory only as long as it is parsed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use purser_purse::pboc::{CredentialError, SoftwareSam};
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// The longest credential file, in bytes: every key that a SAM may hold, with comments.
const CREDENTIAL_BYTES_MAX: u64 = 64 * 1024;

/// Why the SAM's keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be opened or read.
    #[error("the SAM credential {} cannot be read; put the file there and let purserd's user read it, or see sam.credential in purser.toml(5)", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("the SAM credential {} is not a file; name the file itself", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to a user who is neither root nor the daemon's.
    #[error("the SAM credential {} belongs to user {owner}; make root or purserd's user its owner", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
    },
    /// Others may read or write it.
    #[error(
        "the SAM credential {} is open to others (mode {mode:04o}); run chmod 0600 on it, \
         and change its keys if it may have been read", .path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is longer than any credential.
    #[error("the SAM credential {} is longer than {CREDENTIAL_BYTES_MAX} bytes; look whether it is the right file", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Its text is no credential.
    #[error("the SAM credential {} is refused; mend it as sam.credential in purser.toml(5) shows", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why, with the line.
        source: CredentialError,
    },
}

impl KeyFileError {
    /// False, but for a lack of memory: a person has to mend the file.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { source, .. } => source.is_transient(),
            Self::Unreadable { .. }
            | Self::NotAFile { .. }
            | Self::Owner { .. }
            | Self::OpenToOthers { .. }
            | Self::TooLong { .. } => false,
        }
    }
}

/// Where a credential lies: a bare name in systemd's credentials folder where there is one, else beside the
/// configuration.
pub fn locate(credential: &Path, config_folder: &Path, credentials_folder: Option<&Path>) -> PathBuf {
    let is_bare = credential.components().count() == 1 && credential.is_relative();
    match credentials_folder {
        Some(folder) if is_bare => folder.join(credential),
        _ => config_folder.join(credential),
    }
}

/// Reads the keys. The file must belong to root or to `our_uid` and be closed to everyone else; the text is wiped.
///
/// # Errors
/// [`KeyFileError`] with the remedy; no key was used.
pub fn load_sam(path: &Path, our_uid: u32) -> Result<SoftwareSam, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // Without waiting: a pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
    let mut file = File::from(opened.map_err(unreadable)?);
    // Of the open file, not of the path: what is judged is what is read.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile {
            path: path.to_owned(),
        });
    }
    check_owner_and_mode(path, metadata.uid(), metadata.mode(), our_uid)?;
    let length = usize::try_from(metadata.len())
        .ok()
        .filter(|_| metadata.len() <= CREDENTIAL_BYTES_MAX)
        .ok_or_else(|| KeyFileError::TooLong {
            path: path.to_owned(),
        })?;
    // The full length at once: a buffer that grew would leave a copy of the keys behind.
    let mut text = Zeroizing::new(vec![0; length]);
    file.read_exact(&mut text).map_err(unreadable)?;
    SoftwareSam::from_credential(&text).map_err(|source| KeyFileError::Refused {
        path: path.to_owned(),
        source,
    })
}

fn check_owner_and_mode(path: &Path, owner: u32, mode: u32, our_uid: u32) -> Result<(), KeyFileError> {
    if owner != 0 && owner != our_uid {
        return Err(KeyFileError::Owner {
            path: path.to_owned(),
            owner,
        });
    }
    // systemd lets a service that is not root read its credential through an ACL, which shows as the group's right to
    // read of a file of root's own group in a folder that only the service can enter.
    let acl_of_systemd = owner == 0 && our_uid != 0 && mode & 0o777 == 0o440;
    if mode & 0o077 != 0 && !acl_of_systemd {
        return Err(KeyFileError::OpenToOthers {
            path: path.to_owned(),
            mode: mode & 0o7777,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: u32 = 970;

    fn judged(owner: u32, mode: u32) -> Result<(), KeyFileError> {
        check_owner_and_mode(Path::new("sam"), owner, mode, OURS)
    }

    #[test]
    fn a_credential_of_root_or_of_the_daemon_that_is_closed_to_others_is_taken() {
        for (owner, mode) in [
            (0, 0o100_400),
            (0, 0o100_440),
            (OURS, 0o100_600),
            (OURS, 0o100_400),
        ] {
            judged(owner, mode).unwrap();
        }
    }

    #[test]
    fn a_credential_of_another_user_is_refused() {
        assert!(matches!(
            judged(971, 0o100_400),
            Err(KeyFileError::Owner { owner: 971, .. })
        ));
    }

    #[test]
    fn a_credential_with_any_right_for_others_is_refused() {
        for bit in [0o001, 0o002, 0o004, 0o010, 0o020, 0o040] {
            assert!(
                matches!(
                    judged(OURS, 0o100_600 | bit),
                    Err(KeyFileError::OpenToOthers { .. })
                ),
                "{bit:o}"
            );
        }
        assert!(matches!(
            judged(0, 0o100_444),
            Err(KeyFileError::OpenToOthers { .. })
        ));
    }

    #[test]
    fn a_bare_name_is_a_systemd_credential_where_there_is_a_folder_of_them() {
        let (etc, run) = (
            Path::new("/etc/purser"),
            Some(Path::new("/run/credentials/purserd.service")),
        );
        assert_eq!(
            locate(Path::new("sam"), etc, run),
            Path::new("/run/credentials/purserd.service/sam")
        );
        assert_eq!(locate(Path::new("sam"), etc, None), Path::new("/etc/purser/sam"));
        assert_eq!(
            locate(Path::new("keys/sam"), etc, run),
            Path::new("/etc/purser/keys/sam")
        );
        assert_eq!(locate(Path::new("/root/sam"), etc, run), Path::new("/root/sam"));
    }
}
