//! Limits on what waits for settlement. They warn first, then stop *new* sales by name (design §4, rule 6); what has begun
//! goes on to its end.
//!
//! A sale under way counts as if it were paid already, so that two at a time cannot pass a limit together. A sale in doubt does
//! not count (money rule D3): it becomes a claim when it is proven, and may then take the claims above a limit.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use purser_ledger::{Amount, Currency, Entry, Now, Unsettled};

use crate::sale::{Phase, Sale};
use crate::{Engine, RequestError};

/// How many sales of one user may be under way: more than its tills have readers, and few enough to leave others room.
pub(crate) const SALES_OF_USER_MAX: usize = 16;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// What the operator allows to wait for settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The highest price of one sale, in minor units. A currency that is not named has only the purse's own bound.
    pub amount_max: BTreeMap<Currency, u64>,
    /// The most claims that wait, of all currencies together.
    pub count_max: u64,
    /// The most money that waits, in minor units. A currency that is not named has only the books' own bound.
    pub total_max: BTreeMap<Currency, u64>,
    /// The age of the oldest claim, in seconds, from which on no new sale begins. Judged by a trusted clock only (money rule T2).
    pub age_max_seconds: u64,
    /// From which share of a limit on Purser warns, in percent: 1 to 99.
    pub warn_percent: u8,
}

impl Default for Limits {
    /// Ten thousand claims, thirty days (schemes want a settlement each month), a warning at 80 %.
    fn default() -> Self {
        Self {
            amount_max: BTreeMap::new(),
            count_max: 10_000,
            total_max: BTreeMap::new(),
            age_max_seconds: 30 * DAY_SECONDS,
            warn_percent: 80,
        }
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// How many claims wait.
    Count,
    /// How much waits in this currency, in minor units.
    Total(Currency),
    /// How long the oldest claim has waited, in seconds.
    Age,
}

/// How near a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitLevel {
    /// Nothing to worry about.
    Within,
    /// The share to warn at is used.
    Near,
    /// No new sale begins.
    Reached,
}

/// How much of a limit is used. Units: as its kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// Which limit.
    pub kind: LimitKind,
    /// What is used, with the sales under way.
    pub used: u64,
    /// From which use on Purser warns.
    pub warn_at: u64,
    /// The limit.
    pub max: u64,
}

impl LimitUse {
    /// How near it is.
    pub fn level(&self) -> LimitLevel {
        if self.used >= self.max {
            LimitLevel::Reached
        } else if self.used >= self.warn_at {
            LimitLevel::Near
        } else {
            LimitLevel::Within
        }
    }
}

impl Limits {
    /// How much of each limit is used. The age is left out while it cannot be told: no claim, or a clock that is not trusted.
    pub fn uses(&self, counted: &Unsettled, now: Now) -> Vec<LimitUse> {
        let count = (LimitKind::Count, counted.count(), self.count_max);
        let totals = self
            .total_max
            .iter()
            .map(|(currency, max)| (LimitKind::Total(*currency), counted.minor(*currency), *max));
        let age = age_seconds(counted, now).map(|age| (LimitKind::Age, age, self.age_max_seconds));
        let uses = std::iter::once(count).chain(totals).chain(age);
        uses.map(|(kind, used, max)| LimitUse {
            kind,
            used,
            warn_at: self.warn_at(max),
            max,
        })
        .collect()
    }

    /// Whether a new sale may begin when so much counts already.
    ///
    /// # Errors
    /// The limit that it would pass; what lasts longest is named first.
    pub fn admit(&self, amount: Amount, counted: &Unsettled, now: Now) -> Result<(), RequestError> {
        let currency = amount.currency();
        let is_above = |limits: &BTreeMap<Currency, u64>, minor: u64| {
            limits.get(&currency).is_some_and(|max| minor > *max)
        };
        if is_above(&self.amount_max, amount.minor()) {
            return Err(RequestError::LimitAmount);
        }
        if age_seconds(counted, now).is_some_and(|age| age >= self.age_max_seconds) {
            return Err(RequestError::LimitAge);
        }
        if counted.count() >= self.count_max {
            return Err(RequestError::LimitCount);
        }
        if is_above(
            &self.total_max,
            counted.minor(currency).saturating_add(amount.minor()),
        ) {
            return Err(RequestError::LimitTotal);
        }
        Ok(())
    }

    /// The share of a limit at which Purser warns, rounded up, so that a small limit has one too.
    fn warn_at(&self, max: u64) -> u64 {
        let share = u128::from(max) * u128::from(self.warn_percent);
        u64::try_from(share.div_ceil(100)).unwrap_or(max)
    }
}

/// How long the oldest claim has waited.
fn age_seconds(counted: &Unsettled, now: Now) -> Option<u64> {
    let oldest = counted.oldest_unix_seconds().filter(|_| now.wall.trusted)?;
    Some(u64::try_from(now.wall.unix_seconds.saturating_sub(oldest)).unwrap_or(0))
}

impl Engine {
    /// What the wall clock may say to be believed (money rule T2).
    pub fn clock_range(&self) -> purser_ledger::ClockRange {
        self.clock
    }

    /// Whether limits let a new sale begin.
    pub(crate) fn within_limits(&self, amount: Amount) -> Result<(), RequestError> {
        self.config
            .limits
            .admit(amount, &self.counted(), self.judged_now())
    }

    /// Counts a claim, once its evidence is durable.
    pub(crate) fn count_claim(&mut self, commit: &purser_ledger::Commit) {
        match &commit.entry {
            Entry::SalePaid(paid) => self.unsettled.add(paid.amount, commit.at),
            Entry::SalePresentedAgain(again) => self.unsettled.add(again.amount, commit.at),
            _ => {}
        }
    }

    /// The claims that wait for settlement.
    pub fn unsettled(&self) -> &Unsettled {
        &self.unsettled
    }

    /// How much of each limit the claims use, without the sales that are under way.
    pub fn claim_uses(&self) -> Vec<LimitUse> {
        self.config.limits.uses(&self.unsettled, self.judged_now())
    }

    /// What [`Limits::uses`] is asked with: claims, and the sales that may still become some.
    pub fn counted(&self) -> Unsettled {
        let mut counted = self.unsettled.clone();
        // What has not happened yet has no age.
        let at = purser_ledger::Wall {
            trusted: false,
            ..self.now.wall
        };
        for sale in self.sales.iter().filter(|sale| may_become_claim(sale)) {
            counted.add(sale.asked.amount, at);
        }
        counted
    }

    /// The time of the newest input, its wall clock as far as it is believed (money rule T2).
    pub fn judged_now(&self) -> Now {
        Now {
            wall: self.present(),
            ..self.now
        }
    }
}

/// False for a sale whose reference is still looked up: it is judged when that is done, and whoever comes first is let in.
fn may_become_claim(sale: &Sale) -> bool {
    match sale.phase {
        Phase::WaitingForCard | Phase::AtCard(_) | Phase::Recording => true,
        Phase::Checking { .. } | Phase::Ending => false,
    }
}
