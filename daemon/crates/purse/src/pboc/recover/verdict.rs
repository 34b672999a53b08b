//! What a recovery finds out.

use std::fmt;

use crate::pboc::evidence::Proof;
use crate::pboc::purchase::DebitAnswer;
use crate::status::StatusWord;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The card was debited: there is a claim.
    Happened {
        /// The card's TAC and MAC2, where it still had them.
        answer: Option<DebitAnswer>,
        /// How this is known.
        proof: Proof,
    },
    /// The card was not debited: the attempt is void.
    DidNotHappen,
    /// The card was debited once since, but by another terminal: the attempt is void.
    AnotherHappened,
    /// The card wants its PIN before it tells more: verify it and begin again.
    PinNeeded,
    /// The card cannot tell. The attempt goes to the provider as a query; the card may buy again.
    InDoubt(DoubtReason),
}

/// Why the card cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubtReason {
    /// Debits followed, and the log does not name ours any more, or never did.
    NotInLog,
    /// Debits followed, and the log cannot be read.
    LogNotReadable {
        /// What the card answered.
        status: StatusWord,
    },
    /// The card does not tell its counter, and neither proof nor log decide.
    CounterNotReadable {
        /// What the card answered to INITIALIZE.
        status: StatusWord,
    },
    /// The card misbehaved: its counter is lower than before.
    CounterWentDown,
    /// The card misbehaved: it proves a debit and has not counted it.
    ProofWithoutDebit,
}

impl DoubtReason {
    /// True where the card contradicts itself: no honest card does.
    pub fn card_misbehaved(self) -> bool {
        match self {
            Self::CounterWentDown | Self::ProofWithoutDebit => true,
            Self::NotInLog | Self::LogNotReadable { .. } | Self::CounterNotReadable { .. } => false,
        }
    }
}

impl fmt::Display for DoubtReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInLog => {
                f.write_str("other payments followed and the card's log does not name this one")
            }
            Self::LogNotReadable { status } => {
                write!(
                    f,
                    "other payments may have followed and the card's log cannot be read ({status})"
                )
            }
            Self::CounterNotReadable { status } => write!(f, "the card does not tell its counter ({status})"),
            Self::CounterWentDown => {
                f.write_str("the card's counter went down: the card is not genuine or broken")
            }
            Self::ProofWithoutDebit => {
                f.write_str("the card proves a payment that it did not count: it is not genuine or broken")
            }
        }
    }
}

/// Whether the card has been shown its PIN since it was selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinState {
    /// It has, and accepted it.
    Verified,
    /// It has not.
    NotVerified,
}
