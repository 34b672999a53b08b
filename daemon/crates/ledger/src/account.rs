//! The accounts, and the books that balance over them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Amount, Currency, MINOR_MAX};

/// An account of the terminal's books, one for each currency. The enumeration is fixed: there is no other place for money to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What was sold. Grows by credit.
    Sales,
    /// What the provider owes for accumulated claims. Grows by debit.
    Claims,
    /// What may have been debited from a card, not proven either way. Grows by debit.
    InDoubt,
    /// What buyers are owed for goods that they did not get. Grows by credit.
    RefundsOwed,
    /// Claims in a batch that is sealed and neither exchanged nor voided. Grows by debit.
    InBatch,
    /// What the provider's permits let the terminal pull (S34). Grows by debit.
    Permits,
    /// Claims of exchanged batches that the provider did not pay: held, or in dispute (money rule C1). Grows by debit.
    Held,
    /// What the provider kept of paid claims because the merchant was in its debt (money rule C1). Grows by debit.
    Netted,
    /// Refunds of claims that had been paid, which the provider took over from the terminal: the merchant's debt made here. A
    /// merchant has many terminals, and the debt of one may be netted at another, so that this and [`Self::Netted`] are
    /// two accounts. Grows by credit.
    LateRefunds,
    /// What banks have booked for loads at this terminal, less what was voided (S3). Grows by debit.
    Loads,
    /// What users are owed of it: booked, and not yet proven on a card. Grows by credit.
    LoadsOwed,
    /// What is proven on cards of it (S13). Grows by credit.
    Loaded,
}

impl Account {
    /// Every account, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Sales,
        Self::Claims,
        Self::InDoubt,
        Self::RefundsOwed,
        Self::InBatch,
        Self::Permits,
        Self::Held,
        Self::Netted,
        Self::LateRefunds,
        Self::Loads,
        Self::LoadsOwed,
        Self::Loaded,
    ];

    /// True for an account that grows by debit.
    pub fn grows_by_debit(self) -> bool {
        match self {
            Self::Claims
            | Self::InDoubt
            | Self::InBatch
            | Self::Permits
            | Self::Held
            | Self::Netted
            | Self::Loads => true,
            Self::Sales | Self::RefundsOwed | Self::LateRefunds | Self::LoadsOwed | Self::Loaded => false,
        }
    }
}

/// One movement of money: the same amount is debited to one account and credited to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The account that is debited.
    pub debit: Account,
    /// The account that is credited.
    pub credit: Account,
    /// How much.
    pub amount: Amount,
}

/// Why the books refuse a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BooksError {
    /// An account would fall below zero: more was taken out than had gone in.
    #[error("account {0:?} would fall below zero")]
    BelowZero(Account),
    /// An account would exceed [`MINOR_MAX`].
    #[error("account {0:?} would exceed its limit; settle first")]
    TooLarge(Account),
    /// Debits and credits differ.
    #[error("the debits of the books do not equal their credits")]
    Unbalanced,
}

impl BooksError {
    /// False: the same transfer gives the same answer until other transfers change the books.
    pub fn is_transient(self) -> bool {
        match self {
            Self::BelowZero(_) | Self::TooLarge(_) | Self::Unbalanced => false,
        }
    }
}

/// The balance of every account in every currency. No balance is ever negative, and debits equal credits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    balances: BTreeMap<(Currency, Account), u64>,
}

impl Books {
    /// Books from stored balances, in minor units.
    ///
    /// # Errors
    /// [`BooksError::TooLarge`] or [`BooksError::Unbalanced`]: the stored balances are not books; verify the journal.
    pub fn from_balances(
        balances: impl IntoIterator<Item = ((Currency, Account), u64)>,
    ) -> Result<Self, BooksError> {
        let books = Self {
            balances: balances.into_iter().filter(|(_, minor)| *minor > 0).collect(),
        };
        match books.balances.iter().find(|(_, minor)| **minor > MINOR_MAX) {
            Some(((_, account), _)) => Err(BooksError::TooLarge(*account)),
            None if books.are_balanced() => Ok(books),
            None => Err(BooksError::Unbalanced),
        }
    }

    /// The balance of one account.
    pub fn balance(&self, account: Account, currency: Currency) -> Amount {
        let minor = self.balances.get(&(currency, account)).copied().unwrap_or(0);
        Amount::new(minor, currency).expect("balances are kept at or below MINOR_MAX")
    }

    /// True when everything that sales have brought on the debit side fits into one account. A settlement only moves it about:
    /// where this holds, no account can exceed its limit by one. Loads have accounts of their own, and none of those can hold more
    /// than [`Account::Loads`] was given.
    pub fn have_room(&self, currency: Currency) -> bool {
        let of_sales = Account::ALL
            .into_iter()
            .filter(|account| account.grows_by_debit() && *account != Account::Loads);
        let sum = of_sales
            .map(|account| self.balance(account, currency).minor())
            .fold(0, u64::saturating_add);
        sum <= MINOR_MAX
    }

    /// The currencies that have a balance.
    pub fn currencies(&self) -> Vec<Currency> {
        let mut currencies: Vec<_> = self.balances.keys().map(|(currency, _)| *currency).collect();
        currencies.dedup();
        currencies
    }

    /// Every balance that is not zero, in minor units.
    pub fn balances(&self) -> impl Iterator<Item = ((Currency, Account), u64)> + '_ {
        self.balances.iter().map(|(key, minor)| (*key, *minor))
    }

    /// True when debits equal credits in every currency.
    pub fn are_balanced(&self) -> bool {
        let mut net: BTreeMap<Currency, i128> = BTreeMap::new();
        for ((currency, account), minor) in &self.balances {
            let signed = if account.grows_by_debit() {
                i128::from(*minor)
            } else {
                -i128::from(*minor)
            };
            *net.entry(*currency).or_default() += signed;
        }
        net.values().all(|sum| *sum == 0)
    }

    /// Carries out one transfer, or changes nothing.
    ///
    /// # Errors
    /// [`BooksError`]: the transfer would break an account.
    pub fn transfer(&mut self, transfer: Transfer) -> Result<(), BooksError> {
        let debited = self.moved(transfer.debit, transfer.amount, transfer.debit.grows_by_debit())?;
        let credited = self.moved(
            transfer.credit,
            transfer.amount,
            !transfer.credit.grows_by_debit(),
        )?;
        self.set(transfer.debit, transfer.amount.currency(), debited);
        self.set(transfer.credit, transfer.amount.currency(), credited);
        Ok(())
    }

    fn moved(&self, account: Account, amount: Amount, grows: bool) -> Result<u64, BooksError> {
        let before = self.balance(account, amount.currency());
        let after = if grows {
            before.checked_add(amount)
        } else {
            before.checked_sub(amount)
        };
        match after {
            Ok(after) => Ok(after.minor()),
            Err(_) if grows => Err(BooksError::TooLarge(account)),
            Err(_) => Err(BooksError::BelowZero(account)),
        }
    }

    fn set(&mut self, account: Account, currency: Currency, minor: u64) {
        if minor == 0 {
            self.balances.remove(&(currency, account));
        } else {
            self.balances.insert((currency, account), minor);
        }
    }
}
