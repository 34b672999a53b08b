//! One insertion: a connection to a reader, from its first frame to its end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::linux::net::TcpStreamExt;

use super::frame::{Frame, FrameError, FrameReader, encode};

/// How much is read at once. Commands are short.
const CHUNK_BYTES: usize = 4096;

/// Why an insertion ended otherwise than by one of both going.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The network failed.
    #[error("the connection to the reader failed")]
    Io(#[from] io::Error),
    /// The other end is no reader.
    #[error(transparent)]
    NotAReader(#[from] FrameError),
}

/// What the card makes of a frame.
pub(super) enum Handled {
    /// It answers.
    Answer(Vec<u8>),
    /// It answers, and is no longer in this reader then.
    LastAnswer(Vec<u8>),
    /// It says nothing.
    Silent,
    /// It is no longer in this reader.
    Gone,
}

/// Serves the reader at the other end until one of both goes.
pub(super) fn serve(stream: &TcpStream, mut handle: impl FnMut(Frame) -> Handled) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let mut frames = FrameReader::default();
    let mut chunk = [0; CHUNK_BYTES];
    let mut stream = stream;
    loop {
        // Linux drops this option by itself. Without it, a reader that writes length and content apart waits 40 ms
        // for our acknowledgement of the length.
        stream.set_quickack(true)?;
        let length = match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        frames.handle_bytes(&chunk[..length]);
        while let Some(frame) = frames.poll_frame()? {
            match handle(frame) {
                Handled::Answer(answer) => stream.write_all(&encode(&answer)?)?,
                Handled::LastAnswer(answer) => return Ok(stream.write_all(&encode(&answer)?)?),
                Handled::Silent => {}
                Handled::Gone => return Ok(()),
            }
        }
    }
}
