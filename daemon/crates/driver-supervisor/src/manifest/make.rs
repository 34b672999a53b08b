//! Makes the manifest of a driver that was just built: loads it in a driver host, hears what it says about itself, and
//! writes that down with the digest of its bytes.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use purser_driver_wire::limits::WIRE_VERSION;
use purser_driver_wire::{
    FrameDecoder, Hello, LoadFault, LoadOrder, Sha256, Text, ToDaemon, ToHost, decode, encode,
};

use super::{Manifest, check, manifest_path};
use crate::spawn::child_command;

/// Time that a driver has to be loaded.
const LOAD_TIME: Duration = Duration::from_secs(15);

/// Why no manifest was written.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The driver cannot be read.
    #[error("{0} cannot be read; give the path of the built shared object")]
    Unreadable(PathBuf, #[source] io::Error),
    /// Its path is no UTF-8, or too long.
    #[error("{0} cannot be named to the driver host; move it to a shorter path in UTF-8")]
    Path(PathBuf),
    /// The driver host cannot be started.
    #[error("{0} cannot be started; build or install purser-driver-host, or name it with --host")]
    Spawn(PathBuf, #[source] io::Error),
    /// The driver host ended or said nothing in time.
    #[error("the driver host said nothing; the driver may crash when it is loaded")]
    Silent(#[source] io::Error),
    /// The driver was not loaded.
    #[error("{fault} {detail}")]
    NotLoaded {
        /// Why.
        fault: LoadFault,
        /// The system's words.
        detail: String,
    },
    /// The driver host is of another release.
    #[error("the driver host is of another release; build both anew")]
    OtherRelease,
    /// The manifest cannot be written.
    #[error("{0} cannot be written")]
    Unwritable(PathBuf, #[source] io::Error),
}

/// Writes the manifest beside the driver and gives its path. `host_program` is `purser-driver-host`; `needs` goes into
/// the manifest as it is. This loads the driver: do it with drivers that you trust only.
///
/// # Errors
/// [`MakeError`]; an earlier manifest is left as it was.
pub fn write(driver: &Path, needs: &[String], host_program: &Path) -> Result<PathBuf, MakeError> {
    let unreadable = |error| MakeError::Unreadable(driver.to_owned(), error);
    let driver_path = fs::canonicalize(driver).map_err(unreadable)?;
    let sha256 = check::digest(&driver_path).map_err(unreadable)?;
    let hello = ask(&driver_path, sha256, host_program)?;
    let manifest = Manifest {
        id: hello.driver_id.to_string(),
        version: hello.driver_version.to_string(),
        abi: hello.abi,
        classes: hello.abilities.iter().map(ToString::to_string).collect(),
        needs: needs.to_vec(),
        sha256,
    };
    let path = manifest_path(&driver_path);
    let unwritable = |error| MakeError::Unwritable(path.clone(), error);
    let text = toml::to_string(&manifest).map_err(|error| unwritable(io::Error::other(error)))?;
    // Written aside and moved, so that no half manifest is ever there.
    let aside = path.with_extension("toml.new");
    fs::write(&aside, text).map_err(unwritable)?;
    // Whatever the umask says: a manifest that others may write is refused.
    fs::set_permissions(&aside, Permissions::from_mode(0o644)).map_err(unwritable)?;
    fs::rename(&aside, &path).map_err(unwritable)?;
    Ok(path)
}

fn ask(driver: &Path, sha256: [u8; 32], host_program: &Path) -> Result<Hello, MakeError> {
    let path = driver
        .to_str()
        .and_then(|path| Text::try_from(path.to_owned()).ok());
    let path = path.ok_or_else(|| MakeError::Path(driver.to_owned()))?;
    let spawn = |error| MakeError::Spawn(host_program.to_owned(), error);
    let (socket, theirs) = UnixStream::pair().map_err(spawn)?;
    let mut child = child_command(host_program, theirs).spawn().map_err(spawn)?;
    let order = LoadOrder {
        wire_version: WIRE_VERSION,
        path,
        sha256: Sha256(sha256),
    };
    let answer = exchange(&socket, &ToHost::Load(order));
    // The end of the socket ends the driver host, which has loaded the driver but made no instance.
    drop(socket);
    let _ = child.wait();
    match answer.map_err(MakeError::Silent)? {
        ToDaemon::Hello(hello) if hello.wire_version == WIRE_VERSION => Ok(hello),
        ToDaemon::NotLoaded { fault, detail } => Err(MakeError::NotLoaded {
            fault,
            detail: detail.to_string(),
        }),
        _ => Err(MakeError::OtherRelease),
    }
}

fn exchange(mut socket: &UnixStream, message: &ToHost) -> io::Result<ToDaemon> {
    socket.set_read_timeout(Some(LOAD_TIME))?;
    socket.write_all(&encode(message).map_err(io::Error::other)?)?;
    let mut decoder = FrameDecoder::default();
    let mut buffer = [0; 1024];
    loop {
        let length = socket.read(&mut buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(frame) = decoder.take(&mut &buffer[..length]).map_err(io::Error::other)? {
            return decode(frame.as_bytes()).map_err(io::Error::other);
        }
    }
}
