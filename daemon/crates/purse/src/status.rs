//! Status words, and the error that each of them is.

use std::fmt;

use crate::error::CardError;

/// The last two bytes of every response (SW1 SW2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(u16);

impl StatusWord {
    /// `9000`: done.
    pub const OK: Self = Self(0x9000);
    /// `6982`: the card wants the PIN first.
    pub const PIN_NEEDED: Self = Self(0x6982);
    /// `6A83`: there is no such record.
    pub const RECORD_NOT_FOUND: Self = Self(0x6A83);

    /// A status word from its number.
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// A status word as it stands in a response.
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// The number, such as 0x9000.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The error that this status word is; None for `9000`. Source: epurse facts §1.10.
    pub fn error(self) -> Option<CardError> {
        let [sw1, sw2] = self.0.to_be_bytes();
        Some(match (sw1, sw2) {
            (0x90, 0x00) => return None,
            (0x62, 0x81) => CardError::DataMayBeCorrupted,
            (0x62, 0x83) => CardError::ApplicationBlocked,
            (0x63, 0xC0) => CardError::PinBlocked,
            (0x63, 0xC1..=0xCF) => CardError::WrongPin {
                tries_left: sw2 & 0x0F,
            },
            (0x65, 0x81) => CardError::WriteFailed,
            (0x67, 0x00) => CardError::WrongLength,
            (0x69, 0x01) => CardError::CommandNotAccepted,
            (0x69, 0x81) => CardError::WrongFileType,
            (0x69, 0x82) => CardError::PinNeeded,
            (0x69, 0x83) => CardError::PinBlocked,
            (0x69, 0x84) => CardError::ReferenceDataInvalid,
            (0x69, 0x85) => CardError::ConditionsNotSatisfied,
            (0x69, 0x86) => CardError::NoCurrentFile,
            (0x69, 0x87) => CardError::SecureMessagingMacMissing,
            (0x69, 0x88) => CardError::SecureMessagingMacWrong,
            (0x6A, 0x80) => CardError::WrongData,
            (0x6A, 0x81) => CardError::NotSupportedOrBlocked,
            (0x6A, 0x82) => CardError::FileNotFound,
            (0x6A, 0x83) => CardError::RecordNotFound,
            (0x6A, 0x84) => CardError::NoSpace,
            (0x6A, 0x86) => CardError::WrongParameters,
            (0x6A, 0x88) => CardError::KeyNotFound,
            (0x6B, 0x00) => CardError::WrongOffset,
            (0x6C, available) => CardError::WrongExpectedLength { available },
            (0x6D, 0x00) => CardError::InstructionNotSupported,
            (0x6E, 0x00) => CardError::ClassNotSupported,
            (0x93, 0x02) => CardError::MacInvalid,
            (0x93, 0x03) => CardError::ApplicationPermanentlyBlocked,
            (0x93, 0x01) | (0x94, 0x01) => CardError::InsufficientFunds,
            (0x94, 0x02) => CardError::CounterExhausted,
            (0x94, 0x03) => CardError::KeyIndexNotSupported,
            (0x94, 0x06) => CardError::ProofNotAvailable,
            _ => CardError::UnknownStatus { status: self },
        })
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
