//! One life of purserd: started, awaited, stopped or killed, and never left behind.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

use super::error::{StackError, io_error};
use super::{Layout, Options, PATIENCE};

/// How much of the log an error shows, in bytes: a screen.
const LOG_TAIL_BYTES: u64 = 4096;
/// The longest datagram of the readiness protocol that is looked at, in bytes.
const NOTE_BYTES_MAX: usize = 4096;

/// A running purserd. Dropping it kills it and everything that it started.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    guardian: Guardian,
    program: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Starts purserd and waits until it says that it is ready.
    pub(super) fn start(program: &Path, layout: &Layout, options: &Options) -> Result<Self, StackError> {
        let notify_path = layout.run_dir().join("notify");
        match fs::remove_file(&notify_path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("remove", &notify_path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        // Closed when purserd is ready: nobody would read what it tells later, and a full socket would make it wait.
        let notes = UnixDatagram::bind(&notify_path).map_err(io_error("listen at", &notify_path))?;
        // As systemd's: the service may have another user.
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&notify_path, open).map_err(io_error("open", &notify_path))?;
        let log = layout.log();
        let program = &fs::canonicalize(program).map_err(io_error("find", program))?;
        let mut command = command(program, layout, options, &notify_path);
        let opened = OpenOptions::new().create(true).append(true).open(&log);
        let opened = opened.and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = opened.map_err(io_error("open", &log))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn();
        let child = child.map_err(io_error("start", Path::new(command.get_program())))?;
        let mut daemon = Self {
            guardian: Guardian::of(&child),
            child,
            program: program.clone(),
            log,
        };
        daemon.wait_until_ready(&notes)?;
        Ok(daemon)
    }

    /// The process id of purserd itself, whatever command stands before it.
    pub(super) fn id(&self) -> Option<Pid> {
        // Not by `exe`, which the kernel shows of a process without dumps to root alone.
        let is_purserd = |pid: &Pid| {
            fs::read(proc(*pid).join("cmdline")).is_ok_and(|line| {
                line.split(|byte| *byte == 0).next() == Some(self.program.as_os_str().as_bytes())
            })
        };
        self.processes().into_iter().find(is_purserd)
    }

    /// Asks it to stop and waits for its end.
    pub(super) fn stop(mut self) -> Result<(), StackError> {
        let (processes, own) = (self.processes_held(), self.id());
        let asked = own.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
        asked.map_err(|errno| io_error("stop", &self.program)(errno.into()))?;
        wait_for_end(&processes, PATIENCE);
        match self
            .child
            .try_wait()
            .map_err(io_error("wait for", &self.program))?
        {
            None => Err(self.too_late("purserd's end")),
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(StackError::NotClean {
                status,
                log: tail(&self.log),
            }),
        }
    }

    /// Kills it as a failure of power would, and waits until nothing of it is left.
    pub(super) fn kill(mut self) {
        self.end();
    }

    /// Waits until it has ended by itself.
    pub(super) fn wait(mut self, time: Duration) -> Result<ExitStatus, StackError> {
        wait_for_end(&self.processes_held(), time);
        let ended = self
            .child
            .try_wait()
            .map_err(io_error("wait for", &self.program))?;
        ended.ok_or_else(|| self.too_late("purserd's own end"))
    }

    fn too_late(&self, awaited: &str) -> StackError {
        StackError::TooLate {
            awaited: awaited.to_owned(),
            time: PATIENCE,
            log: tail(&self.log),
        }
    }

    fn wait_until_ready(&mut self, notes: &UnixDatagram) -> Result<(), StackError> {
        let ended = hold(pid_of(&self.child)).map_err(io_error("watch", &self.program))?;
        let end = Instant::now() + PATIENCE;
        let mut note = [0; NOTE_BYTES_MAX];
        loop {
            let mut polled = [
                PollFd::from_borrowed_fd(notes.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
            ];
            if poll_until(&mut polled, end).map_err(io_error("watch", &self.program))? == 0 {
                return Err(self.too_late("purserd's READY=1"));
            }
            if polled[0].revents().is_empty() {
                let status = self.child.wait().map_err(io_error("wait for", &self.program))?;
                return Err(StackError::EndedEarly {
                    status,
                    log: tail(&self.log),
                });
            }
            let length = notes.recv(&mut note).map_err(io_error("hear", &self.program))?;
            if note[..length]
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1")
            {
                return Ok(());
            }
        }
    }

    /// The started process and all below it, parents first.
    fn processes(&self) -> Vec<Pid> {
        let mut found = vec![pid_of(&self.child)];
        let mut next = 0;
        while let Some(pid) = found.get(next).copied() {
            found.extend(children(pid));
            next += 1;
        }
        found
    }

    /// The same, held so that no other process can take their numbers while they are awaited.
    fn processes_held(&self) -> Vec<OwnedFd> {
        self.processes()
            .into_iter()
            .filter_map(|pid| hold(pid).ok())
            .collect()
    }

    fn end(&mut self) {
        self.guardian.dismiss();
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let processes = self.processes_held();
        // Each of these fails only for what has ended already.
        let _ = kill_process_group(pid_of(&self.child), Signal::KILL);
        wait_for_end(&processes[..1.min(processes.len())], PATIENCE);
        drop(self.child.wait());
        // Driver hosts die with purserd by the kernel's hand; with a prefix purserd may not be in its group.
        for process in &processes {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        wait_for_end(&processes, PATIENCE);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// Kills a process group when this process ends without dropping anything, as it does when somebody presses Ctrl-C: it
/// reads from a pipe whose other end only this process has.
#[derive(Debug)]
struct Guardian(Option<Child>);

impl Guardian {
    fn of(child: &Child) -> Self {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "read -r _; kill -s KILL -- \"$1\"", "sh"])
            .arg(format!("-{}", child.id()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Without a shell the stack stands all the same.
        Self(shell.process_group(0).spawn().ok())
    }

    /// Sends the guardian home: the process group has ended, and its number may soon be another's.
    fn dismiss(&mut self) {
        if let Some(mut shell) = self.0.take() {
            // Both fail only for one that has ended.
            drop(shell.kill());
            drop(shell.wait());
        }
    }
}

fn command(program: &Path, layout: &Layout, options: &Options, notify_path: &Path) -> Command {
    let mut words = options
        .prefix
        .iter()
        .map(|word| word.as_os_str())
        .chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or(OsStr::new("")));
    command
        .args(words)
        .args(arguments(layout))
        .args(["--log", &options.log]);
    // What systemd or a developer's shell set for other programs is not for this one.
    for name in [
        "RUNTIME_DIRECTORY",
        "STATE_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    ] {
        command.env_remove(name);
    }
    command
        .env("NOTIFY_SOCKET", notify_path)
        .envs(options.env.iter().map(|(name, value)| (name, value)));
    command
}

/// The arguments that tell any of purserd's verbs where this stack is.
pub(super) fn arguments(layout: &Layout) -> [std::ffi::OsString; 6] {
    [
        "--config".into(),
        layout.config().into(),
        "--run-dir".into(),
        layout.run_dir().into(),
        "--state-dir".into(),
        layout.state_dir().into(),
    ]
}

/// The end of a log, for an error.
pub(super) fn tail(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("({} cannot be read: {error})", log.display()))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn proc(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", pid.as_raw_pid()))
}

fn hold(pid: Pid) -> std::io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// The children of all threads of a process; none of one that has ended.
fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(proc(pid).join("task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers = |list: String| {
        list.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect::<Vec<i32>>()
    };
    lists.flat_map(numbers).filter_map(Pid::from_raw).collect()
}

fn wait_for_end(processes: &[OwnedFd], time: Duration) {
    let end = Instant::now() + time;
    for process in processes {
        // A pidfd can be read from once its process has ended. One that does not end is the caller's to tell.
        drop(poll_until(
            &mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)],
            end,
        ));
    }
}

/// How many of the descriptors have something to tell; 0 when the time is over.
fn poll_until(polled: &mut [PollFd<'_>], end: Instant) -> std::io::Result<usize> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        match poll(polled, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}
