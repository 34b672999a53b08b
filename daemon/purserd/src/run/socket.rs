//! The socket of the Varlink door.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use purser_api::model::INTERFACE;
use rustix::net::listen;

/// Whoever passes may look up the socket's name; who may use the socket its own mode says.
const FOLDER_MODE: u32 = 0o755;
/// For the daemon's user and its group; give the group to those who may sell.
const SOCKET_MODE: u32 = 0o660;

/// Clients that may stand in line before the door. The system's own number would make an honest one stand behind thousands.
const LINE_MAX: i32 = 32;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// Another daemon answers there.
    #[error("another purserd listens at {}; stop it, or choose another --run-dir", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("no socket can be made at {}; make the folder writable for purserd's user, or choose another --run-dir", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Listens at the interface's name in `run_dir`; makes the folder where it is missing, and replaces a socket that nobody
/// listens at any more.
pub(super) fn open(run_dir: &Path) -> Result<(UnixListener, PathBuf), SocketError> {
    let path = run_dir.join(INTERFACE);
    if UnixStream::connect(&path).is_ok() {
        return Err(SocketError::InUse(path));
    }
    match make(run_dir, &path) {
        Ok(listener) => Ok((listener, path)),
        Err(source) => Err(SocketError::Io { path, source }),
    }
}

fn make(run_dir: &Path, path: &Path) -> io::Result<UnixListener> {
    if !run_dir.try_exists()? {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(run_dir)?;
        // The process's umask took rights away.
        fs::set_permissions(run_dir, Permissions::from_mode(FOLDER_MODE))?;
    }
    // Under its name the socket has its mode from the first moment, and there is no moment without one.
    let unfinished = run_dir.join(".new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&unfinished)?;
    listen(&listener, LINE_MAX)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(SOCKET_MODE))?;
    fs::rename(&unfinished, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt;

    use super::*;

    #[test]
    fn a_socket_that_nobody_listens_at_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        let (first, path) = open(&run_dir).unwrap();
        assert!(matches!(open(&run_dir), Err(SocketError::InUse(_))));
        drop(first);
        assert!(fs::metadata(&path).unwrap().file_type().is_socket());
        let (_second, path) = open(&run_dir).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            SOCKET_MODE
        );
        assert_eq!(
            fs::metadata(&run_dir).unwrap().permissions().mode() & 0o777,
            FOLDER_MODE
        );
        UnixStream::connect(&path).unwrap();
    }
}
