//! The SAM: the software one, or a PSAM card in a reader of its own that serves one debit at a time.
//!
//! ```text
//!  Absent ─ card ─► Connecting ─► Identifying ─┬─► Ready ─► Authorising (8070) ─► Ready(open) ─► Checking (8072) ─► Ready
//!    ▲                  ▲                      │     └─────────── any failure ────────────┬───────────┘
//!    │                  └─ a little later ─────┴──────── Leaving ◄────────────────────────┘
//!    └── taken out ─────────────────────────────────────── └─► Refused: locked, or not the configured PSAM
//! ```
//! From its 8070 until its debit is decided the PSAM belongs to one sale; the others wait in line, each with a time limit.
//! What a sale's 8070 opened stays open afterwards, until the next sale's 8070: a card that comes back in between can still
//! have its MAC2 checked. A lost PSAM costs no money: before the intent the sale waits for it again; after the debit the
//! claim says that MAC2 was not checked (money rule P6).
//!
//! No card may decide how the PSAM does. One driver may serve the buyers' reader and the PSAM's, one call at a time: a card
//! that takes its time keeps the PSAM from answering, or has their driver killed. So only what the reader itself tells of a
//! PSAM that has lost its power counts as lost, and a check that has no answer for any other reason ends in doubt. And what
//! is refused for one card, with the key version and the algorithm that this card told, ends that card's sale alone: whether
//! the PSAM is locked, or another one, is what it tells after a reset, when no card has a part in it.

mod authority;
mod link;
mod question;
mod serve;
mod suspects;
mod view;

use std::collections::VecDeque;

use purser_ledger::{CloseReason, Monotonic, OperationId, Wall};
use purser_purse::Protocol;
use purser_purse::pboc::psam::{CreditSamForPurchase, IdentifyPsam, InitSamForPurchase};
use purser_purse::pboc::{InitAnswer, PsamError};

pub(crate) use authority::Authority;
pub use authority::{PsamSettings, Sam};
pub(crate) use question::{AskedAt, Known, Question};
pub(crate) use suspects::Suspects;
pub use view::{PsamFault, PsamState, PsamView};

use crate::CallId;

/// How long a sale waits for the PSAM, in milliseconds: several times what the sale before it takes, and no longer than a
/// buyer stands still.
const TURN_WAIT_MS: u64 = 10_000;

/// How soon a command must have failed for its failure to be the PSAM's own, in milliseconds: many times what a PSAM needs.
/// One that fails later has waited for somebody else's card, and may have failed for want of time.
const PROMPT_MS: u64 = 5_000;

/// How long a PSAM that failed is left alone at first, in milliseconds; twice as long after each further failure.
const RETRY_MS: u64 = 250;

/// How often that time is doubled at most: a PSAM that always fails is tried twice a minute.
const RETRY_DOUBLINGS_MAX: u32 = 7;

/// The PSAM as the engine knows it, and the sales that wait for it.
#[derive(Debug)]
pub(crate) struct Psam {
    pub(crate) settings: PsamSettings,
    pub(crate) state: State,
    /// The attempt that the last 8070 was for, while the PSAM has neither checked it nor lost its power.
    pub(crate) open: Option<OperationId>,
    /// The attempt that was open when the reader told that the PSAM was taken out.
    pub(crate) unpowered: Option<OperationId>,
    /// Sales that wait, first come first. None without a visit that waits.
    pub(crate) queue: VecDeque<OperationId>,
    /// What went wrong last, until it goes right.
    pub(crate) fault: Option<PsamFault>,
    /// Failures of its own since it last authorised a debit or was put in.
    pub(crate) failures: u32,
    /// Wrong MAC2s since the last right one, of whatever cards: it locks itself after some of these.
    pub(crate) wrong_in_a_row: u32,
}

/// A sale in line for the PSAM.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// What its card answered to INITIALIZE.
    pub(crate) init: InitAnswer,
    /// How long it waits.
    pub(crate) until: Monotonic,
    /// The PSAM has refused it once.
    pub(crate) was_refused: bool,
}

/// A connection to the PSAM.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) connection: u32,
    pub(crate) protocol: Protocol,
    /// The insertion that it began with.
    insertion: u64,
}

/// A call to the PSAM's reader, and when it has taken too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) deadline: Monotonic,
    /// Until when its failure is the PSAM's own.
    prompt_until: Monotonic,
}

