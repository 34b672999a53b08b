//! Frames: a length of two bytes, most significant first, then so many bytes.

/// What the reader sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Take the power away. Not answered.
    PowerOff,
    /// Give power. Not answered.
    PowerOn,
    /// Reset. Not answered.
    Reset,
    /// Tell the ATR: also the reader's way of asking whether the card is there.
    GetAtr,
    /// A command APDU, to be answered.
    Command(Vec<u8>),
}

/// What no reader of this protocol sends, or no card may answer.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// A frame without content.
    #[error("the reader sent an empty frame; it does not speak the vpcd protocol")]
    Empty,
    /// A control byte that is not known.
    #[error("the reader sent the unknown control byte {0:02X}; it does not speak this vpcd protocol")]
    UnknownControl(u8),
    /// An answer that two bytes of length cannot announce.
    #[error("an answer of {0} bytes is longer than a frame can carry")]
    TooLong(usize),
}

impl FrameError {
    /// Whether the same peer can be spoken to later: never, before somebody puts a reader there.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Empty | Self::UnknownControl(_) | Self::TooLong(_) => false,
        }
    }
}

/// Takes the byte stream apart, however it was cut on its way.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// What has arrived and is not yet a whole frame: less than 64 KiB when [`FrameReader::poll_frame`] is called
    /// until it has no more.
    arrived: Vec<u8>,
}

impl FrameReader {
    /// Takes bytes in.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.arrived.extend_from_slice(bytes);
    }

    /// The next whole frame; none until more bytes arrive. Call it again until it has none.
    ///
    /// # Errors
    /// [`FrameError`]: the other end speaks something else; close the connection.
    pub fn poll_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((&length, rest)) = self.arrived.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(length));
        let Some(content) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = match content {
            [] => return Err(FrameError::Empty),
            [0x00] => Frame::PowerOff,
            [0x01] => Frame::PowerOn,
            [0x02] => Frame::Reset,
            [0x04] => Frame::GetAtr,
            [control] => return Err(FrameError::UnknownControl(*control)),
            command => Frame::Command(command.to_vec()),
        };
        self.arrived.drain(..2 + length);
        Ok(Some(frame))
    }
}

/// An answer as one frame, to be written in one piece: a length that travels alone waits for its acknowledgement.
///
/// # Errors
/// [`FrameError::TooLong`] above 65,535 bytes; no card of the lab answers so much.
pub fn encode(answer: &[u8]) -> Result<Vec<u8>, FrameError> {
    let length = u16::try_from(answer.len()).map_err(|_| FrameError::TooLong(answer.len()))?;
    Ok([&length.to_be_bytes(), answer].concat())
}

/// What a fuzzer calls: however bytes are cut, the same frames come out.
pub fn fuzz(data: &[u8]) {
    let read = |chunk: usize| {
        let mut reader = FrameReader::default();
        let mut frames = Vec::new();
        for bytes in data.chunks(chunk) {
            reader.handle_bytes(bytes);
            loop {
                match reader.poll_frame() {
                    Ok(Some(frame)) => frames.push(Ok(frame)),
                    Ok(None) => break,
                    Err(error) => {
                        frames.push(Err(error));
                        return frames;
                    }
                }
            }
        }
        frames
    };
    let whole = read(data.len().max(1));
    assert_eq!(read(1), whole);
    assert_eq!(read(3), whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = &[0, 1, 1, 0, 1, 4, 0, 5, 0, 0xA4, 4, 0, 9, 0, 1, 2, 0, 1, 0];

    #[test]
    fn frames_are_read_however_the_stream_is_cut() {
        let expected = [
            Frame::PowerOn,
            Frame::GetAtr,
            Frame::Command(vec![0, 0xA4, 4, 0, 9]),
            Frame::Reset,
            Frame::PowerOff,
        ];
        for chunk in 1..=STREAM.len() {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for bytes in STREAM.chunks(chunk) {
                reader.handle_bytes(bytes);
                while let Some(frame) = reader.poll_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, expected, "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_frame_cut_at_any_byte_is_awaited() {
        for length in 0..7 {
            let mut reader = FrameReader::default();
            reader.handle_bytes(&[&0x0005_u16.to_be_bytes()[..], &[0, 0xA4, 4, 0, 9]].concat()[..length]);
            assert_eq!(reader.poll_frame(), Ok(None), "{length} bytes");
        }
    }

    #[test]
    fn what_no_reader_sends_is_an_error() {
        for (bytes, error) in [
            (&[0, 0][..], FrameError::Empty),
            (&[0, 1, 3], FrameError::UnknownControl(3)),
        ] {
            let mut reader = FrameReader::default();
            reader.handle_bytes(bytes);
            assert_eq!(reader.poll_frame(), Err(error));
        }
    }

    #[test]
    fn an_answer_becomes_one_frame_up_to_the_longest() {
        assert_eq!(encode(&[0x90, 0]), Ok(vec![0, 2, 0x90, 0]));
        assert_eq!(encode(&[7; 65_535]).unwrap().len(), 65_537);
        assert_eq!(encode(&[7; 65_536]), Err(FrameError::TooLong(65_536)));
    }

    #[test]
    fn the_fuzz_entry_holds_on_its_corpus() {
        for length in 0..=STREAM.len() {
            fuzz(&STREAM[..length]);
        }
        fuzz(&[0, 0, 1]);
        fuzz(&[0xFF; 70_000]);
    }

    proptest::proptest! {
        #[test]
        fn the_fuzz_entry_holds_on_random_bytes(
            data in proptest::collection::vec(proptest::sample::select(vec![0_u8, 1, 2, 3, 4, 0xA4]), 0..60)
        ) {
            fuzz(&data);
        }
    }
}
