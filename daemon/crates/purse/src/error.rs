//! What a card can answer instead of the thing that was asked of it.

use crate::apdu::CommandName;
use crate::status::StatusWord;

/// Whose fault an error is: who has to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The buyer can help: another PIN, another card, less to pay.
    Buyer,
    /// The card's issuer can help: the card is blocked, worn out or was issued otherwise.
    Issuer,
    /// The card or the way to it breaks the rules: present it again, then another card or reader.
    Card,
    /// This installation is wrong: its configuration, its keys or Purser itself.
    Terminal,
}

/// Why a dialogue did not get what it asked for.
///
/// One variant for each status word of the scheme (epurse facts §1.10), and the ways in which an answer can be
/// none at all. After the first byte of a DEBIT no variant means that nothing happened: see
/// [`Debit`](crate::pboc::Debit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The card has no purse that this terminal takes.
    #[error("the card has no purse that this terminal takes: present another card")]
    ForeignCard,
    /// `63Cx`: the PIN is wrong. A VERIFY is never repeated with the same PIN.
    #[error("the PIN is wrong, {tries_left} more tries before the card blocks it: enter the right PIN")]
    WrongPin {
        /// Tries left before the card blocks its PIN, 1 to 15.
        tries_left: u8,
    },
    /// `6983`, or `63C0`: no try is left.
    #[error("the card has blocked its PIN after too many wrong tries: its issuer can unblock it")]
    PinBlocked,
    /// `6982`: the card wants the PIN before this command.
    #[error("the card wants its PIN first: enter the PIN")]
    PinNeeded,
    /// `9401`, or `9301` of older cards: the purse holds less than the amount.
    #[error("the purse holds less than the amount: load it, or pay with another card")]
    InsufficientFunds,
    /// `6283`: the application is blocked.
    #[error("the purse is blocked: its issuer can unblock it")]
    ApplicationBlocked,
    /// `9303`: the application is blocked for good.
    #[error("the purse is blocked for good: its issuer has to replace the card")]
    ApplicationPermanentlyBlocked,
    /// `9402`: the card's counter has reached its end.
    #[error("the card has reached the end of its counter: its issuer has to replace the card")]
    CounterExhausted,
    /// `9403`: the card has no purchase key of this index.
    #[error("the card has no purchase key of the configured index: check key_index, or take another card")]
    KeyIndexNotSupported,
    /// `9302`: the card does not accept the MAC. Nothing has changed in it.
    #[error("the card refuses the terminal's MAC: check that the SAM holds this issuer's purchase key")]
    MacInvalid,
    /// `9406`: the card holds no proof for that counter.
    #[error("the card holds no proof for that counter: the log has to decide")]
    ProofNotAvailable,
    /// `6281`: what the card sent may be damaged.
    #[error("the card warns that its data may be damaged: present it again")]
    DataMayBeCorrupted,
    /// `6581`: the card could not write its memory.
    #[error("the card could not write its memory: present it again, replace it if that goes on")]
    WriteFailed,
    /// `6700`: wrong length.
    #[error("the card does not take a command of this length: it is not of the configured kind")]
    WrongLength,
    /// `6901`: the command is not accepted in this state.
    #[error("the card does not accept this command now: present it again")]
    CommandNotAccepted,
    /// `6981`: the file is of another type.
    #[error("a file of the card has another type: it is not of the configured kind")]
    WrongFileType,
    /// `6984`: no challenge, or reference data that cannot be used.
    #[error("the card cannot use its reference data: its issuer has to look at it")]
    ReferenceDataInvalid,
    /// `6985`: conditions of use are not satisfied.
    #[error("the card's conditions for this command are not met: present it again")]
    ConditionsNotSatisfied,
    /// `6986`: no file is selected.
    #[error("no file of the card is selected: present it again")]
    NoCurrentFile,
    /// `6987`: a secure messaging MAC is missing.
    #[error("the card wants a protected command: its issuer made it for other terminals")]
    SecureMessagingMacMissing,
    /// `6988`: a secure messaging MAC is wrong.
    #[error("the card refuses the protection of a command: its issuer made it for other terminals")]
    SecureMessagingMacWrong,
    /// `6A80`: wrong data.
    #[error("the card does not take the data of a command: it is not of the configured kind")]
    WrongData,
    /// `6A81`: the function is not supported, or the whole card is blocked.
    #[error("the card does not support this function, or is blocked: present another card")]
    NotSupportedOrBlocked,
    /// `6A82`: there is no such file.
    #[error("a file is not on the card: it is not of the configured kind")]
    FileNotFound,
    /// `6A83`: there is no such record.
    #[error("a record is not on the card")]
    RecordNotFound,
    /// `6A84`: no space.
    #[error("the card has no space left: its issuer has to replace it")]
    NoSpace,
    /// `6A86`: wrong P1 or P2.
    #[error("the card does not know the parameters of a command: check which purse is configured")]
    WrongParameters,
    /// `6A88`: the key is not there.
    #[error("a key is not on the card: check pin_kid and key_index, or take another card")]
    KeyNotFound,
    /// `6B00`: wrong offset.
    #[error("a file of the card is shorter than the scheme says: it is not of the configured kind")]
    WrongOffset,
    /// `6Cxx` to a command that may not be repeated (rule P2).
    #[error("the card wants another length for a command that must not be repeated")]
    WrongExpectedLength {
        /// The length that the card wants.
        available: u8,
    },
    /// `6D00`: the instruction is not supported.
    #[error("the card does not know a command: it is not of the configured kind")]
    InstructionNotSupported,
    /// `6E00`: the class is not supported.
    #[error("the card does not know a class of commands: it is not of the configured kind")]
    ClassNotSupported,
    /// A status word that the scheme does not define.
    #[error("the card answered with {status}, which the scheme does not define: present another card")]
    UnknownStatus {
        /// What the card answered.
        status: StatusWord,
    },
    /// An answer of fewer than two bytes.
    #[error("the answer to {command} has no status word: present the card again")]
    NoStatusWord {
        /// The command that was answered so.
        command: CommandName,
    },
    /// An answer with `9000` whose data has another length than the scheme says.
    #[error("the answer to {command} has {found} bytes instead of {expected}: present the card again")]
    WrongAnswerLength {
        /// The command that was answered so.
        command: CommandName,
        /// Bytes that the scheme says.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// A date of the card is no date.
    #[error("the card's validity is no date: its issuer has to replace it")]
    BadDate,
    /// `61xx` and `6Cxx` without end.
    #[error("the card asked too often for {command} in another form: present it again")]
    TooManyRounds {
        /// The command that would not end.
        command: CommandName,
    },
}

