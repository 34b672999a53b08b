//! Bytes with masks over what is secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a mask hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// A byte of a purse id, or of what may hold one: `##`.
    PurseId,
    /// A byte of another secret: `**`.
    Secret,
}

/// Bytes as a recording shows them: two hexadecimal digits each, `##` or `**` where one is hidden, and at the end perhaps
/// a single `*`: any number of hidden bytes, whose number is a secret too (a PIN's length).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Masked(String);

/// A text is not what [`Masked`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes are pairs of hexadecimal digits in upper case, ## or **, and perhaps one * at the end")]
pub struct NotMasked;

const HIDDEN_LENGTH: char = '*';

impl Masked {
    /// Bytes, each shown where `hides` says nothing.
    pub(crate) fn new(bytes: &[u8], hides: impl Fn(usize) -> Option<Hidden>) -> Self {
        let mut text = String::with_capacity(2 * bytes.len());
        for (index, byte) in bytes.iter().enumerate() {
            match hides(index) {
                None => text.push_str(&hex::encode_upper([*byte])),
                Some(Hidden::PurseId) => text.push_str("##"),
                Some(Hidden::Secret) => text.push_str("**"),
            }
        }
        Self(text)
    }

    /// Bytes that are shown, and then any number that are not.
    pub(crate) fn begin(shown: &[u8]) -> Self {
        let mut masked = Self::new(shown, |_| None);
        masked.0.push(HIDDEN_LENGTH);
        masked
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes, with `stand_in` for each hidden one; `None` where not even their number is known.
    pub fn fill(&self, mut stand_in: impl FnMut(Hidden) -> u8) -> Option<Vec<u8>> {
        if self.hides_its_length() {
            return None;
        }
        let pairs = self.0.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| match pair {
            b"##" => Some(stand_in(Hidden::PurseId)),
            b"**" => Some(stand_in(Hidden::Secret)),
            digits => byte(digits),
        });
        bytes.collect()
    }

    fn hides_its_length(&self) -> bool {
        self.0.len() % 2 == 1
    }
}

/// Two digits in upper case, so that one byte has one form.
fn byte(digits: &[u8]) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    digits
        .iter()
        .all(|digit| !digit.is_ascii_lowercase())
        .then_some(byte[0])
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Masked {
    type Error = NotMasked;

    fn try_from(text: String) -> Result<Self, NotMasked> {
        let pairs = match text.strip_suffix(HIDDEN_LENGTH) {
            Some(begin) if text.len() % 2 == 1 => begin,
            _ => &text,
        };
        let is_known = |pair: &[u8]| matches!(pair, b"##" | b"**") || byte(pair).is_some();
        if pairs.as_bytes().chunks(2).all(is_known) {
            Ok(Self(text))
        } else {
            Err(NotMasked)
        }
    }
}

impl From<Masked> for String {
    fn from(masked: Masked) -> Self {
        masked.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_filled_with_what_stands_in_for_it() {
        let hides = |index| match index {
            1 => Some(Hidden::PurseId),
            2 => Some(Hidden::Secret),
            _ => None,
        };
        let masked = Masked::new(&[0x90, 0xAA, 0xBB, 0x0C], hides);
        assert_eq!(masked.as_str(), "90##**0C");
        let filled = masked.fill(|hidden| if hidden == Hidden::PurseId { 1 } else { 2 });
        assert_eq!(filled, Some(vec![0x90, 1, 2, 0x0C]));
        let of_hidden_length = Masked::begin(&[0, 0x20]);
        assert_eq!(of_hidden_length.as_str(), "0020*");
        assert_eq!(of_hidden_length.fill(|_| 0), None);
    }

    #[test]
    fn other_texts_are_refused() {
        for good in ["", "*", "90", "##", "***", "0C**#"] {
            let parsed = Masked::try_from(good.to_owned());
            assert_eq!(parsed.is_ok(), good != "0C**#", "{good}");
        }
        for bad in ["9", "9*", "0c", "#*", "*0", "zz", "é"] {
            assert!(Masked::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
