//! Shuts the process in before any vendor code is loaded: one socket, no other descriptors, no environment, limits,
//! no dumps, no new privileges, and death with the daemon.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::io::fcntl_getfd;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};

use crate::leash;

/// The descriptor that the daemon's socket ends up as, so that a driver's author can tell it from a leak.
pub(crate) const SOCKET_FD: RawFd = 3;

/// Most descriptors: a driver's devices, its libraries' pipes and sockets, and room.
const DESCRIPTORS_MAX: u64 = 256;

/// Most address space, in bytes: vendor libraries map generously, a leak must not take the machine down.
const ADDRESS_SPACE_MAX_BYTES: u64 = 4 << 30;

/// Why the process could not shut itself in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// Standard input is no Unix stream socket.
    #[error("standard input is not the daemon's socket")]
    NoSocket(#[source] io::Error),
    /// The environment is not empty.
    #[error("the environment is not empty")]
    Environment,
    /// A system call failed.
    #[error("the process cannot be shut in")]
    System(#[from] io::Error),
}

/// Shuts the process in and gives the daemon's socket.
///
/// # Errors
/// [`SandboxError`]; nothing may be loaded then.
pub(crate) fn enter() -> Result<UnixStream, SandboxError> {
    if std::env::vars_os().next().is_some() {
        return Err(SandboxError::Environment);
    }
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    close_inherited()?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr().map_err(SandboxError::NoSocket)?;
    if socket.as_raw_fd() != SOCKET_FD {
        return Err(SandboxError::System(io::Error::other(
            "the socket is not descriptor 3",
        )));
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null).map_err(io::Error::from)?;
    rustix::stdio::dup2_stdout(&null).map_err(io::Error::from)?;
    drop(null);
    limit()?;
    Ok(socket)
}

fn limit() -> io::Result<()> {
    setrlimit(Resource::Core, at_most(Resource::Core, 0))?;
    setrlimit(Resource::Nofile, at_most(Resource::Nofile, DESCRIPTORS_MAX))?;
    setrlimit(Resource::As, at_most(Resource::As, ADDRESS_SPACE_MAX_BYTES))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    leash::hold()
}

/// The limit, or the one that holds already where that is lower.
fn at_most(resource: Resource, limit: u64) -> Rlimit {
    let limit = getrlimit(resource)
        .maximum
        .map_or(limit, |maximum| maximum.min(limit));
    Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    }
}

/// Closes what the daemon left open by mistake: everything above standard error.
fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<RawFd>().ok());
        open.extend(number.filter(|number| *number > 2));
    }
    for number in open {
        #[allow(unsafe_code, reason = "no safe call names descriptors that nobody owns")]
        // SAFETY: only looked at; this is the only thread, so that nobody closes it meanwhile.
        let is_open = fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_ok();
        // The folder's own descriptor is in the list and closed by now.
        if is_open {
            #[allow(unsafe_code, reason = "no safe call closes descriptors that nobody owns")]
            // SAFETY: the process has just started: no value of this program owns a descriptor above 2.
            unsafe {
                rustix::io::close(number);
            }
        }
    }
    Ok(())
}
