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
    /// False when the clock stood below the clock floor (money rule T2); the seconds are then the floor's.
    pub trusted: bool,
}

impl Wall {
    /// This time lifted to the clock floor; marked as not trusted when it stood below it (money rule T2).
    pub fn lifted_to(self, floor_unix_seconds: i64) -> Self {
        if self.unix_seconds >= floor_unix_seconds {
            self
        } else {
            Self {
                unix_seconds: floor_unix_seconds,
                trusted: false,
                ..self
            }
        }
    }

    /// Seconds since 1970-01-01 00:00:00 in local time.
    pub fn local_seconds(self) -> i64 {
        self.unix_seconds
            .saturating_add(i64::from(self.utc_offset_seconds))
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
