//! The socket to a driver host: whole messages in, whole messages out.

use std::io;
use std::time::Duration;

use purser_driver_wire::{FrameDecoder, ToDaemon, ToHost, decode, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{DownReason, ProcessEnd};

/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// Time in which a driver host must take a message. Its reading thread does nothing else.
const SEND_TIME: Duration = Duration::from_secs(1);

/// The socket to a driver host.
#[derive(Debug)]
pub(crate) struct HostLink {
    socket: UnixStream,
    decoder: FrameDecoder,
    /// May hold part of an answer with a PIN in it.
    buffer: Zeroizing<[u8; READ_BYTES]>,
    pending: std::ops::Range<usize>,
}

impl HostLink {
    pub(crate) fn new(socket: std::os::unix::net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UnixStream::from_std(socket)?,
            decoder: FrameDecoder::default(),
            buffer: Zeroizing::new([0; READ_BYTES]),
            pending: 0..0,
        })
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, message: &ToHost) -> Result<(), DownReason> {
        let bytes = encode(message).map_err(|_| DownReason::TooLong)?;
        match timeout(SEND_TIME, self.socket.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(DownReason::Ended(ProcessEnd::Unknown)),
            Err(_) => Err(DownReason::Deadline),
        }
    }

    /// Waits for the next message.
    ///
    /// Cancel safety: nothing is lost when the future is dropped.
    pub(crate) async fn receive(&mut self) -> Result<ToDaemon, DownReason> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            match self.socket.read(&mut *self.buffer).await {
                Ok(0) | Err(_) => return Err(DownReason::Ended(ProcessEnd::Unknown)),
                Ok(length) => self.pending = 0..length,
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<ToDaemon>, DownReason> {
        let mut input = &self.buffer[self.pending.clone()];
        let frame = self.decoder.take(&mut input)?;
        self.pending.start = self.pending.end - input.len();
        if self.pending.is_empty() {
            self.buffer.fill(0);
        }
        Ok(match frame {
            Some(frame) => Some(decode(frame.as_bytes())?),
            None => None,
        })
    }
}
