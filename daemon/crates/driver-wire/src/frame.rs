//! Frames: a length of four bytes, big-endian, and so many bytes.

use std::fmt;

use zeroize::Zeroizing;

use crate::limits::FRAME_MAX_BYTES;

/// Bytes of the length prefix.
pub(crate) const PREFIX_BYTES: usize = 4;

/// The content of one frame; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Zeroizing<Vec<u8>>);

impl Frame {
    /// The bytes, to be given to [`decode`](crate::decode).
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.0.len())
    }
}

/// The peer breaks the framing; nothing that follows can be read, so end the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length of 0, which no message has.
    #[error("a frame without content")]
    Empty,
    /// A length above the limit.
    #[error("a frame of {0} bytes is longer than the limit")]
    TooLong(u32),
}

/// Cuts a byte stream into frames, however the stream is chopped.
#[derive(Default)]
pub struct FrameDecoder {
    prefix: [u8; PREFIX_BYTES],
    prefix_length: usize,
    /// Allocated at its full size once, so that no copy of a secret stays behind in freed memory.
    body: Option<(Zeroizing<Vec<u8>>, usize)>,
}

impl FrameDecoder {
    /// Takes bytes from the front of `input` until one frame is complete or `input` is empty. Call it again while
    /// `input` is not empty. Wiping the memory behind `input` is the caller's.
    ///
    /// # Errors
    /// [`FrameError`]: end the connection.
    pub fn take(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        while self.body.is_none() {
            let Some((byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            self.prefix[self.prefix_length] = *byte;
            self.prefix_length += 1;
            if self.prefix_length == PREFIX_BYTES {
                self.prefix_length = 0;
                let length = body_length(self.prefix)?;
                self.body = Some((Zeroizing::new(Vec::with_capacity(length)), length));
            }
        }
        let Some((body, length)) = &mut self.body else {
            return Ok(None);
        };
        let missing = length.saturating_sub(body.len()).min(input.len());
        let (now, rest) = input.split_at(missing);
        *input = rest;
        body.extend_from_slice(now);
        if body.len() < *length {
            return Ok(None);
        }
        Ok(self.body.take().map(|(body, _)| Frame(body)))
    }

    /// True between two frames: the place where a stream may end properly.
    pub fn is_between_frames(&self) -> bool {
        self.body.is_none() && self.prefix_length == 0
    }
}

impl fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameDecoder")
            .field("between_frames", &self.is_between_frames())
            .finish()
    }
}

fn body_length(prefix: [u8; PREFIX_BYTES]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(0) => Err(FrameError::Empty),
        Ok(bytes) if bytes <= FRAME_MAX_BYTES => Ok(bytes),
        _ => Err(FrameError::TooLong(length)),
    }
}
