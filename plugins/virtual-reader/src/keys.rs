//! The keys of the PIN pad as a machine without IO: bytes that a program types go in, what came of them goes out.
//!
//! ```text
//! Idle ── begin ──▶ Entering ── digits and newline, enough of them ──▶ Confirmed ── end ──▶ Idle
//!                    │  ▲ └── too few: typed digits are dropped ──┘
//!                    └──── "cancel" and newline ──▶ Cancelled ── end ──▶ Idle
//! ```

use purser_plugin_api::abi::limits::PIN_MAX_DIGITS;
use zeroize::{Zeroize, Zeroizing};

/// The word that presses the cancel key.
const CANCEL: &[u8] = b"cancel";

/// What came of one typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// Nothing to tell.
    Nothing,
    /// So many digits stand on the display now.
    Digits(u32),
    /// The buyer confirmed; the digits wait for `end`.
    Confirmed,
    /// The buyer cancelled.
    Cancelled,
    /// Too few digits; the entry goes on with an empty display.
    TooShort,
    /// A line that means nothing here: no entry runs, or it is neither digits nor "cancel".
    Ignored,
}

/// How an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Entering { digits_min: usize, digits_max: usize },
    Confirmed,
    Cancelled,
}

/// The keys.
pub(crate) struct Keys {
    state: State,
    /// Digits on the display.
    typed: Zeroizing<Vec<u8>>,
    /// How much of "cancel" was typed in this line; `None` once the line can no longer become it.
    word: Option<usize>,
    /// The line holds something else than digits.
    is_spoiled: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            state: State::Idle,
            typed: Zeroizing::new(Vec::with_capacity(PIN_MAX_DIGITS)),
            word: Some(0),
            is_spoiled: false,
        }
    }
}

impl Keys {
    /// Begins an entry with an empty display.
    pub(crate) fn begin(&mut self, digits_min: usize, digits_max: usize) {
        self.clear_line();
        self.state = State::Entering {
            digits_min,
            digits_max: digits_max.min(PIN_MAX_DIGITS),
        };
    }

    /// Ends the entry and gives the digits if it was confirmed; the display is empty afterwards `[P-6]`.
    pub(crate) fn end(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let digits = (self.state == State::Confirmed).then(|| self.typed.clone());
        self.clear_line();
        self.state = State::Idle;
        digits
    }

    /// True once the buyer confirmed or cancelled.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, State::Confirmed | State::Cancelled)
    }

    /// Takes one typed byte.
    pub(crate) fn press(&mut self, byte: u8) -> Pressed {
        match (byte, self.state) {
            (b'\n', _) => self.end_line(),
            (b'0'..=b'9', State::Entering { digits_max, .. }) if !self.is_spoiled => {
                self.word = None;
                // A full display takes no further digit [P-2].
                if self.typed.len() < digits_max {
                    self.typed.push(byte);
                    return Pressed::Digits(u32::try_from(self.typed.len()).expect("at most 12 digits"));
                }
                Pressed::Nothing
            }
            (byte, _) => {
                self.is_spoiled = true;
                self.word = self
                    .word
                    .filter(|at| CANCEL.get(*at) == Some(&byte))
                    .map(|at| at + 1);
                Pressed::Nothing
            }
        }
    }

    fn end_line(&mut self) -> Pressed {
        let is_cancel = self.word == Some(CANCEL.len());
        match self.state {
            State::Entering { .. } if is_cancel => {
                self.clear_line();
                self.state = State::Cancelled;
                Pressed::Cancelled
            }
            State::Entering { .. } if self.is_spoiled => {
                self.clear_line();
                Pressed::Ignored
            }
            State::Entering { digits_min, .. } if self.typed.len() < digits_min => {
                self.clear_line();
                Pressed::TooShort
            }
            State::Entering { .. } => {
                self.state = State::Confirmed;
                Pressed::Confirmed
            }
            State::Idle | State::Confirmed | State::Cancelled => {
                self.word = Some(0);
                self.is_spoiled = false;
                Pressed::Ignored
            }
        }
    }

    fn clear_line(&mut self) {
        self.typed.zeroize();
        self.word = Some(0);
        self.is_spoiled = false;
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_all(keys: &mut Keys, text: &str) -> Pressed {
        text.bytes().map(|byte| keys.press(byte)).last().unwrap()
    }

    fn entering() -> Keys {
        let mut keys = Keys::default();
        keys.begin(4, 6);
        keys
    }

    #[test]
    fn digits_are_counted_and_confirmed_by_the_end_of_the_line() {
        let mut keys = entering();
        assert_eq!(keys.press(b'1'), Pressed::Digits(1));
        assert_eq!(type_all(&mut keys, "234"), Pressed::Digits(4));
        assert!(!keys.is_settled());
        assert_eq!(keys.press(b'\n'), Pressed::Confirmed);
        assert_eq!(keys.end().unwrap().as_slice(), b"1234");
        assert_eq!(keys.end(), None);
    }

    #[test]
    fn too_few_digits_start_again_and_too_many_are_not_taken() {
        let mut keys = entering();
        assert_eq!(type_all(&mut keys, "123\n"), Pressed::TooShort);
        assert_eq!(type_all(&mut keys, "1234567"), Pressed::Nothing);
        assert_eq!(keys.press(b'\n'), Pressed::Confirmed);
        assert_eq!(keys.end().unwrap().as_slice(), b"123456");
    }

    #[test]
    fn cancel_settles_without_digits() {
        let mut keys = entering();
        assert_eq!(type_all(&mut keys, "cancel\n"), Pressed::Cancelled);
        assert!(keys.is_settled());
        assert_eq!(keys.end(), None);
    }

    #[test]
    fn other_lines_are_ignored() {
        for line in ["cancels\n", "cance\n", "12a4\n", "cancel1234\n", " 1234\n"] {
            let mut keys = entering();
            assert_eq!(type_all(&mut keys, line), Pressed::Ignored, "{line:?}");
            assert!(!keys.is_settled());
            assert_eq!(
                type_all(&mut keys, "1234\n"),
                Pressed::Confirmed,
                "after {line:?}"
            );
        }
    }

    #[test]
    fn what_was_typed_before_the_entry_does_not_count() {
        let mut keys = Keys::default();
        assert_eq!(type_all(&mut keys, "98\n"), Pressed::Ignored);
        type_all(&mut keys, "98");
        keys.begin(4, 6);
        assert_eq!(type_all(&mut keys, "1234\n"), Pressed::Confirmed);
        assert_eq!(keys.end().unwrap().as_slice(), b"1234");
    }

    #[test]
    fn nothing_counts_after_the_confirmation() {
        let mut keys = entering();
        assert_eq!(type_all(&mut keys, "1234\n"), Pressed::Confirmed);
        assert_eq!(type_all(&mut keys, "5678\n"), Pressed::Ignored);
        assert_eq!(keys.end().unwrap().as_slice(), b"1234");
    }
}
