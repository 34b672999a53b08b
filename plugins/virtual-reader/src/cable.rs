//! A reader's cable: a Unix socket where a program pulls it out and puts it back.
//!
//! One line for each connection: `unplug` or `plug`. It is answered with `done` when Purser has been told, or with `ignored` for
//! any other line, and for one that changes nothing. A card that lies in a reader without its cable has no power; it is there
//! again, as one that was just put in, when the cable is.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use purser_plugin_api::sdk::{DriverError, Fault};

use crate::pad::listen;

/// Time in which a connected program must say its line, and take the answer: the slot's thread waits meanwhile.
const LINE_TIME: Duration = Duration::from_millis(200);
/// More than the longest line.
const LINE_BYTES_MAX: u64 = 16;

/// Where a hand comes to the cable.
#[derive(Debug)]
pub(crate) struct Cable(UnixListener);

/// What a hand does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pull {
    Out,
    In,
}

/// A hand at the cable, which waits for its answer.
#[derive(Debug)]
pub(crate) struct Hand(UnixStream);

impl Cable {
    pub(crate) fn open(path: &Path) -> Result<Self, DriverError> {
        listen(path)
            .map(Self)
            .map_err(|error| Fault::Busy.because(format!("{}: {error}", path.display())))
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The hand that came, and what it does; none where it does nothing that is known.
    pub(crate) fn take(&self) -> Option<(Hand, Pull)> {
        let (stream, _) = self.0.accept().ok()?;
        stream.set_read_timeout(Some(LINE_TIME)).ok()?;
        stream.set_write_timeout(Some(LINE_TIME)).ok()?;
        let mut line = String::new();
        BufReader::new((&stream).take(LINE_BYTES_MAX))
            .read_line(&mut line)
            .ok()?;
        let hand = Hand(stream);
        match line.trim_end() {
            "unplug" => Some((hand, Pull::Out)),
            "plug" => Some((hand, Pull::In)),
            _ => {
                hand.answer(false);
                None
            }
        }
    }
}

impl Hand {
    pub(crate) fn answer(&self, is_done: bool) {
        let line: &[u8] = if is_done { b"done\n" } else { b"ignored\n" };
        // One that does not listen has gone.
        let _ = (&self.0).write_all(line);
    }
}
