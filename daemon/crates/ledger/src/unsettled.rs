//! The claims that wait for settlement: how many, how much, since when. Limits are judged by them.

use std::collections::BTreeMap;

use crate::{Account, Amount, Books, Currency, Wall};

/// The unsettled claims as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsettled {
    count: u64,
    minor: BTreeMap<Currency, u64>,
    oldest_unix_seconds: Option<i64>,
}

impl Unsettled {
    /// What the books hold as claims. `count`: how many claims there are. `oldest`: when the oldest one that has a trusted time was
    /// recorded, in seconds since 1970.
    pub fn of(books: &Books, count: u64, oldest: Option<i64>) -> Self {
        let held = |currency| (currency, books.balance(Account::Claims, currency).minor());
        Self {
            count,
            minor: books.currencies().into_iter().map(held).collect(),
            oldest_unix_seconds: oldest,
        }
    }

    /// Counts one more claim, recorded at this time. A time that is not trusted tells no age (money rule T2).
    pub fn add(&mut self, amount: Amount, at: Wall) {
        self.count = self.count.saturating_add(1);
        let minor = self.minor.entry(amount.currency()).or_default();
        *minor = minor.saturating_add(amount.minor());
        if at.trusted {
            self.oldest_unix_seconds.get_or_insert(at.unix_seconds);
        }
    }

    /// How many claims wait.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How much waits, in minor units of this currency.
    pub fn minor(&self, currency: Currency) -> u64 {
        self.minor.get(&currency).copied().unwrap_or(0)
    }

    /// When the oldest claim that has a trusted time was recorded, in seconds since 1970.
    pub fn oldest_unix_seconds(&self) -> Option<i64> {
        self.oldest_unix_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transfer;

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

    #[test]
    fn claims_of_the_books_and_claims_added_later_are_one_sum() {
        let mut books = Books::default();
        let sold = Transfer {
            debit: Account::Claims,
            credit: Account::Sales,
            amount: yen(500),
        };
        books.transfer(sold).expect("the books take it");
        let mut unsettled = Unsettled::of(&books, 2, Some(1_000));
        unsettled.add(yen(300), at(2_000, true));
        assert_eq!((unsettled.count(), unsettled.minor(yen(0).currency())), (3, 800));
        assert_eq!(unsettled.oldest_unix_seconds(), Some(1_000));
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
