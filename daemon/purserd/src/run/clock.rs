//! The two clocks, read once for each turn of the loop.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use purser_ledger::{Monotonic, Now, Wall};

/// Reads the present. The time zone is the system's as it was at start; its summer time is followed.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    started: Instant,
    zone: TimeZone,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let zone = TimeZone::try_system().unwrap_or_else(|error| {
            tracing::warn!(%error, "the system's time zone cannot be read; slips and cards get UTC");
            TimeZone::UTC
        });
        Self {
            started: Instant::now(),
            zone,
        }
    }

    pub(crate) fn now(&self) -> Now {
        let timestamp = wall_clock();
        Now {
            monotonic: Monotonic(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)),
            wall: Wall {
                unix_seconds: timestamp.as_second(),
                utc_offset_seconds: self.zone.to_offset(timestamp).seconds(),
                trusted: true,
            },
        }
    }

    /// What the wall clock says, for a person.
    pub(crate) fn shown(&self) -> Timestamp {
        wall_clock()
    }

    /// The moment of the system's monotonic clock that this one calls `at`.
    pub(crate) fn instant(&self, at: Monotonic) -> Option<Instant> {
        self.started.checked_add(std::time::Duration::from_millis(at.0))
    }
}

/// The system's wall clock. One outside of what can be written is not believed anyway (money rule T2).
pub(super) fn wall_clock() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_time_of_the_zone_is_in_the_offset() {
        let clock = Clock {
            started: Instant::now(),
            zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
        };
        let offset = |text: &str| clock.zone.to_offset(text.parse().unwrap()).seconds();
        assert_eq!(offset("2026-01-01T00:00:00Z"), 3600);
        assert_eq!(offset("2026-07-01T00:00:00Z"), 7200);
    }

    #[test]
    fn a_time_of_the_loop_is_the_same_moment_again_for_the_timer() {
        let clock = Clock::new();
        let later = clock.now().monotonic.after_ms(1_000);
        let instant = clock.instant(later).unwrap();
        assert!(instant >= clock.started + std::time::Duration::from_secs(1));
    }
}
