//! Hides what a driver must never say (`[G-7]`): PINs, card numbers, keys, bytes of commands and answers.
//!
//! Purser cannot know which of a driver's words are secret, so it hides what looks so. It hides too much rather than too
//! little: a serial number of eight hexadecimal digits goes too. What is left alone are addresses, ports, versions,
//! status words and small numbers.
//!
//! ```text
//! VERIFY 00 20 00 00 03 12 34 56   ->  VERIFY [masked]       bytes, however they are set apart
//! card 6222021234567890            ->  card [masked]         a number of a card or an account
//! pin=1234                         ->  pin=[masked]          digits beside the word
//! listens on 127.0.0.1:35963       ->  unchanged
//! ```

use purser_driver_wire::{CallFailure, Text};

/// What stands in the place of what is hidden.
const MASKED: &str = "[masked]";

/// Digits in one word from which on it is hidden: four bytes, the shortest command.
const WORD_DIGITS_MIN: usize = 8;

/// Words of one byte each, in a row, from which on they are hidden: the shortest command.
const BYTES_MIN: usize = 4;

/// Decimal digits in a row of words from which on they are hidden. Source: ISO/IEC 7812-1 has account numbers of 12 digits
/// and more on cards.
const ACCOUNT_DIGITS_MIN: usize = 12;

/// Fewest digits of a PIN (ISO 9564-1).
const PIN_DIGITS_MIN: usize = 4;

/// How far behind the word "pin" its digits may stand, in bytes: `PIN block is: 1234`.
const PIN_REACH: usize = 12;

/// The text with all that looks secret replaced by [`MASKED`].
pub(crate) fn mask(text: &str) -> String {
    let words = words(text);
    let mut shown = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    while at < words.len() {
        let row = row_from(text, &words, at);
        let is_secret = looks_secret(row) || follows_pin(text, &words, at);
        if is_secret && let (Some(first), Some(last)) = (row.first(), row.last()) {
            shown.push_str(&text[copied..first.start]);
            shown.push_str(MASKED);
            copied = last.end;
        }
        at += row.len().max(1);
    }
    shown.push_str(&text[copied..]);
    shown
}

/// The failure with what looks secret in its detail hidden.
pub(crate) fn masked(failure: CallFailure) -> CallFailure {
    CallFailure {
        detail: Text::cut(&mask(failure.detail.as_str())),
        ..failure
    }
}

/// A run of letters and digits.
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    start: usize,
    end: usize,
    /// Without a `0x` in front.
    digits: &'a str,
}

impl Word<'_> {
    fn is_decimal(&self) -> bool {
        !self.digits.is_empty() && self.digits.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn is_hexadecimal(&self) -> bool {
        !self.digits.is_empty() && self.digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Two hexadecimal digits, or a decimal number of one byte.
    fn is_byte(&self) -> bool {
        let is_hexadecimal = self.digits.len() == 2 && self.is_hexadecimal();
        is_hexadecimal || self.is_decimal() && self.digits.parse::<u8>().is_ok()
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = 0;
    while let Some(offset) = text[rest..].find(|letter: char| letter.is_ascii_alphanumeric()) {
        let start = rest + offset;
        let length = text[start..].find(|letter: char| !letter.is_ascii_alphanumeric());
        let end = length.map_or(text.len(), |length| start + length);
        let word = &text[start..end];
        let digits = word
            .strip_prefix("0x")
            .or(word.strip_prefix("0X"))
            .unwrap_or(word);
        words.push(Word { start, end, digits });
        rest = end;
    }
    words
}

/// The longest row of words from here on that could be one secret: hexadecimal, with nothing but blanks, commas, dashes
/// and colons between them. One word at least.
fn row_from<'a, 'w>(text: &str, words: &'w [Word<'a>], at: usize) -> &'w [Word<'a>] {
    let mut end = at + 1;
    while let (Some(before), Some(word)) = (words.get(end - 1), words.get(end)) {
        let between = &text[before.end..word.start];
        let is_separator = |letter: char| matches!(letter, ' ' | '\t' | ',' | '-' | ':' | ';' | '_' | '\\');
        let goes_on = between.len() <= 3 && between.chars().all(is_separator);
        if !(goes_on && before.is_hexadecimal() && word.is_hexadecimal()) {
            break;
        }
        end += 1;
    }
    words.get(at..end).unwrap_or_default()
}

