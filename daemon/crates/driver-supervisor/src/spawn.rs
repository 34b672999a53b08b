//! How a driver host comes to run.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr};

use crate::ProcessEnd;

/// How driver hosts are started. A seam: a spawner that starts a system unit with its own user fits here too.
#[derive(Clone, Debug)]
pub enum Spawner {
    /// As a child of this process: the same user, an empty environment, no descriptors but its socket, own process group.
    ///
    /// The child dies with the *thread* that started it, so run supervisors on a thread that lives as long as the daemon.
    Child {
        /// The program `purser-driver-host`.
        program: PathBuf,
    },
}

/// A driver host that runs. Dropping it kills it and what it started.
#[derive(Debug)]
pub(crate) enum HostProcess {
    Child(Child),
}

/// A driver host and the ways to it.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) process: HostProcess,
    pub(crate) socket: UnixStream,
    pub(crate) stderr: Option<ChildStderr>,
}

impl Spawner {
    pub(crate) fn spawn(&self) -> io::Result<Spawned> {
        match self {
            Self::Child { program } => {
                let (socket, theirs) = UnixStream::pair()?;
                let mut command = tokio::process::Command::from(child_command(program, theirs));
                let mut child = command.stderr(Stdio::piped()).spawn()?;
                let stderr = child.stderr.take();
                Ok(Spawned {
                    process: HostProcess::Child(child),
                    socket,
                    stderr,
                })
            }
        }
    }
}

/// The command that starts a driver host as a child, with `socket` as its standard input.
pub(crate) fn child_command(program: &Path, socket: UnixStream) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").process_group(0);
    command
        .stdin(OwnedFd::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl HostProcess {
    /// The process id, until its end was awaited.
    pub(crate) fn id(&self) -> Option<u32> {
        match self {
            Self::Child(child) => child.id(),
        }
    }

    /// Waits for its end and says how it ended. Cancel safe.
    pub(crate) async fn wait(&mut self) -> ProcessEnd {
        match self {
            Self::Child(child) => child.wait().await.map_or(ProcessEnd::Unknown, how),
        }
    }

    /// Kills the process and what it started, unless its end was awaited.
    pub(crate) fn kill(&self) {
        let pid = self
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(group) = pid {
            // Fails only when all of the group are gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn how(status: ExitStatus) -> ProcessEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => ProcessEnd::Code(code),
        (None, Some(signal)) => ProcessEnd::Signal(signal),
        (None, None) => ProcessEnd::Unknown,
    }
}
