//! The standing link of a terminal that cannot be called: one, and a second is an alarm.
//!
//! ```text
//!  terminal:  Down ──timer──► Opening ──up──► Up ──lost──► Down (pause, twice as long each time)
//!  provider:  Down ──link──► Up ──second link──► Probing ──the first answers──► Up, the second is refused: alarm
//!                                                  └──the first is lost or silent──► Up with the second
//! ```
//! A terminal that lost its power does not hang up, so a second link alone proves nothing: the first is asked.

use purser_ledger::Monotonic;

use super::{LegId, Limits};

/// The terminal's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TerminalLink {
    NotUsed,
    Down { again_at: Monotonic, tries: u8 },
    Opening { until: Monotonic, tries: u8 },
    Up(LegId),
}

impl TerminalLink {
    pub(super) fn timeout(self) -> Option<Monotonic> {
        match self {
            Self::Down { again_at: at, .. } | Self::Opening { until: at, .. } => Some(at),
            Self::NotUsed | Self::Up(_) => None,
        }
    }

    /// The next state at this time, and whether the link is to be opened now.
    pub(super) fn at(self, now: Monotonic, limits: &Limits) -> (Self, bool) {
        match self {
            Self::Down { again_at, tries } if again_at <= now => {
                let until = now.after_ms(limits.leg_ms);
                let tries = tries.saturating_add(1);
                (Self::Opening { until, tries }, true)
            }
            Self::Opening { until, tries } if until <= now => {
                let again_at = limits.after_pause(now, tries);
                (Self::Down { again_at, tries }, false)
            }
            other => (other, false),
        }
    }

    pub(super) fn lost(self, now: Monotonic, limits: &Limits) -> Self {
        match self {
            Self::NotUsed => self,
            Self::Down { tries, .. } | Self::Opening { tries, .. } => Self::Down {
                again_at: limits.after_pause(now, tries),
                tries,
            },
            Self::Up(_) => Self::Down {
                again_at: limits.after_pause(now, 1),
                tries: 0,
            },
        }
    }
}

/// The provider's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderLink {
    Down,
    Up(LegId),
    Probing {
        first: LegId,
        second: LegId,
        until: Monotonic,
    },
}

impl ProviderLink {
    /// The link that calls go down. While the first is being asked nothing is called.
    pub(super) fn usable(self) -> Option<LegId> {
        match self {
            Self::Up(leg) => Some(leg),
            Self::Down | Self::Probing { .. } => None,
        }
    }

    pub(super) fn timeout(self) -> Option<Monotonic> {
        match self {
            Self::Probing { until, .. } => Some(until),
            Self::Down | Self::Up(_) => None,
        }
    }
}