/// What the PSAM is doing.
#[derive(Debug)]
pub(crate) enum State {
    /// It is not there.
    Absent,
    /// It failed, and is tried again then.
    Resting {
        until: Monotonic,
    },
    /// Its reader was asked for power. Stays until that is answered: an old answer must not give power to nobody.
    Connecting {
        call: Call,
        /// What had been put into the slot by then.
        insertion: u64,
    },
    Identifying(Link, Call, IdentifyPsam),
    Ready(Link),
    Authorising(Link, Call, Box<Authorising>),
    Checking(Link, Call, Box<Checking>),
    /// Its power is being taken away.
    Leaving {
        call: Call,
        then: Then,
    },
    /// It is of no use until another one is put in.
    Refused,
}

/// An 8070 under way.
#[derive(Debug)]
pub(crate) struct Authorising {
    pub(crate) operation: OperationId,
    pub(crate) dialogue: InitSamForPurchase,
    /// The time that the attempt carries.
    pub(crate) at: Wall,
}

/// An 8072 under way.
#[derive(Debug)]
pub(crate) struct Checking {
    pub(crate) question: Question,
    pub(crate) dialogue: CreditSamForPurchase,
    /// The PSAM has taken a command of it.
    pub(crate) has_begun: bool,
}

/// What the PSAM was doing for a sale when it failed.
#[derive(Debug)]
pub(crate) enum Service {
    Nothing,
    Authorising(OperationId),
    /// A check, and how it ends.
    Checking(Question, Unchecked),
}

/// Why a MAC2 was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unchecked {
    /// The PSAM has lost its power, and with it what the check needs (money rule P6).
    PowerLost,
    /// The PSAM was there, for all that is known, and did not tell.
    Unanswered,
    /// The PSAM was not asked, and can still be.
    NotAsked,
}

/// What follows when the PSAM has lost its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    TryAgain,
    Refuse,
}

impl State {
    /// The connection that it has, and the sale that it serves.
    fn into_service(self) -> (Option<Link>, Service) {
        match self {
            Self::Identifying(link, ..) | Self::Ready(link) => (Some(link), Service::Nothing),
            Self::Authorising(link, _, authorising) => {
                (Some(link), Service::Authorising(authorising.operation))
            }
            Self::Checking(link, _, checking) => (
                Some(link),
                Service::Checking(checking.question, Unchecked::Unanswered),
            ),
            Self::Absent
            | Self::Resting { .. }
            | Self::Connecting { .. }
            | Self::Leaving { .. }
            | Self::Refused => (None, Service::Nothing),
        }
    }
}

impl Psam {
    pub(crate) fn new(settings: PsamSettings) -> Self {
        Self {
            settings,
            state: State::Absent,
            open: None,
            unpowered: None,
            queue: VecDeque::new(),
            fault: None,
            failures: 0,
            wrong_in_a_row: 0,
        }
    }

    /// The call that is outstanding.
    pub(crate) fn call(&self) -> Option<Call> {
        match &self.state {
            State::Connecting { call, .. }
            | State::Identifying(_, call, _)
            | State::Authorising(_, call, _)
            | State::Checking(_, call, _)
            | State::Leaving { call, .. } => Some(*call),
            State::Absent | State::Resting { .. } | State::Ready(_) | State::Refused => None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        match &self.state {
            State::Resting { until } => Some(*until),
            _ => self.call().map(|call| call.deadline),
        }
    }

    /// Why a sale that waits for it, or begins now, cannot be served; none when waiting may help.
    pub(crate) fn refusal(&self) -> Option<CloseReason> {
        let is_refused = matches!(
            self.state,
            State::Refused
                | State::Leaving {
                    then: Then::Refuse,
                    ..
                }
        );
        if !is_refused {
            return None;
        }
        Some(match self.fault {
            Some(PsamFault::Error(PsamError::Locked | PsamError::CounterExhausted)) => {
                CloseReason::PsamLocked
            }
            _ => CloseReason::PsamMismatch,
        })
    }

    /// Why a sale that has waited for too long was not served.
    fn late_reason(&self) -> CloseReason {
        match self.state {
            State::Ready(_) | State::Authorising(..) | State::Checking(..) => CloseReason::PsamBusy,
            _ => self.refusal().unwrap_or(CloseReason::PsamNotReady),
        }
    }
}