fn looks_secret(row: &[Word<'_>]) -> bool {
    let is_long = |word: &Word<'_>| word.is_hexadecimal() && word.digits.len() >= WORD_DIGITS_MIN;
    let decimal_digits: usize = row
        .iter()
        .filter(|word| word.is_decimal())
        .map(|word| word.digits.len())
        .sum();
    row.iter().any(is_long)
        || row
            .windows(BYTES_MIN)
            .any(|words| words.iter().all(Word::is_byte))
        || decimal_digits >= ACCOUNT_DIGITS_MIN
}

/// True for digits shortly behind the word "pin".
fn follows_pin(text: &str, words: &[Word<'_>], at: usize) -> bool {
    let Some(word) = words.get(at) else { return false };
    if !word.is_decimal() || word.digits.len() < PIN_DIGITS_MIN {
        return false;
    }
    let earlier = words.get(..at).unwrap_or_default().iter().rev();
    earlier
        .take_while(|earlier| word.start - earlier.end <= PIN_REACH)
        .any(|earlier| text[earlier.start..earlier.end].eq_ignore_ascii_case("pin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_hidden_however_they_are_written() {
        for secret in [
            "0020000003123456",
            "00 20 00 00 03 12 34 56",
            "00:20:00:00:03:12:34:56",
            "00-20-00-00",
            "00,20,00,00",
            "0x00 0x20 0x00 0x00",
            "0x00, 0x20, 0x00, 0x00",
            "0x00200000",
            "0, 32, 0, 0, 3, 18, 52, 86",
            "805401000F",
            "80 54 01 00 0f de ad be ef",
            "ffffffffffffffff",
            "FF FF FF FF",
            "80540100 0F000000 01",
        ] {
            assert_eq!(
                mask(&format!("apdu [{secret}] sent")),
                "apdu [[masked]] sent",
                "{secret}"
            );
            assert_eq!(mask(secret), MASKED);
        }
    }

    #[test]
    fn numbers_of_cards_and_pins_are_hidden() {
        for (said, shown) in [
            ("card 6222021234567890 came", "card [masked] came"),
            ("card 6222 0212 3456 7890 came", "card [masked] came"),
            ("card 6222-0212-3456-7890", "card [masked]"),
            ("PAN=622202123456", "PAN=[masked]"),
            ("PIN 1234 typed", "PIN [masked] typed"),
            ("pin: 123456", "pin: [masked]"),
            ("pin=1234,tries=3", "pin=[masked],tries=3"),
            ("the pin block is 12345678", "the pin block is [masked]"),
            ("6222021234567890 and 00A40400", "[masked] and [masked]"),
            ("schlüssel: 0011223344556677é", "schlüssel: [masked]é"),
        ] {
            assert_eq!(mask(said), shown);
        }
    }

    #[test]
    fn what_an_operator_needs_is_left() {
        for said in [
            "",
            "counter reader listens on 127.0.0.1:35963",
            "ACS ACR39U ICC Reader 00 00",
            "usb device 072f:b100 left, status 6a82",
            "firmware 1.10.3 took 1200 ms",
            "error 5: no card (0x8010000C",
            "two cards in one slot: the second was refused",
            "a bad cafe added a facade",
            "spin 1234 times",
            "[M-2] a length above the capacity: 65539",
        ] {
            let expected = said.replace("0x8010000C", MASKED);
            assert_eq!(mask(said), expected);
        }
    }

    #[test]
    fn a_long_line_takes_no_longer_than_it_is_long() {
        let line = "00 ".repeat(300_000);
        let started = std::time::Instant::now();
        assert_eq!(mask(&line), format!("{MASKED} "));
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}
