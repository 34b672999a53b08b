//! What a PSAM's refusals mean, in a terminal's words.

use crate::error::CardError;
use crate::status::StatusWord;

/// Why a PSAM did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PsamError {
    /// What is in the slot has not the files or the application of the configured PSAM.
    #[error(
        "the card in the PSAM's slot is no PSAM of the configured kind: put the right one in, or check adf"
    )]
    NotAPsam,
    /// `9303`, `6283`, `6A81`, `6983`: the PSAM has locked its application, as it does after some wrong MACs.
    #[error("the PSAM has locked itself: its issuer has to unlock or replace it")]
    Locked,
    /// `9402`: the PSAM's terminal SN has come to its end.
    #[error("the PSAM's counter is at its end: its issuer has to replace it")]
    CounterExhausted,
    /// `6A88`, `9403`: the PSAM has no purchase key of the version that the card uses.
    #[error("the PSAM has no purchase key for this card's key version: take another card, or another PSAM")]
    KeyMissing,
    /// `9302`: the PSAM has checked the card's MAC2, and it is wrong.
    #[error("the PSAM finds the card's MAC2 wrong: the card is not genuine, or its answer was damaged")]
    Mac2Wrong,
    /// `6700`, `6A80`, `6A86`: the PSAM does not take the command's data.
    #[error("the PSAM does not take the factors of the card's key: check levels and factor_order")]
    DataRefused,
    /// `6901`, `6982`, `6984` to `6986`: the PSAM is in another state than the command needs.
    #[error("the PSAM is not in the state for this command: it is reset and asked anew")]
    WrongState,
    /// Any other answer, or none that is one.
    #[error("the PSAM answered against its specification")]
    Misbehaved(#[source] CardError),
}

impl PsamError {
    /// True where the same PSAM may well answer otherwise after a reset, although nobody changed anything.
    pub fn is_transient(self) -> bool {
        match self {
            Self::WrongState => true,
            Self::Misbehaved(error) => error.is_transient(),
            Self::NotAPsam
            | Self::Locked
            | Self::CounterExhausted
            | Self::KeyMissing
            | Self::Mac2Wrong
            | Self::DataRefused => false,
        }
    }

    /// The status word behind the error, where one of several is told apart; None where the fault is not in one.
    pub fn status_word(self) -> Option<StatusWord> {
        match self {
            Self::Misbehaved(error) => error.status_word(),
            Self::NotAPsam
            | Self::Locked
            | Self::CounterExhausted
            | Self::KeyMissing
            | Self::Mac2Wrong
            | Self::DataRefused
            | Self::WrongState => None,
        }
    }
}

impl From<CardError> for PsamError {
    /// The same status words mean other things of a PSAM than of a buyer's card.
    fn from(error: CardError) -> Self {
        match error {
            CardError::ForeignCard
            | CardError::FileNotFound
            | CardError::RecordNotFound
            | CardError::WrongFileType
            | CardError::WrongOffset
            | CardError::InstructionNotSupported
            | CardError::ClassNotSupported => Self::NotAPsam,
            CardError::ApplicationBlocked
            | CardError::ApplicationPermanentlyBlocked
            | CardError::NotSupportedOrBlocked
            | CardError::PinBlocked => Self::Locked,
            CardError::CounterExhausted => Self::CounterExhausted,
            CardError::KeyNotFound | CardError::KeyIndexNotSupported => Self::KeyMissing,
            CardError::MacInvalid => Self::Mac2Wrong,
            CardError::WrongLength | CardError::WrongData | CardError::WrongParameters => Self::DataRefused,
            CardError::CommandNotAccepted
            | CardError::PinNeeded
            | CardError::ReferenceDataInvalid
            | CardError::ConditionsNotSatisfied
            | CardError::NoCurrentFile => Self::WrongState,
            CardError::WrongPin { .. }
            | CardError::InsufficientFunds
            | CardError::ProofNotAvailable
            | CardError::DataMayBeCorrupted
            | CardError::WriteFailed
            | CardError::SecureMessagingMacMissing
            | CardError::SecureMessagingMacWrong
            | CardError::NoSpace
            | CardError::WrongExpectedLength { .. }
            | CardError::UnknownStatus { .. }
            | CardError::NoStatusWord { .. }
            | CardError::WrongAnswerLength { .. }
            | CardError::BadDate
            | CardError::TooManyRounds { .. } => Self::Misbehaved(error),
        }
    }
}
