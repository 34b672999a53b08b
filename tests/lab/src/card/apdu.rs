//! Command APDUs as the card reads them: short, cases 1 to 4.

use super::status::StatusWord;

/// A command APDU, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) class: u8,
    pub(crate) instruction: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    /// The data field; empty in cases 1 and 2.
    pub(crate) data: &'a [u8],
    /// Whether a data field was sent (cases 3 and 4).
    pub(crate) has_data: bool,
    /// The Le byte as sent: absent in cases 1 and 3; 0 stands for "all that there is".
    pub(crate) le: Option<u8>,
}

impl<'a> Command<'a> {
    /// Takes a command apart. Extended lengths, and lengths that do not add up, are 6700.
    pub(crate) fn parse(apdu: &'a [u8]) -> Result<Self, StatusWord> {
        let (&[class, instruction, p1, p2], body) =
            apdu.split_first_chunk().ok_or(StatusWord::WRONG_LENGTH)?;
        let (data, le) = match body {
            [] => (None, None),
            [le] => (None, Some(*le)),
            [0, ..] => return Err(StatusWord::WRONG_LENGTH),
            [lc, rest @ ..] => {
                let (data, le) = rest
                    .split_at_checked(usize::from(*lc))
                    .ok_or(StatusWord::WRONG_LENGTH)?;
                match le {
                    [] => (Some(data), None),
                    [le] => (Some(data), Some(*le)),
                    _ => return Err(StatusWord::WRONG_LENGTH),
                }
            }
        };
        let has_data = data.is_some();
        Ok(Self {
            class,
            instruction,
            p1,
            p2,
            data: data.unwrap_or_default(),
            has_data,
            le,
        })
    }

    /// The data field of exactly this length, else 6700.
    pub(crate) fn exactly<const N: usize>(&self) -> Result<&'a [u8; N], StatusWord> {
        self.data.try_into().map_err(|_| StatusWord::WRONG_LENGTH)
    }

    /// 6700 when a data field was sent to a command that has none.
    pub(crate) fn without_data(&self) -> Result<(), StatusWord> {
        if self.has_data {
            Err(StatusWord::WRONG_LENGTH)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_cases_are_told_apart() {
        let case = |apdu| Command::parse(apdu).map(|c: Command<'_>| (c.data.to_vec(), c.has_data, c.le));
        assert_eq!(case(&[0, 0xA4, 0, 0]), Ok((vec![], false, None)));
        assert_eq!(case(&[0, 0xB0, 0x95, 0, 0x1E]), Ok((vec![], false, Some(0x1E))));
        assert_eq!(
            case(&[0, 0xA4, 0, 0, 2, 0x3F, 0]),
            Ok((vec![0x3F, 0], true, None))
        );
        assert_eq!(
            case(&[0, 0xA4, 0, 0, 2, 0x3F, 0, 0]),
            Ok((vec![0x3F, 0], true, Some(0)))
        );
    }

    #[test]
    fn a_command_cut_at_any_byte_is_refused_or_is_another_whole_command() {
        let whole = [0x80, 0x54, 1, 0, 3, 7, 8, 9, 8];
        for length in 0..whole.len() {
            let cut = Command::parse(&whole[..length]);
            // Header alone, header with Le, and the command without Le are commands of their own.
            assert_eq!(cut.is_ok(), matches!(length, 4 | 5 | 8), "{length} bytes");
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_and_extended_lengths_are_refused() {
        for apdu in [
            &[0, 0xA4, 4, 0, 2, 1, 2, 0, 0][..],
            &[0, 0xB0, 0, 0, 0, 1, 0],
            &[0, 0xA4, 0, 0, 0, 0, 1, 9],
        ] {
            assert_eq!(Command::parse(apdu), Err(StatusWord::WRONG_LENGTH));
        }
    }
}
