//! Texts with a limit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// UTF-8 of at most `MAX_BYTES` bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX_BYTES: usize>(String);

impl<const MAX_BYTES: usize> Text<MAX_BYTES> {
    /// The text, cut at the last character that fits.
    pub fn cut(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(MAX_BYTES)].to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is longer than its place allows; the peer breaks the wire's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text is longer than its limit")]
pub struct TextTooLong;

impl<const MAX_BYTES: usize> TryFrom<String> for Text<MAX_BYTES> {
    type Error = TextTooLong;

    fn try_from(text: String) -> Result<Self, TextTooLong> {
        if text.len() > MAX_BYTES {
            Err(TextTooLong)
        } else {
            Ok(Self(text))
        }
    }
}

impl<const MAX_BYTES: usize> From<Text<MAX_BYTES>> for String {
    fn from(text: Text<MAX_BYTES>) -> Self {
        text.0
    }
}

impl<const MAX_BYTES: usize> fmt::Display for Text<MAX_BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX_BYTES: usize> fmt::Debug for Text<MAX_BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
