//! What is known of a card's answer to a debit.

use purser_ledger::{DoubtReason, OperationId};
use purser_purse::pboc::DebitAnswer;

/// A MAC2 that the PSAM is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) operation: OperationId,
    pub(crate) answer: DebitAnswer,
    pub(crate) asked_at: AskedAt,
}

/// How the card came to give the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedAt {
    /// To the debit itself.
    Debit,
    /// To GET TRANSACTION PROVE, directly after a debit without a valid answer. Its log names the debit.
    Check,
    /// To GET TRANSACTION PROVE when it came back. Its log names the debit.
    Return,
}

/// What is known of the answer to a debit while the card is asked what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// There was none that is one.
    Nothing,
    /// It is whole, and the software SAM did not find its MAC2 right.
    Invalid(DebitAnswer),
    /// Its MAC2 is wrong: the PSAM said so.
    Refused(DebitAnswer),
    /// It is whole, and the PSAM lost its power before it could check it.
    NotChecked(DebitAnswer),
    /// It is whole, and the PSAM did not tell whether it is right: nothing that the card says makes it a payment.
    Unanswered(DebitAnswer),
}

impl Known {
    /// The answer, where there was one.
    pub(crate) fn answer(self) -> Option<DebitAnswer> {
        match self {
            Self::Nothing => None,
            Self::Invalid(answer)
            | Self::Refused(answer)
            | Self::NotChecked(answer)
            | Self::Unanswered(answer) => Some(answer),
        }
    }

    /// Why the sale is in doubt when the card tells no more; `otherwise` where nothing is known.
    pub(crate) fn doubt_or(self, otherwise: DoubtReason) -> DoubtReason {
        match self {
            Self::Nothing => otherwise,
            Self::Invalid(_) => DoubtReason::AnswerInvalid,
            Self::Refused(_) => DoubtReason::Mac2Refused,
            Self::NotChecked(_) => DoubtReason::Mac2NotChecked,
            Self::Unanswered(_) => DoubtReason::Mac2Unanswered,
        }
    }
}
