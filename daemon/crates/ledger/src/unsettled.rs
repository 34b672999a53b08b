//! The claims that wait for settlement: how many, how much, since when. Limits are judged by them.

use std::collections::BTreeMap;

use crate::{Amount, Currency, Part, Wall};

/// Some claims of one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// How many.
    pub count: u64,
    /// How much, in minor units.
    pub minor: u64,
    /// When the oldest one that has a trusted time was recorded, in seconds since 1970.
    pub oldest_unix_seconds: Option<i64>,
}

impl Claims {
    fn with(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            minor: self.minor.saturating_add(other.minor),
            oldest_unix_seconds: earlier(self.oldest_unix_seconds, other.oldest_unix_seconds),
        }
    }
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// The unsettled claims as a whole. A claim waits until its batch is exchanged: a sealed batch that nobody has paid still counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    open: BTreeMap<Currency, Claims>,
    in_batch: BTreeMap<Currency, Claims>,
}

impl Unsettled {
    /// These claims too: those in no batch, and those in the batch that is under way.
    #[must_use]
    pub fn with(mut self, currency: Currency, open: Claims, in_batch: Claims) -> Self {
        for (claims, more) in [(&mut self.open, open), (&mut self.in_batch, in_batch)] {
            if more.count == 0 {
                continue;
            }
            let known = claims.entry(currency).or_default();
            *known = known.with(more);
        }
        self
    }

    /// Counts one more claim, recorded at this time. A time that is not trusted tells no age (money rule T2).
    pub fn add(&mut self, amount: Amount, at: Wall) {
        let one = Claims {
            count: 1,
            minor: amount.minor(),
            oldest_unix_seconds: at.trusted.then_some(at.unix_seconds),
        };
        let known = self.open.entry(amount.currency()).or_default();
        *known = known.with(one);
    }

    /// These claims are in a batch from now on. What is left is no older than the batch.
    pub fn seal(&mut self, claims: Part, at: Wall) {
        let currency = claims.amount.currency();
        let open = self.open.entry(currency).or_default();
        let sealed = Claims {
            count: u64::from(claims.count),
            minor: claims.amount.minor(),
            oldest_unix_seconds: open.oldest_unix_seconds,
        };
        let count = open.count.saturating_sub(sealed.count);
        *open = Claims {
            count,
            minor: open.minor.saturating_sub(sealed.minor),
            oldest_unix_seconds: (count > 0 && at.trusted).then_some(at.unix_seconds),
        };
        self.in_batch.insert(currency, sealed);
    }

    /// The batch under way is exchanged: its claims wait no more.
    pub fn exchange(&mut self, currency: Currency) {
        self.in_batch.remove(&currency);
    }

    /// The batch under way is void: its claims are open again.
    pub fn free(&mut self, currency: Currency) {
        let freed = self.in_batch.remove(&currency).unwrap_or_default();
        let open = self.open.entry(currency).or_default();
        *open = open.with(freed);
    }

    fn all(&self) -> impl Iterator<Item = (&Currency, &Claims)> {
        self.open.iter().chain(&self.in_batch)
    }

    /// How many claims wait.
    pub fn count(&self) -> u64 {
        self.all()
            .map(|(_, claims)| claims.count)
            .fold(0, u64::saturating_add)
    }

    /// How much waits, in minor units of this currency.
    pub fn minor(&self, currency: Currency) -> u64 {
        let own = self.all().filter(|(of, _)| **of == currency);
        own.map(|(_, claims)| claims.minor).fold(0, u64::saturating_add)
    }

    /// When the oldest claim that has a trusted time was recorded, in seconds since 1970.
    pub fn oldest_unix_seconds(&self) -> Option<i64> {
        self.all()
            .filter_map(|(_, claims)| claims.oldest_unix_seconds)
            .min()
    }

    /// The currencies in which claims wait.
    pub fn currencies(&self) -> impl Iterator<Item = Currency> {
        let waiting = self.all().filter(|(_, claims)| claims.count > 0);
        waiting.map(|(currency, _)| *currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yen(minor: u64) -> Amount {
        Amount::new(minor, "JPY".parse().expect("a currency")).expect("small")
    }

    fn at(unix_seconds: i64, trusted: bool) -> Wall {
        Wall {
            unix_seconds,
            utc_offset_seconds: 0,
            trusted,
        }
    }

    fn claims(count: u64, minor: u64, oldest: i64) -> Claims {
        Claims {
            count,
            minor,
            oldest_unix_seconds: Some(oldest),
        }
    }

    #[test]
    fn claims_of_a_start_and_claims_added_later_are_one_sum() {
        let jpy = yen(0).currency();
        let mut unsettled = Unsettled::default().with(jpy, claims(2, 500, 1_000), Claims::default());
        unsettled.add(yen(300), at(2_000, true));
        assert_eq!((unsettled.count(), unsettled.minor(jpy)), (3, 800));
        assert_eq!(unsettled.oldest_unix_seconds(), Some(1_000));
    }

    #[test]
    fn a_claim_in_a_batch_waits_until_the_batch_is_exchanged() {
        let jpy = yen(0).currency();
        let mut unsettled = Unsettled::default().with(jpy, claims(2, 500, 1_000), Claims::default());
        let batch = Part {
            count: 2,
            amount: yen(500),
        };
        unsettled.seal(batch, at(3_000, true));
        assert_eq!((unsettled.count(), unsettled.minor(jpy)), (2, 500));
        unsettled.add(yen(300), at(4_000, true));
        assert_eq!(unsettled.oldest_unix_seconds(), Some(1_000));
        let mut voided = unsettled.clone();
        voided.free(jpy);
        assert_eq!((voided.count(), voided.minor(jpy)), (3, 800));
        assert_eq!(voided.oldest_unix_seconds(), Some(1_000));
        unsettled.exchange(jpy);
        assert_eq!((unsettled.count(), unsettled.minor(jpy)), (1, 300));
        assert_eq!(unsettled.oldest_unix_seconds(), Some(4_000));
    }

    #[test]
    fn only_a_trusted_time_tells_how_old_a_claim_is() {
        let mut unsettled = Unsettled::default();
        unsettled.add(yen(1), at(5, false));
        assert_eq!(unsettled.oldest_unix_seconds(), None);
        unsettled.add(yen(1), at(7, true));
        unsettled.add(yen(1), at(9, true));
        assert_eq!(unsettled.oldest_unix_seconds(), Some(7));
    }
}
