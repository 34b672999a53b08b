//! The status words that this card answers with.

use std::fmt;

/// The last two bytes of an answer.
///
/// Source: ISO/IEC 7816-4 for 6xxx and 9000; the PBOC purse specification for 93xx and 94xx.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// 9000: done.
    pub const OK: Self = Self(0x9000);
    /// 6283: the selected application is blocked.
    pub const APPLICATION_BLOCKED_WARNING: Self = Self(0x6283);
    /// 6700: wrong length.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// 6901: the command does not belong to the operation that was begun.
    pub const WRONG_STATE: Self = Self(0x6901);
    /// 6981: the file is of another type.
    pub const WRONG_FILE_TYPE: Self = Self(0x6981);
    /// 6982: a PIN is needed first.
    pub const SECURITY_NOT_SATISFIED: Self = Self(0x6982);
    /// 6983: the PIN is blocked.
    pub const PIN_BLOCKED: Self = Self(0x6983);
    /// 6985: the conditions of use are not met (nothing was initialized, no application, purse full).
    pub const CONDITIONS_NOT_MET: Self = Self(0x6985);
    /// 6986: no file is selected.
    pub const NO_CURRENT_FILE: Self = Self(0x6986);
    /// 6A80: the data field is not acceptable.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// 6A81: the application is blocked for now.
    pub const APPLICATION_BLOCKED: Self = Self(0x6A81);
    /// 6A82: no such file or application.
    pub const FILE_NOT_FOUND: Self = Self(0x6A82);
    /// 6A83: no such record.
    pub const RECORD_NOT_FOUND: Self = Self(0x6A83);
    /// 6A86: wrong P1 or P2.
    pub const WRONG_P1P2: Self = Self(0x6A86);
    /// 6B00: the offset is outside the file.
    pub const WRONG_OFFSET: Self = Self(0x6B00);
    /// 6D00: unknown instruction.
    pub const UNKNOWN_INSTRUCTION: Self = Self(0x6D00);
    /// 6E00: the class does not fit.
    pub const WRONG_CLASS: Self = Self(0x6E00);
    /// 9302: the MAC is wrong.
    pub const WRONG_MAC: Self = Self(0x9302);
    /// 9303: the application is blocked for good.
    pub const APPLICATION_DEAD: Self = Self(0x9303);
    /// 9401: the balance does not suffice.
    pub const BALANCE_TOO_LOW: Self = Self(0x9401);
    /// 9402: the counter has reached its end.
    pub const COUNTER_AT_END: Self = Self(0x9402);
    /// 9403: no key of this index.
    pub const KEY_NOT_FOUND: Self = Self(0x9403);
    /// 9406: no stored proof for this counter value.
    pub const PROOF_NOT_AVAILABLE: Self = Self(0x9406);

    /// 63Cx: the PIN is wrong and `tries` remain (at most 15 are told).
    pub fn wrong_pin(tries: u8) -> Self {
        Self(0x63C0 | u16::from(tries.min(0x0F)))
    }

    /// 61xx: `length` more bytes wait for GET RESPONSE.
    pub fn more(length: u8) -> Self {
        Self(0x6100 | u16::from(length))
    }

    /// 6Cxx: repeat the command with this Le.
    pub fn repeat_with(length: u8) -> Self {
        Self(0x6C00 | u16::from(length))
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
