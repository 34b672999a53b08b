//! What the provider is asked about a load, and what it answers. The link carries it; the engine judges it.

use std::fmt;

use purser_ledger::Repeatable;
use purser_provider_link::{CardSaid, LoadOrder};

/// A question about a load that releases no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadAsk {
    /// Which load: its digest is the subject of the call-back.
    pub order: LoadOrder,
    /// What is asked.
    pub what: LoadWhat,
}

/// What is asked about a load. The provider knows a repeat of each, and gives it the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadWhat {
    /// How it stands.
    Show,
    /// Begin a void: at once where no MAC2 has left the provider, else with a challenge for the card (money rule L3).
    BeginVoid,
    /// The card's answer over that challenge: it has not executed the load.
    ProveVoid(CardSaid),
    /// The card's load TAC: it has.
    Confirm([u8; 4]),
}

/// An attempt that may be sent to the provider, which answers it with MAC2. Exists only as [`purser_ledger::Authorised`]: it is
/// recorded (money rule L2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendAttempt {
    /// Which load.
    pub order: LoadOrder,
    /// The attempt's number.
    pub number: u8,
    /// What the card answered to INITIALIZE FOR LOAD.
    pub said: CardSaid,
}

/// The provider knows an attempt by load and number: a repeat with the same content gets the same MAC2 (money rule L2).
impl Repeatable for SendAttempt {}

/// Where a load stands at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadPhase {
    /// The bank has booked it; no MAC2 has left.
    Open,
    /// A MAC2 has left.
    Released,
    /// The card has the value: its TAC is there.
    Done,
    /// No MAC2 ever again.
    Voided,
}

/// What the provider answers about a load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LoadAnswer {
    /// To every [`LoadAsk`]: how the load stands now.
    Standing {
        /// Where it stands.
        phase: LoadPhase,
        /// The number of the last attempt that was answered with a MAC2; 0 before the first.
        last_attempt: u8,
        /// What a card has to answer over to prove a void, where one was begun.
        void_challenge: Option<[u8; 6]>,
    },
    /// To a [`SendAttempt`].
    Mac2 {
        /// The attempt's number.
        number: u8,
        /// The provider's date and time: seven bytes, packed decimal.
        date_time: [u8; 7],
        /// The provider's authenticator. It lets the card take value.
        mac2: [u8; 4],
    },
}

impl fmt::Debug for LoadAnswer {
    /// Without MAC2.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standing {
                phase,
                last_attempt,
                void_challenge,
            } => f
                .debug_struct("Standing")
                .field("phase", phase)
                .field("last_attempt", last_attempt)
                .field("void_challenge", void_challenge)
                .finish(),
            Self::Mac2 { number, .. } => f
                .debug_struct("Mac2")
                .field("number", number)
                .finish_non_exhaustive(),
        }
    }
}

/// The provider's refusals that the engine acts on, by the names that the provider gives them. Every other failure only says that
/// there is no answer.
pub mod refusal {
    /// The attempt's number is not the next one: the load is looked at again.
    pub const ATTEMPT_NUMBER: &str = "AttemptNumber";
    /// The attempt's number is known with other content: the load is looked at again.
    pub const OTHER_CONTENT: &str = "OtherContent";
    /// The card's answer is older than another load of it: it answers anew.
    pub const STALE_INITIALIZE: &str = "StaleInitialize";
    /// The card has executed the load: its TAC is fetched.
    pub const IT_HAPPENED: &str = "ItHappened";
    /// The void's challenge is no longer the newest: it is asked for again.
    pub const STALE_PROOF: &str = "StaleProof";
    /// The load is done: it is looked at again.
    pub const DONE: &str = "Done";
    /// The load is void: it is looked at again.
    pub const VOIDED: &str = "Voided";
    /// No MAC2 has been released: a void needs no proof.
    pub const NOT_RELEASED: &str = "NotReleased";
    /// The TAC is not this load's.
    pub const TAC: &str = "Tac";
    /// A card has the value of a load that is void: an alarm.
    pub const VOIDED_AND_HAPPENED: &str = "VoidedAndHappened";
    /// What speaks against this card: another one may do.
    pub const OF_CARD: [&str; 8] = [
        "Mac1",
        "OtherCard",
        "OtherLoadOpen",
        "CounterMoved",
        "UnknownCard",
        "OtherCurrency",
        "HotListed",
        "PurseFull",
    ];
}
