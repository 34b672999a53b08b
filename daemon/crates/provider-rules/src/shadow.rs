//! What the provider knows a card to hold (money rule C3: below zero is a flag, not a refusal).

use purser_ledger::Amount;

use crate::books::{Account, Transfer};

/// A card's shadow account: proven loads less charged claims. In minor units of the card's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shadow {
    /// What the card is proven to have been loaded with.
    pub loaded: u64,
    /// What it is proven to have spent.
    pub spent: u64,
}

impl Shadow {
    /// Loaded less spent, at least zero: the card's part of [`Account::Outstanding`].
    pub fn outstanding(self) -> u64 {
        self.loaded.saturating_sub(self.spent)
    }

    /// Spent less loaded, at least zero: the card's part of [`Account::Unexplained`].
    pub fn unexplained(self) -> u64 {
        self.spent.saturating_sub(self.loaded)
    }

    /// After a load of this card is proven, and where the value goes in the books: first to what had been spent before the
    /// proof came.
    pub fn load(self, amount: Amount) -> (Self, Vec<Transfer>) {
        let after = Self {
            loaded: self.loaded.saturating_add(amount.minor()),
            ..self
        };
        let explained = self.unexplained().min(amount.minor());
        let transfers = parts(amount, explained, Account::Unexplained, Account::Outstanding);
        let transfer = |(to, amount)| Transfer {
            from: Account::LoadsInDoubt,
            to,
            amount,
        };
        (after, transfers.into_iter().map(transfer).collect())
    }

    /// After a claim on this card is charged, and where its value comes from in the books.
    pub fn claim(self, amount: Amount, to: Account) -> (Self, Vec<Transfer>) {
        let after = Self {
            spent: self.spent.saturating_add(amount.minor()),
            ..self
        };
        let known = self.outstanding().min(amount.minor());
        let transfers = parts(amount, known, Account::Outstanding, Account::Unexplained);
        let transfer = |(from, amount)| Transfer { from, to, amount };
        (after, transfers.into_iter().map(transfer).collect())
    }
}

/// The first `minor` of the amount at one account, the rest at the other; parts of nothing are left out.
fn parts(amount: Amount, minor: u64, first: Account, rest: Account) -> Vec<(Account, Amount)> {
    let part = |minor| Amount::new(minor, amount.currency()).expect("a part of an amount is an amount");
    [
        (first, part(minor)),
        (rest, part(amount.minor().saturating_sub(minor))),
    ]
    .into_iter()
    .filter(|(_, part)| !part.is_zero())
    .collect()
}
