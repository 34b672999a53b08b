//! Time as data: pure code is told what time it is.

use serde::{Deserialize, Serialize};

/// Milliseconds of a clock that never goes back. For timeouts only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This time and `ms` milliseconds more.
    pub fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Wall time as it was told. For people, cards and the provider; never for order and never for timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wall {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub unix_seconds: i64,
    /// Local time minus UTC, in seconds.
    pub utc_offset_seconds: i32,
    /// False when the clock stood outside of its [`ClockRange`] (money rule T2); the seconds are then the floor's.
    pub trusted: bool,
}

impl Wall {
    /// Seconds since 1970-01-01 00:00:00 in local time.
    pub fn local_seconds(self) -> i64 {
        self.unix_seconds
            .saturating_add(i64::from(self.utc_offset_seconds))
    }
}

/// What the wall clock may say to be believed (money rule T2): not before the newest record or the build date, and not so far
/// behind the build date that nobody can have meant it. One record by a clock in 2090 would lift the floor above every true
/// time for decades; so such a clock is not believed, and lifts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRange {
    floor_unix_seconds: i64,
    ceiling_unix_seconds: i64,
}

/// How a clock stands to its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStand {
    /// It is believed.
    Within,
    /// It stands before the newest record or the build date.
    Behind,
    /// It stands too long after the build date.
    Ahead,
}

/// How long after its build a program believes a clock: no terminal runs a program of twenty years ago.
const CEILING_AFTER_BUILD_SECONDS: i64 = 20 * 366 * 86_400;

/// The last time that is ever believed: 9999-01-01. A card's dates end with that year, and local time is ahead of UTC.
const UNIX_SECONDS_MAX: i64 = 253_370_764_800;

impl ClockRange {
    /// The range of a program of this build date, with a newest record of this time, both in seconds since 1970. A record
    /// behind the ceiling was made by a clock that was wrong, and lifts nothing.
    pub fn new(built_unix_seconds: i64, newest_unix_seconds: Option<i64>) -> Self {
        let ceiling_unix_seconds = built_unix_seconds
            .saturating_add(CEILING_AFTER_BUILD_SECONDS)
            .min(UNIX_SECONDS_MAX);
        let floor_unix_seconds = newest_unix_seconds
            .filter(|newest| *newest <= ceiling_unix_seconds)
            .map_or(built_unix_seconds, |newest| newest.max(built_unix_seconds));
        Self {
            floor_unix_seconds,
            ceiling_unix_seconds,
        }
    }

    /// The earliest time that is believed, in seconds since 1970.
    pub fn floor_unix_seconds(self) -> i64 {
        self.floor_unix_seconds
    }

    /// How a clock that says this stands to the range.
    pub fn stand(self, unix_seconds: i64) -> ClockStand {
        if unix_seconds < self.floor_unix_seconds {
            ClockStand::Behind
        } else if unix_seconds > self.ceiling_unix_seconds {
            ClockStand::Ahead
        } else {
            ClockStand::Within
        }
    }

    /// This time where it is believed; else the floor, marked as not trusted.
    pub fn judge(self, wall: Wall) -> Wall {
        match self.stand(wall.unix_seconds) {
            ClockStand::Within => wall,
            ClockStand::Behind | ClockStand::Ahead => Wall {
                unix_seconds: self.floor_unix_seconds,
                trusted: false,
                ..wall
            },
        }
    }

    /// The range after a record of this time, which was judged.
    pub fn lifted_by(self, judged: Wall) -> Self {
        Self {
            floor_unix_seconds: self.floor_unix_seconds.max(judged.unix_seconds),
            ..self
        }
    }
}

/// The present, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timeouts.
    pub monotonic: Monotonic,
    /// For people, cards and the provider.
    pub wall: Wall,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: i64 = 1_790_000_000;
    /// 2090-01-01.
    const FAR: i64 = 3_786_912_000;

    fn at(unix_seconds: i64) -> Wall {
        Wall {
            unix_seconds,
            utc_offset_seconds: 3_600,
            trusted: true,
        }
    }

    #[test]
    fn a_clock_between_floor_and_ceiling_is_believed() {
        let range = ClockRange::new(BUILT, Some(BUILT + 100));
        for seconds in [BUILT + 100, BUILT + 101, BUILT + CEILING_AFTER_BUILD_SECONDS] {
            assert_eq!(range.judge(at(seconds)), at(seconds));
        }
    }

    #[test]
    fn a_clock_outside_is_the_floor_and_not_trusted() {
        let range = ClockRange::new(BUILT, Some(BUILT + 100));
        let outside = [
            0,
            BUILT + 99,
            BUILT + CEILING_AFTER_BUILD_SECONDS + 1,
            FAR,
            i64::MIN,
            i64::MAX,
        ];
        for seconds in outside {
            let judged = range.judge(at(seconds));
            assert_eq!((judged.unix_seconds, judged.trusted), (BUILT + 100, false));
            assert_eq!(range.lifted_by(judged), range, "it lifts nothing");
        }
    }

    #[test]
    fn a_record_by_a_clock_in_2090_does_not_make_true_times_untrusted() {
        let range = ClockRange::new(BUILT, Some(FAR));
        assert_eq!(range.floor_unix_seconds(), BUILT);
        assert!(range.judge(at(BUILT + 1)).trusted);
        assert!(!range.judge(at(FAR)).trusted);
    }

    #[test]
    fn the_floor_rises_with_what_is_recorded_and_never_sinks() {
        let range = ClockRange::new(BUILT, None).lifted_by(at(BUILT + 50));
        assert_eq!(range.floor_unix_seconds(), BUILT + 50);
        assert_eq!(range.lifted_by(at(BUILT)), range);
        assert_eq!(range.stand(BUILT + 49), ClockStand::Behind);
        assert_eq!(range.stand(FAR), ClockStand::Ahead);
    }

    #[test]
    fn what_is_believed_or_lifted_to_can_be_told_to_a_card() {
        let range = ClockRange::new(UNIX_SECONDS_MAX - 1, Some(i64::MAX));
        assert_eq!(range.stand(UNIX_SECONDS_MAX), ClockStand::Within);
        assert_eq!(range.judge(at(i64::MAX)).unix_seconds, UNIX_SECONDS_MAX - 1);
    }
}
