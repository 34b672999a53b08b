//! How the PSAM looks from outside.

use purser_ledger::DeviceName;
use purser_purse::pboc::{PsamError, PsamTerminalNumber};

use super::{State, Then};
use crate::{CallFailure, Engine, visit};

/// The PSAM with its true state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsamView {
    /// Its reader.
    pub reader: DeviceName,
    /// Its terminal number, while it is ready.
    pub terminal_number: Option<PsamTerminalNumber>,
    /// What it is doing.
    pub state: PsamState,
    /// How many sales wait for it.
    pub waiting: usize,
    /// What went wrong last, until it goes right again.
    pub fault: Option<PsamFault>,
    /// How many MAC2s it found wrong since the last right one. A PSAM locks itself after some of these.
    pub wrong_in_a_row: u32,
}

/// What the PSAM is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsamState {
    /// It is not there: no reader, or nothing in it.
    Absent,
    /// It is being looked at, or is tried again a little later.
    Starting,
    /// It is the configured one and authorises debits.
    Ready,
    /// What is there is of no use; nothing is asked of it until it is taken out.
    Refused,
}

/// What is wrong with the PSAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PsamFault {
    /// It is another terminal's.
    #[error("the PSAM's terminal number is {found}, and the configured one is {expected}")]
    OtherTerminalNumber {
        /// What it tells.
        found: PsamTerminalNumber,
        /// What `terminal.psam_terminal_number` says.
        expected: PsamTerminalNumber,
    },
    /// It refuses to be looked at.
    #[error(transparent)]
    Error(#[from] PsamError),
    /// It refused what it was asked for one card. That card chose a part of what it was asked.
    #[error("the PSAM refused what it was asked for a card")]
    RefusedCard(#[source] PsamError),
    /// Its reader could not reach it.
    #[error("the PSAM's reader cannot reach it ({0:?})")]
    Unreachable(CallFailure),
    /// It did not answer in time.
    #[error("the PSAM does not answer in time")]
    Silent,
    /// It gave out a terminal serial number that an earlier debit has. The debit was not sent.
    #[error(
        "the PSAM repeats terminal serial numbers: its counter is broken, or it is another one with the same number"
    )]
    RepeatsNumbers,
}

impl PsamFault {
    /// True where it may pass without anybody doing anything.
    pub fn is_transient(self) -> bool {
        match self {
            Self::OtherTerminalNumber { .. } | Self::RepeatsNumbers => false,
            Self::Error(error) => error.is_transient(),
            Self::RefusedCard(_) | Self::Unreachable(_) | Self::Silent => true,
        }
    }

    /// True where a card may be the cause: it says nothing of the PSAM, and stays until a sale was served.
    pub(crate) fn is_about_a_card(self) -> bool {
        matches!(self, Self::RefusedCard(_))
    }

    /// True where the PSAM itself has failed; false where a card may be the cause, or the reader's driver had no time.
    pub(crate) fn is_its_own(self) -> bool {
        !self.is_about_a_card() && self != Self::Unreachable(CallFailure::Busy)
    }
}

impl Engine {
    /// The PSAM with its true state; none where the SAM is the software one.
    pub fn psam(&self) -> Option<PsamView> {
        let psam = self.psam_card()?;
        let state = match &psam.state {
            State::Absent => PsamState::Absent,
            State::Ready(_) | State::Authorising(..) | State::Checking(..) => PsamState::Ready,
            State::Refused
            | State::Leaving {
                then: Then::Refuse, ..
            } => PsamState::Refused,
            State::Resting { .. }
            | State::Connecting { .. }
            | State::Identifying(..)
            | State::Leaving {
                then: Then::TryAgain, ..
            } => PsamState::Starting,
        };
        let waits = |visit: &&visit::Visit| matches!(visit.state, visit::State::AwaitingPsam(_));
        Some(PsamView {
            waiting: self.visits.values().filter(waits).count(),
            reader: psam.settings.reader.clone(),
            terminal_number: (state == PsamState::Ready).then_some(self.config.terminal_number),
            state,
            fault: psam.fault,
            wrong_in_a_row: psam.wrong_in_a_row,
        })
    }
}
