//! The socket to the daemon.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use purser_driver_wire::{DecodeError, FrameDecoder, FrameError, ToDaemon, ToHost, decode, encode};
use zeroize::Zeroizing;

/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// Sends messages; shared by the calling thread and the driver's own threads.
#[derive(Debug)]
pub(crate) struct Outbox(Mutex<UnixStream>);

impl Outbox {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self(Mutex::new(socket))
    }

    /// Sends one message. A daemon that is gone is noticed by the [`Inbox`], which ends the process; so nothing is
    /// reported here.
    pub(crate) fn send(&self, message: &ToDaemon) {
        let Ok(bytes) = encode(message) else { return };
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.write_all(&bytes);
    }
}

/// Why no further message can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The daemon closed the socket or is gone.
    #[error("the daemon is gone")]
    Ended,
    /// The stream broke.
    #[error("the socket to the daemon failed")]
    Socket(#[from] io::Error),
    /// The daemon's framing is broken.
    #[error("the daemon's frames are broken")]
    Frame(#[from] FrameError),
    /// The daemon sent what is no message.
    #[error("the daemon's message is broken")]
    Message(#[from] DecodeError),
}

/// Receives messages.
pub(crate) struct Inbox {
    socket: UnixStream,
    decoder: FrameDecoder,
    /// May hold part of a command with a PIN in it.
    buffer: Zeroizing<[u8; READ_BYTES]>,
    pending: std::ops::Range<usize>,
}

impl Inbox {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            decoder: FrameDecoder::default(),
            buffer: Zeroizing::new([0; READ_BYTES]),
            pending: 0..0,
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`LinkError`]; the conversation is over.
    pub(crate) fn receive(&mut self) -> Result<ToHost, LinkError> {
        loop {
            let mut input = &self.buffer[self.pending.clone()];
            let frame = self.decoder.take(&mut input)?;
            self.pending.start = self.pending.end - input.len();
            if let Some(frame) = frame {
                return Ok(decode(frame.as_bytes())?);
            }
            self.buffer.fill(0);
            match self.socket.read(&mut *self.buffer) {
                Ok(0) => return Err(LinkError::Ended),
                Ok(length) => self.pending = 0..length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.pending = 0..0,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(LinkError::Ended),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
