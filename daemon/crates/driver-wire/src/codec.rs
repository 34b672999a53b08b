//! Messages to bytes and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::frame::PREFIX_BYTES;
use crate::limits::FRAME_MAX_BYTES;
use crate::message::{ToDaemon, ToHost};
use crate::{Call, Reply};

/// A message cannot be sent: it is longer than a frame may be. A fault of the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is longer than a frame may be")]
pub struct EncodeError;

/// The peer sent what is no message; end the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not the bytes of a message, or a value out of its range.
    #[error("a frame that is no message")]
    Malformed,
    /// A message followed by more bytes, or encoded in more bytes than it needs.
    #[error("a frame with bytes to spare")]
    NotCanonical,
}

/// A message of one direction; implemented by [`ToHost`] and [`ToDaemon`].
pub trait Message: Serialize + DeserializeOwned {
    #[doc(hidden)]
    fn is_valid(&self) -> bool;
}

impl Message for ToHost {
    fn is_valid(&self) -> bool {
        match self {
            Self::Call(request) => {
                request.deadline_ms != 0
                    && match &request.call {
                        Call::EnterPin { request, .. } => request.is_valid(),
                        Call::Connect { .. } | Call::Transmit { .. } | Call::Disconnect { .. } => true,
                    }
            }
            Self::Create { deadline_ms, .. } | Self::Stop { deadline_ms } => *deadline_ms != 0,
            Self::Load(_) | Self::Cancel(_) => true,
        }
    }
}

impl Message for ToDaemon {
    fn is_valid(&self) -> bool {
        match self {
            Self::Hello(hello) => hello.is_valid(),
            Self::Answer {
                result: Ok(Reply::Connected(card)),
                ..
            } => card.is_valid(),
            Self::NotLoaded { .. }
            | Self::Created(_)
            | Self::Answer { .. }
            | Self::Event(_)
            | Self::Log { .. }
            | Self::Breaches { .. }
            | Self::LogsDropped { .. } => true,
        }
    }
}

/// The bytes of one frame with its length in front; wiped when dropped.
///
/// # Errors
/// [`EncodeError`] for a message that is too long.
pub fn encode<M: Message>(message: &M) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    let length = postcard::experimental::serialized_size(message).map_err(|_| EncodeError)?;
    if length > FRAME_MAX_BYTES {
        return Err(EncodeError);
    }
    let prefix = u32::try_from(length).map_err(|_| EncodeError)?.to_be_bytes();
    // One allocation of the full size: growing would leave copies of a secret in freed memory.
    let mut bytes = Zeroizing::new(vec![0; PREFIX_BYTES + length]);
    let (head, body) = bytes.split_at_mut(PREFIX_BYTES);
    head.copy_from_slice(&prefix);
    postcard::to_slice(message, body).map_err(|_| EncodeError)?;
    Ok(bytes)
}

/// The message in the content of one frame.
///
/// # Errors
/// [`DecodeError`]: end the connection.
pub fn decode<M: Message>(frame: &[u8]) -> Result<M, DecodeError> {
    let (message, rest) = postcard::take_from_bytes::<M>(frame).map_err(|_| DecodeError::Malformed)?;
    let shortest = postcard::experimental::serialized_size(&message).map_err(|_| DecodeError::Malformed)?;
    if !rest.is_empty() || shortest != frame.len() {
        return Err(DecodeError::NotCanonical);
    }
    if message.is_valid() {
        Ok(message)
    } else {
        Err(DecodeError::Malformed)
    }
}
