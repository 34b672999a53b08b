//! The TCP connection to one virtual card, with deadlines.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::vpcd::{FrameDecoder, ToCard, VpcdError};

/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// Time for a control message that carries no answer, such as "power off".
const CONTROL_TIME: Duration = Duration::from_millis(200);

/// One virtual card's connection.
#[derive(Debug)]
pub(crate) struct CardLink {
    stream: TcpStream,
}

/// An exchange that brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The command cannot be put into a frame. Nothing was sent.
    #[error(transparent)]
    Frame(#[from] VpcdError),
    /// The card was removed in the middle.
    #[error("the card was removed")]
    Removed,
    /// The card did not answer in time.
    #[error("the card did not answer in time")]
    Silent,
    /// The card answered more than was asked.
    #[error("the card sent bytes that nobody asked for")]
    Stray,
}

impl CardLink {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// True while the card is there and silent: what follows will be the answer to what is sent next.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let peeked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut byte));
        let restored = self.stream.set_nonblocking(false);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock) && restored.is_ok()
    }

    /// Sends a message that has no answer.
    pub(crate) fn tell(&self, message: &ToCard) -> Result<(), ExchangeError> {
        self.send(message, Instant::now() + CONTROL_TIME)
    }

    /// Sends a message once and waits for its one answer.
    pub(crate) fn ask(
        &self,
        message: &ToCard,
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, ExchangeError> {
        self.send(message, deadline)?;
        let mut decoder = FrameDecoder::default();
        let mut buffer = Zeroizing::new([0; READ_BYTES]);
        loop {
            let left = time_left(deadline)?;
            self.stream
                .set_read_timeout(Some(left))
                .map_err(|_| ExchangeError::Removed)?;
            let length = match (&self.stream).read(&mut *buffer) {
                Ok(0) => return Err(ExchangeError::Removed),
                Ok(length) => length,
                Err(error) if is_silence(&error) => continue,
                Err(_) => return Err(ExchangeError::Removed),
            };
            let mut input = &buffer[..length];
            if let Some(answer) = decoder.take(&mut input) {
                return if input.is_empty() {
                    Ok(answer)
                } else {
                    Err(ExchangeError::Stray)
                };
            }
        }
    }

    /// Throws the card out: the connection's state is not known any more.
    pub(crate) fn eject(&self) {
        // Fails only when the card has left already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn send(&self, message: &ToCard, deadline: Instant) -> Result<(), ExchangeError> {
        let frame = message.encode()?;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let left = time_left(deadline)?;
            self.stream
                .set_write_timeout(Some(left))
                .map_err(|_| ExchangeError::Removed)?;
            match (&self.stream).write(rest) {
                Ok(0) => return Err(ExchangeError::Removed),
                Ok(length) => rest = &rest[length..],
                Err(error) if is_silence(&error) => {}
                Err(_) => return Err(ExchangeError::Removed),
            }
        }
        Ok(())
    }
}

fn time_left(deadline: Instant) -> Result<Duration, ExchangeError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(ExchangeError::Silent)
    } else {
        Ok(left)
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
