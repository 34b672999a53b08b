//! Loads the driver whose bytes are the ones that the daemon named, and no other.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use purser_driver_wire::limits::DETAIL_MAX_BYTES;
use purser_driver_wire::{LoadFault, LoadOrder, Sha256, Text, limits};
use purser_plugin_api::abi::{DriverEntry, EntryFunction, values};
use sha2::Digest;

/// Why a driver was not loaded, and the system's own words about it.
#[derive(Debug)]
pub(crate) struct NotLoaded {
    pub(crate) fault: LoadFault,
    pub(crate) detail: Text<DETAIL_MAX_BYTES>,
}

impl NotLoaded {
    pub(crate) fn new(fault: LoadFault, detail: &str) -> Self {
        Self {
            fault,
            detail: Text::cut(detail),
        }
    }
}

/// Checks the file's bytes and loads them. The file is opened once, and what was hashed is what is loaded: its path may
/// lead elsewhere meanwhile. It stays loaded until the process ends (`[M-4]`).
///
/// # Errors
/// [`NotLoaded`]; the process should end.
pub(crate) fn load(order: &LoadOrder) -> Result<*const DriverEntry, NotLoaded> {
    if order.wire_version != limits::WIRE_VERSION {
        return Err(NotLoaded::new(LoadFault::WireVersion, ""));
    }
    let unreadable = |error: io::Error| NotLoaded::new(LoadFault::Unreadable, &error.to_string());
    let file = File::open(order.path.as_str()).map_err(unreadable)?;
    if digest(&file).map_err(unreadable)? != order.sha256 {
        return Err(NotLoaded::new(LoadFault::Digest, ""));
    }
    link(&file)
}

fn digest(mut file: &File) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

#[allow(unsafe_code, reason = "loading vendor code is what this program is for")]
fn link(file: &File) -> Result<*const DriverEntry, NotLoaded> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the bytes are the ones that the operator's manifest vouches for; their initialisers run here, in a process
    // that holds nothing but this driver.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| NotLoaded::new(LoadFault::Link, &error.to_string()))?;
    // SAFETY: the contract fixes the type of the symbol.
    let entry = unsafe { library.get::<EntryFunction>(values::ENTRY_SYMBOL) }
        .map(|symbol| *symbol)
        .map_err(|error| NotLoaded::new(LoadFault::NoEntry, &error.to_string()));
    // Never unloaded, whatever comes of it: its threads may run already.
    std::mem::forget(library);
    // SAFETY: the contract's one symbol; it has no arguments.
    Ok(unsafe { entry?() })
}
