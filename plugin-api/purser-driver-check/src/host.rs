//! A driver host as the daemon starts it: an empty environment, its socket as standard input, a process group of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use purser_driver_wire::limits::LOG_MAX_BYTES;
use purser_driver_wire::{FrameDecoder, ToDaemon, ToHost, decode, encode};
use rustix::process::{Pid, Signal, kill_process_group};

/// Messages that wait to be looked at. A driver that says more waits itself.
const WAITING_MAX: usize = 1024;

/// What is heard of a driver host.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A message.
    Message(ToDaemon),
    /// A line on standard error.
    Line(String),
    /// What is no message: somebody else than the driver host wrote to the socket.
    Noise(String),
    /// The socket ended.
    End,
}

/// A running driver host. Dropping it kills it and what it started.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    socket: UnixStream,
    heard: Receiver<Heard>,
}

impl Host {
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut child = Command::new(program)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, heard) = sync_channel(WAITING_MAX);
        let reading = socket.try_clone()?;
        let told = sender.clone();
        thread::spawn(move || read_messages(reading, &told));
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || read_lines(stderr, &sender));
        }
        Ok(Self { child, socket, heard })
    }

    /// Sends a message. One that is gone is noticed by its end.
    pub(crate) fn send(&mut self, message: &ToHost) {
        if let Ok(bytes) = encode(message) {
            let _ = self.socket.write_all(&bytes);
        }
    }

    /// What is heard next; `None` when the time is over.
    pub(crate) fn hear(&mut self, until: Instant) -> Option<Heard> {
        let left = until.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(left) {
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Heard::End),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended: its code or its signal; `None` while it runs.
    pub(crate) fn end(&mut self, until: Instant) -> Option<End> {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(match status.signal() {
                    Some(signal) => End::Signal(signal),
                    None => End::Code(status.code().unwrap_or_default()),
                });
            }
            if Instant::now() > until {
                return None;
            }
            thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Takes the socket away, as a daemon does that dies.
    pub(crate) fn hang_up(&self) {
        // Fails only for one that has ended.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// How a driver host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Drop for Host {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // Fails only when all of the group are gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn read_messages(mut socket: UnixStream, told: &SyncSender<Heard>) {
    let mut decoder = FrameDecoder::default();
    let mut buffer = vec![0; 65536];
    loop {
        let length = match socket.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let mut input = &buffer[..length];
        loop {
            let heard = match decoder.take(&mut input) {
                Ok(None) => break,
                Ok(Some(frame)) => match decode(frame.as_bytes()) {
                    Ok(message) => Heard::Message(message),
                    Err(error) => Heard::Noise(error.to_string()),
                },
                Err(error) => Heard::Noise(error.to_string()),
            };
            let is_noise = matches!(heard, Heard::Noise(_));
            if told.send(heard).is_err() || is_noise {
                return;
            }
        }
    }
    // Nobody listens any more, or it is heard.
    let _ = told.send(Heard::End);
}

fn read_lines(stderr: impl Read, told: &SyncSender<Heard>) {
    let mut lines = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(LOG_MAX_BYTES).unwrap_or(u64::MAX);
        match lines.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if told.send(Heard::Line(text)).is_err() {
                    return;
                }
            }
        }
    }
}
