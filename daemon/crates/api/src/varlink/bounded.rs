//! A Unix socket that ends when one message grows too long or brings too many descriptors.
//!
//! zlink lets a message grow to 100 MB, and a client could send 253 descriptors with each byte of it.

use std::os::fd::{AsFd, BorrowedFd};

use tokio::net::UnixStream;
use zlink::connection::socket::{ReadHalf, ReadResult, Socket, UnixSocket};
use zlink::tokio::unix;

use crate::model::MESSAGE_BYTES_MAX;

/// The most descriptors with one message: one is used, and some clients pass a spare.
const DESCRIPTORS_MAX: usize = 4;

/// The socket.
#[derive(Debug)]
pub(crate) struct Bounded(unix::Stream);

/// Its read half.
#[derive(Debug)]
pub(crate) struct BoundedRead {
    inner: <unix::Stream as Socket>::ReadHalf,
    since_end: SinceEnd,
}

/// What came since the last end of a message.
#[derive(Debug, Default)]
struct SinceEnd {
    bytes: u64,
    descriptors: usize,
}

impl Bounded {
    pub(crate) fn new(stream: UnixStream) -> zlink::Result<Self> {
        unix::Stream::try_from(stream).map(Self)
    }
}

impl Socket for Bounded {
    type ReadHalf = BoundedRead;
    type WriteHalf = <unix::Stream as Socket>::WriteHalf;

    const CAN_TRANSFER_FDS: bool = true;

    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        let (inner, write) = self.0.split();
        let since_end = SinceEnd::default();
        (BoundedRead { inner, since_end }, write)
    }
}

impl ReadHalf for BoundedRead {
    async fn read(&mut self, buffer: &mut [u8]) -> zlink::Result<ReadResult> {
        let result = self.inner.read(buffer).await?;
        let read = buffer.get(..result.bytes_read()).unwrap_or_default();
        if self.since_end.add(read, result.fds().len()) {
            Ok(result)
        } else {
            Err(zlink::Error::BufferOverflow)
        }
    }
}

impl SinceEnd {
    /// False when a limit is passed.
    fn add(&mut self, read: &[u8], descriptors: usize) -> bool {
        let begun = read.iter().rev().take_while(|byte| **byte != 0).count();
        let ended = begun < read.len();
        let before = if ended { 0 } else { self.bytes };
        self.bytes = before.saturating_add(u64::try_from(begun).unwrap_or(u64::MAX));
        self.descriptors = self.descriptors.saturating_add(descriptors);
        let is_within = self.bytes <= MESSAGE_BYTES_MAX && self.descriptors <= DESCRIPTORS_MAX;
        if ended {
            self.descriptors = 0;
        }
        is_within
    }
}

impl AsFd for BoundedRead {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl UnixSocket for BoundedRead {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_one_by_one() {
        let half = vec![b'x'; usize::try_from(MESSAGE_BYTES_MAX / 2).expect("it is small")];
        let mut since_end = SinceEnd::default();
        for _ in 0..10 {
            assert!(since_end.add(&half, 0));
            assert!(since_end.add(&half, 0));
            assert!(since_end.add(b"\0", 0));
        }
        assert!(since_end.add(b"x", 0) && since_end.add(&half, 0));
        assert!(!since_end.add(&half, 0));
    }

    #[test]
    fn descriptors_are_bounded_message_by_message() {
        let mut since_end = SinceEnd::default();
        for _ in 0..10 {
            assert!(since_end.add(b"{", DESCRIPTORS_MAX));
            assert!(since_end.add(b"}\0", 0));
        }
        assert!(since_end.add(b"{", DESCRIPTORS_MAX));
        assert!(!since_end.add(b"}", 1));
    }
}
