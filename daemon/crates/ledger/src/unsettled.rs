//! The claims that wait for settlement: how many, how much, since when. Limits are judged by them.

use std::collections::{BTreeMap, VecDeque};

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

/// Claims whose ages are told as one: the oldest one's. Bounds what a long wait takes in memory, and how much older a claim is told
/// than it is.
const SPAN_SECONDS: i64 = 3_600;

/// Claims that were recorded one after the other, and when the oldest of them was that has a trusted time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    count: u64,
    oldest_unix_seconds: Option<i64>,
}

/// Claims in no batch: all of them, and how old they are in the order in which they were recorded, which is that in which batches
/// take them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Open {
    all: Claims,
    spans: VecDeque<Span>,
}

impl Open {
    /// One more claim.
    fn add(&mut self, one: Claims) {
        self.all = self.all.with(one);
        match self.spans.back_mut() {
            Some(last) if last.takes(one.oldest_unix_seconds) => {
                last.count = last.count.saturating_add(1);
                last.oldest_unix_seconds = earlier(last.oldest_unix_seconds, one.oldest_unix_seconds);
            }
            _ => self.spans.push_back(Span::of(one)),
        }
    }

    /// Claims that were recorded before those that are here.
    fn put_back(&mut self, claims: Claims) {
        if claims.count > 0 {
            self.all = self.all.with(claims);
            self.spans.push_front(Span::of(claims));
        }
    }

    /// Takes the first ones into a batch.
    fn seal(&mut self, claims: Part) -> Claims {
        let sealed = Claims {
            count: u64::from(claims.count),
            minor: claims.amount.minor(),
            oldest_unix_seconds: self.all.oldest_unix_seconds,
        };
        let mut taken = sealed.count;
        while let Some(span) = self.spans.pop_front_if(|first| first.count <= taken) {
            taken = taken.saturating_sub(span.count);
        }
        if let Some(first) = self.spans.front_mut() {
            first.count = first.count.saturating_sub(taken);
        }
        self.all = Claims {
            count: self.all.count.saturating_sub(sealed.count),
            minor: self.all.minor.saturating_sub(sealed.minor),
            oldest_unix_seconds: self
                .spans
                .iter()
                .filter_map(|span| span.oldest_unix_seconds)
                .min(),
        };
        sealed
    }
}

impl Span {
    fn of(claims: Claims) -> Self {
        Self {
            count: claims.count,
            oldest_unix_seconds: claims.oldest_unix_seconds,
        }
    }

    /// Whether a claim of this time is told with these.
    fn takes(&self, unix_seconds: Option<i64>) -> bool {
        match (self.oldest_unix_seconds, unix_seconds) {
            (Some(oldest), Some(at)) => at.saturating_sub(oldest) < SPAN_SECONDS,
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
}

/// The unsettled claims as a whole. A claim waits until its batch is exchanged: a sealed batch that nobody has paid still counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    open: BTreeMap<Currency, Open>,
    in_batch: BTreeMap<Currency, Claims>,
}

impl Unsettled {
    /// These claims too: those in no batch, which were recorded before any that it has, and those in the batch that is under way.
    #[must_use]
    pub fn with(mut self, currency: Currency, open: Claims, in_batch: Claims) -> Self {
        if open.count > 0 {
            self.open.entry(currency).or_default().put_back(open);
        }
        if in_batch.count > 0 {
            let known = self.in_batch.entry(currency).or_default();
            *known = known.with(in_batch);
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
        self.open.entry(amount.currency()).or_default().add(one);
    }

    /// These claims, the first ones, are in a batch from now on. What is left is told at most an hour older than it is, and a claim of
    /// an earlier run as old as the oldest that was known at its start.
    pub fn seal(&mut self, claims: Part) {
        let currency = claims.amount.currency();
        let sealed = self.open.entry(currency).or_default().seal(claims);
        self.in_batch.insert(currency, sealed);
    }

    /// The batch under way is exchanged: its claims wait no more.
    pub fn exchange(&mut self, currency: Currency) {
        self.in_batch.remove(&currency);
    }

    /// The batch under way is void: its claims are open again.
    pub fn free(&mut self, currency: Currency) {
        let freed = self.in_batch.remove(&currency).unwrap_or_default();
        self.open.entry(currency).or_default().put_back(freed);
    }

    /// The claims that are in no batch, by currency.
    pub fn open(&self) -> impl Iterator<Item = (Currency, Claims)> {
        let open = self.open.iter().filter(|(_, open)| open.all.count > 0);
        open.map(|(currency, open)| (*currency, open.all))
    }

    fn all(&self) -> impl Iterator<Item = (&Currency, &Claims)> {
        let open = self.open.iter().map(|(currency, open)| (currency, &open.all));
        open.chain(&self.in_batch)
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
    fn what_a_batch_leaves_is_never_told_younger_than_it_is() {
        let jpy = yen(0).currency();
        let mut unsettled = Unsettled::default().with(jpy, claims(2, 200, 1_000), Claims::default());
        for at_seconds in [10_000, 10_500, 20_000, 30_000] {
            unsettled.add(yen(100), at(at_seconds, true));
        }
        let part = |count: u32| Part {
            count,
            amount: yen(100 * u64::from(count)),
        };
        // More than fits into one batch: a claim of the start is left.
        unsettled.seal(part(1));
        unsettled.exchange(jpy);
        assert_eq!(unsettled.oldest_unix_seconds(), Some(1_000));
        // Claims that were made while it was counted: one of 10,500, told within the hour, and those after it.
        unsettled.seal(part(2));
        unsettled.exchange(jpy);
        assert_eq!(
            (unsettled.count(), unsettled.oldest_unix_seconds()),
            (3, Some(10_000))
        );
        unsettled.seal(part(1));
        assert_eq!(unsettled.oldest_unix_seconds(), Some(10_000), "it waits still");
        let mut voided = unsettled.clone();
        voided.free(jpy);
        voided.seal(part(2));
        voided.exchange(jpy);
        assert_eq!(voided.oldest_unix_seconds(), Some(30_000));
        unsettled.exchange(jpy);
        assert_eq!(
            (unsettled.count(), unsettled.oldest_unix_seconds()),
            (2, Some(20_000))
        );
        unsettled.seal(part(2));
        unsettled.exchange(jpy);
        assert_eq!((unsettled.count(), unsettled.oldest_unix_seconds()), (0, None));
    }

    #[test]
    fn a_claim_in_a_batch_waits_until_the_batch_is_exchanged() {
        let jpy = yen(0).currency();
        let mut unsettled = Unsettled::default().with(jpy, claims(2, 500, 1_000), Claims::default());
        let batch = Part {
            count: 2,
            amount: yen(500),
        };
        unsettled.seal(batch);
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
