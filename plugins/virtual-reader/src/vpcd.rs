//! The vpcd wire protocol, both sides: frames between a virtual card reader and a virtual card.
//!
//! Each message is a length of two bytes, big-endian, and so many bytes. From the reader, one byte is a control; all
//! else is a command APDU. Only commands and "get ATR" are answered, by the response APDU or the ATR. The card's
//! closing of the TCP connection is its removal. Source: frankmorgner/vsmartcard, `virtualsmartcard/src/vpcd/vpcd.h`;
//! no document exists. Peers that we did not write: vsmartcard's vpcd, crate `vpicc`.

use zeroize::Zeroizing;

/// Longest message, in bytes: the length has two.
pub const MESSAGE_MAX_BYTES: usize = 0xFFFF;

const PREFIX_BYTES: usize = 2;
const POWER_OFF: u8 = 0x00;
const POWER_ON: u8 = 0x01;
const RESET: u8 = 0x02;
const GET_ATR: u8 = 0x04;

/// A message that the protocol cannot carry, or that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VpcdError {
    /// More bytes than two bytes of length can say; use shorter commands.
    #[error("a vpcd message has at most 65535 bytes")]
    TooLong,
    /// A message of no bytes from the reader.
    #[error("an empty vpcd message")]
    Empty,
    /// A single byte that is no control. No command has a single byte.
    #[error("unknown vpcd control {0:#04x}")]
    UnknownControl(u8),
}

/// What a reader sends to a card.
#[derive(Clone, PartialEq, Eq)]
pub enum ToCard {
    /// Take the power away. Not answered.
    PowerOff,
    /// Give power. Not answered.
    PowerOn,
    /// Warm reset. Not answered.
    Reset,
    /// Answered with the ATR; also asked while idle.
    GetAtr,
    /// Answered with the response. May hold a PIN.
    Command(Zeroizing<Vec<u8>>),
}

impl ToCard {
    /// Reads the content of one frame.
    ///
    /// # Errors
    /// [`VpcdError`]: not a vpcd reader; close the connection.
    pub fn decode(message: &[u8]) -> Result<Self, VpcdError> {
        match message {
            [] => Err(VpcdError::Empty),
            [POWER_OFF] => Ok(Self::PowerOff),
            [POWER_ON] => Ok(Self::PowerOn),
            [RESET] => Ok(Self::Reset),
            [GET_ATR] => Ok(Self::GetAtr),
            [control] => Err(VpcdError::UnknownControl(*control)),
            command => Ok(Self::Command(Zeroizing::new(command.to_vec()))),
        }
    }

    /// The frame with its length in front; wiped when dropped.
    ///
    /// # Errors
    /// [`VpcdError`] for a command of no, one or more than 65535 bytes.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, VpcdError> {
        match self {
            Self::PowerOff => frame(&[POWER_OFF]),
            Self::PowerOn => frame(&[POWER_ON]),
            Self::Reset => frame(&[RESET]),
            Self::GetAtr => frame(&[GET_ATR]),
            Self::Command(command) => match command.as_slice() {
                [] => Err(VpcdError::Empty),
                [byte] => Err(VpcdError::UnknownControl(*byte)),
                command => frame(command),
            },
        }
    }
}

impl std::fmt::Debug for ToCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PowerOff => f.write_str("PowerOff"),
            Self::PowerOn => f.write_str("PowerOn"),
            Self::Reset => f.write_str("Reset"),
            Self::GetAtr => f.write_str("GetAtr"),
            Self::Command(command) => write!(f, "Command({} bytes)", command.len()),
        }
    }
}

/// A frame around any message, such as a card's ATR or response.
///
/// # Errors
/// [`VpcdError::TooLong`].
pub fn frame(message: &[u8]) -> Result<Zeroizing<Vec<u8>>, VpcdError> {
    let length = u16::try_from(message.len()).map_err(|_| VpcdError::TooLong)?;
    // One allocation: growing would leave copies of a PIN in freed memory.
    let mut frame = Zeroizing::new(Vec::with_capacity(PREFIX_BYTES + message.len()));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    Ok(frame)
}

/// Cuts a byte stream into messages, however the stream is chopped.
#[derive(Default)]
pub struct FrameDecoder {
    prefix: [u8; PREFIX_BYTES],
    prefix_length: usize,
    body: Option<(Zeroizing<Vec<u8>>, usize)>,
}

impl FrameDecoder {
    /// Takes bytes from the front of `input` until one message is complete or `input` is empty; call it again while
    /// `input` is not empty. Every length is a possible one, so that there are no errors.
    pub fn take(&mut self, input: &mut &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        while self.body.is_none() {
            let (byte, rest) = input.split_first()?;
            *input = rest;
            self.prefix[self.prefix_length] = *byte;
            self.prefix_length += 1;
            if self.prefix_length == PREFIX_BYTES {
                self.prefix_length = 0;
                let length = usize::from(u16::from_be_bytes(self.prefix));
                self.body = Some((Zeroizing::new(Vec::with_capacity(length)), length));
            }
        }
        let (body, length) = self.body.as_mut()?;
        let (now, rest) = input.split_at(length.saturating_sub(body.len()).min(input.len()));
        *input = rest;
        body.extend_from_slice(now);
        if body.len() < *length {
            return None;
        }
        self.body.take().map(|(body, _)| body)
    }

    /// True between two messages.
    pub fn is_between_frames(&self) -> bool {
        self.body.is_none() && self.prefix_length == 0
    }
}

impl std::fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameDecoder")
            .field("between_frames", &self.is_between_frames())
            .finish()
    }
}

/// Entry for fuzzers: any bytes may be given, and nothing may panic.
pub fn fuzz(data: &[u8]) {
    let mut decoder = FrameDecoder::default();
    let mut input = data;
    while let Some(message) = decoder.take(&mut input) {
        if let Ok(decoded) = ToCard::decode(&message) {
            let again = decoded.encode().expect("what was decoded can be encoded");
            assert_eq!(
                &again[PREFIX_BYTES..],
                message.as_slice(),
                "decoded and encoded differ"
            );
        }
    }
}
