//! The driver's threads: how they wait without polling, and how they end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use purser_plugin_api::sdk::{DriverError, Fault};
use rustix::event::{PollFd, PollFlags, poll};

/// Keeps the threads alive; see [`Life::end`].
#[derive(Debug)]
pub(crate) struct Life {
    /// Its closing wakes all threads.
    held: UnixStream,
    watched: Arc<UnixStream>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How a thread sees the end coming.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<UnixStream>);

impl Life {
    pub(crate) fn new() -> Result<Self, DriverError> {
        let (held, watched) = UnixStream::pair().map_err(internal)?;
        Ok(Self {
            held,
            watched: Arc::new(watched),
            threads: Mutex::default(),
        })
    }

    pub(crate) fn pulse(&self) -> Pulse {
        Pulse(Arc::clone(&self.watched))
    }

    pub(crate) fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), DriverError> {
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(internal)?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }

    /// Wakes all threads for the last time and waits for their end.
    pub(crate) fn end(self) {
        drop(self.held);
        for thread in self.threads.into_inner().unwrap_or_else(PoisonError::into_inner) {
            // A thread that panicked is at its end too.
            let _ = thread.join();
        }
    }
}

impl Pulse {
    /// Waits until one of these descriptors can be read or has ended, and says which; `None` when the driver ends.
    pub(crate) fn wait<const N: usize>(&self, watched: [Option<BorrowedFd<'_>>; N]) -> Option<[bool; N]> {
        let mut polled = vec![PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        let present = watched.iter().flatten();
        polled.extend(present.map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
        loop {
            match poll(&mut polled, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        let mut woken = polled.iter().map(|fd| !fd.revents().is_empty());
        let ends = woken.next().unwrap_or(true);
        let woken = watched.map(|fd| fd.is_some() && woken.next().unwrap_or(false));
        (!ends).then_some(woken)
    }
}

pub(crate) fn internal(error: io::Error) -> DriverError {
    Fault::Internal.because(error.to_string())
}
