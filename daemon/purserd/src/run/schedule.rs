//! Settlements that begin by themselves (S30): at times of the day, and when a limit on what waits comes near.
//!
//! Nothing is stored: a moment is missed while claims wait that are older than it, so one that passed while purserd did not run
//! is made up for at its next start, and a batch that could not be sealed is tried again.

use std::collections::BTreeMap;

use purser_engine::{LimitLevel, LimitUse};
use purser_ledger::{Claims, Currency, Monotonic, Now, Wall};
use sha2::{Digest, Sha256};

use crate::config::Settle;

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// How long after one try the next may follow.
const TRY_AGAIN_MS: u64 = 15 * 60_000;
/// The longest sleep: a clock that is set is noticed after it.
const SLEEP_MS_MAX: u64 = 60 * 60_000;

/// When to settle.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Seconds after local midnight.
    at_seconds: Vec<i64>,
    near_limits: bool,
    asked: BTreeMap<Currency, Monotonic>,
    /// When a batch was voided, in seconds since 1970: its claims wait for a later moment.
    voided: BTreeMap<Currency, i64>,
    look_at: Monotonic,
}

impl Schedule {
    /// What is configured, for the terminal of this name: the spread gives each its own moment, the same every day, so that a chain's
    /// terminals do not all call at once.
    pub(super) fn new(settle: &Settle, terminal: &str) -> Self {
        let digest = Sha256::digest(terminal.as_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
        let spread = settle.spread_minutes.saturating_mul(60);
        let delay = u64::from(u32::from_be_bytes([a, b, c, d])) % spread.saturating_add(1);
        // The configuration takes half a day at most.
        let delay = i64::try_from(delay).unwrap_or(0);
        let moment = |minutes: &u16| i64::from(*minutes) * 60 + delay;
        Self {
            at_seconds: settle.at_minutes.iter().map(moment).collect(),
            near_limits: settle.near_limits,
            asked: BTreeMap::new(),
            voided: BTreeMap::new(),
            look_at: Monotonic(0),
        }
    }

    /// The currencies to settle now, of those that have claims in no batch and no batch under way. Each is told once in a while.
    pub(super) fn due(
        &mut self,
        waiting: impl Iterator<Item = (Currency, Claims)>,
        uses: &[LimitUse],
        now: Now,
    ) -> Vec<Currency> {
        let is_near = self.near_limits && uses.iter().any(|it| it.level() != LimitLevel::Within);
        let newest = self.newest(now.wall);
        let is_due = |currency: &Currency, claims: &Claims| {
            // The age of claims that were taken under a clock that nobody trusted is not known.
            let is_missed = |moment: i64| {
                claims.oldest_unix_seconds.is_none_or(|oldest| oldest < moment)
                    && self.voided.get(currency).is_none_or(|voided| *voided < moment)
            };
            is_near || newest.is_some_and(is_missed)
        };
        let due = waiting.filter(|(currency, claims)| {
            let asked = self.asked.get(currency);
            is_due(currency, claims) && asked.is_none_or(|at| at.after_ms(TRY_AGAIN_MS) <= now.monotonic)
        });
        let due: Vec<_> = due.map(|(currency, _)| currency).collect();
        self.look_at = self.next(now);
        self.asked
            .extend(due.iter().map(|currency| (*currency, now.monotonic)));
        due
    }

    /// A batch was voided: what it held is not sealed again at once, whoever had it voided.
    pub(super) fn voided(&mut self, currency: Currency, now: Now) {
        self.asked.insert(currency, now.monotonic);
        self.voided.insert(currency, now.wall.unix_seconds);
    }

    /// When to ask [`Self::due`] again, whatever has happened since.
    pub(super) fn look_at(&self) -> Monotonic {
        self.look_at
    }

    fn next(&self, now: Now) -> Monotonic {
        let local = now.wall.local_seconds();
        let moments = self.moments(local).filter(|moment| *moment > local);
        let wait = moments.min().map(|moment| moment.saturating_sub(local));
        let wait_ms = wait.and_then(|seconds| u64::try_from(seconds).ok()?.checked_mul(1_000));
        now.monotonic
            .after_ms(wait_ms.map_or(SLEEP_MS_MAX, |ms| ms.min(SLEEP_MS_MAX)))
    }

    /// The newest moment that has passed, in seconds since 1970; none by a clock that is not trusted (money rule T2).
    fn newest(&self, now: Wall) -> Option<i64> {
        let local = now.local_seconds();
        let passed = self.moments(local).filter(|moment| *moment <= local);
        let newest = passed.max().filter(|_| now.trusted)?;
        Some(newest.saturating_sub(i64::from(now.utc_offset_seconds)))
    }

    /// The moments of the days around this local time.
    fn moments(&self, local_seconds: i64) -> impl Iterator<Item = i64> {
        let midnight = local_seconds.saturating_sub(local_seconds.rem_euclid(DAY_SECONDS));
        // A spread may put a moment into the next day.
        let days = (-2..=1).map(move |day| midnight.saturating_add(day * DAY_SECONDS));
        days.flat_map(|day| self.at_seconds.iter().map(move |at| day.saturating_add(*at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_900_000_000 - 1_900_000_000 % DAY_SECONDS + DAY_SECONDS / 2;

    fn schedule(at_minutes: &[u16], spread_minutes: u64) -> Schedule {
        let settle = Settle {
            at_minutes: at_minutes.to_vec(),
            spread_minutes,
            near_limits: false,
        };
        Schedule::new(&settle, "till-1")
    }

    fn now(unix_seconds: i64, utc_offset_seconds: i32) -> Now {
        Now {
            monotonic: Monotonic(5_000),
            wall: Wall {
                unix_seconds,
                utc_offset_seconds,
                trusted: true,
            },
        }
    }

    #[test]
    fn the_newest_moment_is_todays_once_it_has_passed_and_yesterdays_before() {
        let schedule = schedule(&[13 * 60], 0);
        let one = NOON + 3_600;
        assert_eq!(schedule.newest(now(NOON, 0).wall), Some(one - DAY_SECONDS));
        assert_eq!(schedule.newest(now(one, 0).wall), Some(one));
        // An hour east of it, one o'clock comes an hour earlier.
        assert_eq!(schedule.newest(now(NOON, 3_600).wall), Some(NOON));
        assert_eq!(schedule.next(now(NOON, 0)), Monotonic(5_000 + 3_600_000));
        assert_eq!(schedule.next(now(one - 60, 0)), Monotonic(5_000 + 60_000));
    }

    #[test]
    fn claims_from_before_a_moment_are_due_once_in_a_while_until_they_are_settled() {
        let mut schedule = schedule(&[12 * 60], 0);
        let yen: Currency = "JPY".parse().expect("a currency");
        let mut due = |oldest: i64, unix_seconds: i64, ms: u64| {
            let waiting = Claims {
                count: 1,
                minor: 300,
                oldest_unix_seconds: Some(oldest),
            };
            let now = Now {
                monotonic: Monotonic(ms),
                ..now(unix_seconds, 0)
            };
            let due = schedule.due(std::iter::once((yen, waiting)), &[], now);
            (!due.is_empty(), schedule.look_at())
        };
        let in_an_hour = |ms: u64| Monotonic(ms + SLEEP_MS_MAX);
        assert_eq!(
            due(NOON - 60, NOON - 30, 0),
            (false, Monotonic(30_000)),
            "not yet"
        );
        assert_eq!(due(NOON - 60, NOON, 30_000), (true, in_an_hour(30_000)), "now");
        assert!(!due(NOON - 60, NOON + 60, 90_000).0, "it was said a minute ago");
        assert!(
            due(NOON - 60, NOON + 3_600, 3_630_000).0,
            "it could not be sealed"
        );
        assert!(!due(NOON + 1, NOON + 7_200, 7_230_000).0, "sold since: tomorrow");
        assert!(
            due(NOON + 1, NOON + 3 * DAY_SECONDS, 9_000_000).0,
            "missed while off"
        );
    }

    #[test]
    fn what_a_voided_batch_held_waits_for_the_next_moment() {
        let mut schedule = schedule(&[12 * 60], 0);
        let yen: Currency = "JPY".parse().expect("a currency");
        let waiting = Claims {
            count: 1,
            minor: 300,
            oldest_unix_seconds: None,
        };
        let due = |schedule: &mut Schedule, unix_seconds: i64, ms: u64| {
            let now = Now {
                monotonic: Monotonic(ms),
                ..now(unix_seconds, 0)
            };
            !schedule.due(std::iter::once((yen, waiting)), &[], now).is_empty()
        };
        assert!(due(&mut schedule, NOON, 0), "its age is not known");
        schedule.voided(yen, now(NOON + 3_600, 0));
        assert!(!due(&mut schedule, NOON + 7_200, 7_200_000));
        assert!(due(&mut schedule, NOON + DAY_SECONDS, 86_400_000));
    }

    #[test]
    fn a_limit_that_is_near_settles_whatever_the_time() {
        let mut schedule = schedule(&[], 0);
        schedule.near_limits = true;
        let yen: Currency = "JPY".parse().expect("a currency");
        let waiting = Claims {
            count: 8,
            minor: 300,
            oldest_unix_seconds: None,
        };
        let used = |used| LimitUse {
            kind: purser_engine::LimitKind::Count,
            used,
            warn_at: 8,
            max: 10,
        };
        let mut due = |limit| schedule.due(std::iter::once((yen, waiting)), &[limit], now(NOON, 0));
        assert!(due(used(7)).is_empty());
        assert_eq!(due(used(8)), [yen]);
    }

    #[test]
    fn a_clock_that_is_not_trusted_has_no_moment() {
        let schedule = schedule(&[0], 0);
        let wall = Wall {
            trusted: false,
            ..now(NOON, 0).wall
        };
        assert_eq!(schedule.newest(wall), None);
    }

    #[test]
    fn a_spread_moves_each_terminal_by_its_own_time_within_it() {
        let delays: std::collections::BTreeSet<i64> = (0..100)
            .map(|n| {
                let settle = Settle {
                    at_minutes: vec![23 * 60],
                    spread_minutes: 120,
                    near_limits: false,
                };
                Schedule::new(&settle, &format!("till-{n}")).at_seconds[0] - 23 * 3_600
            })
            .collect();
        assert!(
            delays.iter().all(|delay| (0..=7_200).contains(delay)),
            "{delays:?}"
        );
        assert!(delays.len() > 80, "{} different times", delays.len());
        // Over midnight: the moment of yesterday evening passes today.
        let late = schedule(&[23 * 60 + 59], 120);
        let newest = late.newest(now(NOON, 0).wall).expect("there is one");
        assert!((NOON - DAY_SECONDS / 2 - 60..NOON).contains(&newest));
    }
}