impl CardError {
    /// True where the same card, presented again, may well answer otherwise although nobody changed anything.
    pub fn is_transient(self) -> bool {
        match self {
            Self::DataMayBeCorrupted
            | Self::WriteFailed
            | Self::CommandNotAccepted
            | Self::ConditionsNotSatisfied
            | Self::NoCurrentFile
            | Self::NoStatusWord { .. }
            | Self::WrongAnswerLength { .. }
            | Self::TooManyRounds { .. } => true,
            Self::ForeignCard
            | Self::WrongPin { .. }
            | Self::PinBlocked
            | Self::PinNeeded
            | Self::InsufficientFunds
            | Self::ApplicationBlocked
            | Self::ApplicationPermanentlyBlocked
            | Self::CounterExhausted
            | Self::KeyIndexNotSupported
            | Self::MacInvalid
            | Self::ProofNotAvailable
            | Self::WrongLength
            | Self::WrongFileType
            | Self::ReferenceDataInvalid
            | Self::SecureMessagingMacMissing
            | Self::SecureMessagingMacWrong
            | Self::WrongData
            | Self::NotSupportedOrBlocked
            | Self::FileNotFound
            | Self::RecordNotFound
            | Self::NoSpace
            | Self::WrongParameters
            | Self::KeyNotFound
            | Self::WrongOffset
            | Self::WrongExpectedLength { .. }
            | Self::InstructionNotSupported
            | Self::ClassNotSupported
            | Self::UnknownStatus { .. }
            | Self::BadDate => false,
        }
    }

