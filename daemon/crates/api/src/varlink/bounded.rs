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
    /// The bytes since the last end of a message.
    bytes: u64,
    /// The descriptors since the last end of a message.
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
        let read = BoundedRead {
            inner,
            bytes: 0,
            descriptors: 0,
        };
        (read, write)
    }
}

impl ReadHalf for BoundedRead {
    async fn read(&mut self, buffer: &mut [u8]) -> zlink::Result<ReadResult> {
        let result = self.inner.read(buffer).await?;
        let read = buffer.get(..result.bytes_read()).unwrap_or_default();
        self.count(read, result.fds().len())?;
        Ok(result)
    }
}

impl BoundedRead {
    fn count(&mut self, read: &[u8], descriptors: usize) -> zlink::Result<()> {
        let since_end = read.iter().rev().take_while(|byte| **byte != 0).count();
        let ended = since_end < read.len();
        // Within one read a message may begin after another: then the read itself bounds it.
        self.bytes = if ended { 0 } else { self.bytes };
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(since_end).unwrap_or(u64::MAX));
        self.descriptors = self.descriptors.saturating_add(descriptors);
        if self.bytes > MESSAGE_BYTES_MAX || self.descriptors > DESCRIPTORS_MAX {
            return Err(zlink::Error::BufferOverflow);
        }
        if ended {
            self.descriptors = 0;
        }
        Ok(())
    }
}

impl AsFd for BoundedRead {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl UnixSocket for BoundedRead {}
