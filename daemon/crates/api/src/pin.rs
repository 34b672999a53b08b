//! A PIN from a file descriptor (money rule T5): never an argument, never in a log, wiped when done.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use purser_purse::pboc::Pin;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use crate::foreign::ForeignWork;
use crate::model::{ErrorName, Fault};

/// Twelve digits and the line feed that a shell adds.
const READ_BYTES_MAX: usize = 13;

/// How long the writer of the descriptor may take: the PIN was typed before the call.
const READ_DEADLINE: Duration = Duration::from_secs(2);

/// Reads PINs.
#[derive(Clone, Default)]
pub(crate) struct PinReader(ForeignWork);

impl PinReader {
    /// Reads a PIN. Cancel safe: a dropped read ends by itself and wipes what it read.
    pub(crate) async fn read(&self, uid: u32, from: OwnedFd) -> Result<Pin, Fault> {
        let read = |from: OwnedFd| read_pin(&from);
        let read = self.0.run(uid, from, READ_DEADLINE * 2, read).await?;
        read.unwrap_or_else(|| Err(too_slow()))
    }
}

fn read_pin(from: &OwnedFd) -> Result<Pin, Fault> {
    let mut digits = Zeroizing::new([0_u8; READ_BYTES_MAX]);
    let deadline = Instant::now() + READ_DEADLINE;
    let mut have = 0;
    while have < READ_BYTES_MAX && !digits[..have].ends_with(b"\n") {
        wait_readable(from, deadline)?;
        match rustix::io::read(from, &mut digits[have..]) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return Err(not_readable("the descriptor cannot be read")),
        }
    }
    if digits[..have].ends_with(b"\n") {
        have -= 1;
    }
    Pin::from_digits(&mut digits[..have]).map_err(|error| not_readable(&error.to_string()))
}

fn wait_readable(from: &OwnedFd, deadline: Instant) -> Result<(), Fault> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("a deadline of seconds fits a timespec");
        match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(too_slow()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(not_readable("the descriptor cannot be waited for")),
        }
    }
}

fn too_slow() -> Fault {
    not_readable("the PIN did not come out of the descriptor in time")
}

fn not_readable(cause: &str) -> Fault {
    Fault::new(
        ErrorName::PinNotReadable,
        cause,
        "write the digits into a pipe, close its other end, and send its read end; no try was used",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe_with(bytes: &[u8]) -> (OwnedFd, OwnedFd) {
        let (read, write) = rustix::pipe::pipe().expect("a pipe can be made");
        rustix::io::write(&write, bytes).expect("a pipe takes a few bytes");
        (read, write)
    }

    async fn read(bytes: &[u8]) -> Result<Pin, Fault> {
        let (from, write) = pipe_with(bytes);
        drop(write);
        PinReader::default().read(7, from).await
    }

    #[tokio::test]
    async fn a_pin_of_twelve_digits_is_read_with_and_without_a_line_feed() {
        assert!(read(b"123456789012").await.is_ok());
        assert!(read(b"123456789012\n").await.is_ok());
        assert!(read(b"1234\n").await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_pin_is_refused_without_showing_it() {
        for bad in [&b"9876987698769"[..], b"", b"98a6", b"\n", b"987"] {
            let fault = read(bad).await.unwrap_err();
            assert!(fault.is(ErrorName::PinNotReadable));
            assert!(!format!("{fault:?}").contains("98"), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_line_feed_ends_the_pin_while_the_writer_stays() {
        let (from, write) = pipe_with(b"1234\n");
        assert!(PinReader::default().read(7, from).await.is_ok());
        drop(write);
    }

    #[tokio::test]
    async fn a_silent_descriptor_ends_in_time_and_holds_up_its_own_user_only() {
        let reader = PinReader::default();
        let (silent, _write) = rustix::pipe::pipe().expect("a pipe can be made");
        let (other, write) = pipe_with(b"1234");
        drop(write);
        let (again, _write) = pipe_with(b"1234");
        let mut hung = Box::pin(reader.read(7, silent));
        assert!(futures_util::poll!(&mut hung).is_pending());
        assert!(reader.read(7, again).await.unwrap_err().is(ErrorName::Busy));
        assert!(reader.read(8, other).await.is_ok());
        assert!(hung.await.unwrap_err().is(ErrorName::PinNotReadable));
    }
}