    /// Who has to do something about it.
    pub fn fault(self) -> Fault {
        match self {
            Self::ForeignCard | Self::WrongPin { .. } | Self::PinNeeded | Self::InsufficientFunds => {
                Fault::Buyer
            }
            Self::PinBlocked
            | Self::ApplicationBlocked
            | Self::ApplicationPermanentlyBlocked
            | Self::CounterExhausted
            | Self::ReferenceDataInvalid
            | Self::NotSupportedOrBlocked
            | Self::NoSpace
            | Self::SecureMessagingMacMissing
            | Self::SecureMessagingMacWrong
            | Self::BadDate => Fault::Issuer,
            Self::KeyIndexNotSupported
            | Self::MacInvalid
            | Self::WrongLength
            | Self::WrongData
            | Self::WrongParameters
            | Self::KeyNotFound
            | Self::WrongFileType
            | Self::FileNotFound
            | Self::RecordNotFound
            | Self::WrongOffset
            | Self::InstructionNotSupported
            | Self::ClassNotSupported => Fault::Terminal,
            Self::ProofNotAvailable
            | Self::DataMayBeCorrupted
            | Self::WriteFailed
            | Self::CommandNotAccepted
            | Self::ConditionsNotSatisfied
            | Self::NoCurrentFile
            | Self::WrongExpectedLength { .. }
            | Self::UnknownStatus { .. }
            | Self::NoStatusWord { .. }
            | Self::WrongAnswerLength { .. }
            | Self::TooManyRounds { .. } => Fault::Card,
        }
    }

    /// The status word behind the error; None where the fault is not in a status word.
    ///
    /// `63C0` is reported as 6983 and `9301` as 9401, which mean the same.
    pub fn status_word(self) -> Option<StatusWord> {
        Some(StatusWord::new(match self {
            Self::WrongPin { tries_left } => 0x63C0 | u16::from(tries_left & 0x0F),
            Self::PinBlocked => 0x6983,
            Self::PinNeeded => 0x6982,
            Self::InsufficientFunds => 0x9401,
            Self::ApplicationBlocked => 0x6283,
            Self::ApplicationPermanentlyBlocked => 0x9303,
            Self::CounterExhausted => 0x9402,
            Self::KeyIndexNotSupported => 0x9403,
            Self::MacInvalid => 0x9302,
            Self::ProofNotAvailable => 0x9406,
            Self::DataMayBeCorrupted => 0x6281,
            Self::WriteFailed => 0x6581,
            Self::WrongLength => 0x6700,
            Self::CommandNotAccepted => 0x6901,
            Self::WrongFileType => 0x6981,
            Self::ReferenceDataInvalid => 0x6984,
            Self::ConditionsNotSatisfied => 0x6985,
            Self::NoCurrentFile => 0x6986,
            Self::SecureMessagingMacMissing => 0x6987,
            Self::SecureMessagingMacWrong => 0x6988,
            Self::WrongData => 0x6A80,
            Self::NotSupportedOrBlocked => 0x6A81,
            Self::FileNotFound => 0x6A82,
            Self::RecordNotFound => 0x6A83,
            Self::NoSpace => 0x6A84,
            Self::WrongParameters => 0x6A86,
            Self::KeyNotFound => 0x6A88,
            Self::WrongOffset => 0x6B00,
            Self::WrongExpectedLength { available } => 0x6C00 | u16::from(available),
            Self::InstructionNotSupported => 0x6D00,
            Self::ClassNotSupported => 0x6E00,
            Self::UnknownStatus { status } => return Some(status),
            Self::ForeignCard
            | Self::NoStatusWord { .. }
            | Self::WrongAnswerLength { .. }
            | Self::BadDate
            | Self::TooManyRounds { .. } => return None,
        }))
    }
}
