//! A limit on how often something may happen.

use std::time::Duration;

/// A bucket of tokens that refills with time; time is an argument, counted from any fixed moment.
#[derive(Clone, Debug)]
pub struct Quota {
    burst: u32,
    per_second: u32,
    /// In thousandths of a token, so that slow refills are not rounded away.
    milli_tokens: u64,
    refilled_at: Duration,
    refused: u32,
}

impl Quota {
    /// Driver log lines: enough to tell a failing start in full, then a page a minute or so.
    pub const fn log_lines() -> Self {
        Self::new(100, 10)
    }

    /// Messages from a driver host besides answers: far more than devices and buyers cause. A driver that sends
    /// more has lost its way, and its process is ended.
    pub const fn unasked_messages() -> Self {
        Self::new(400, 200)
    }

    /// A full bucket of `burst` tokens that gains `per_second` a second.
    pub const fn new(burst: u32, per_second: u32) -> Self {
        #[allow(clippy::as_conversions, reason = "u32 to u64 is exact; From is not const")]
        let milli_tokens = burst as u64 * 1000;
        Self {
            burst,
            per_second,
            milli_tokens,
            refilled_at: Duration::ZERO,
            refused: 0,
        }
    }

    /// The number refused since the last one that was allowed or asked for: what would else be told only with the next
    /// one that is allowed, which may never come.
    pub fn take_refused(&mut self) -> u32 {
        std::mem::take(&mut self.refused)
    }

    /// Takes a token at this time. `Some` = allowed, with the number refused since the last allowed one; `None` = refused.
    pub fn take(&mut self, elapsed: Duration) -> Option<u32> {
        let gained_ms = elapsed.saturating_sub(self.refilled_at).as_millis();
        let gained = u64::try_from(gained_ms)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(self.per_second));
        let full = u64::from(self.burst) * 1000;
        self.milli_tokens = self.milli_tokens.saturating_add(gained).min(full);
        if gained_ms > 0 {
            self.refilled_at = elapsed;
        }
        match self.milli_tokens.checked_sub(1000) {
            Some(rest) => {
                self.milli_tokens = rest;
                Some(self.take_refused())
            }
            None => {
                self.refused = self.refused.saturating_add(1);
                None
            }
        }
    }
}
