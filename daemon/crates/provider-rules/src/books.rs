//! The provider's books: where each minor unit of issued value is. Double entry, one currency each.
//!
//! ```text
//!                      ┌── void ◄──┐
//!   Issued ──released──► LoadsInDoubt ──TAC──► Outstanding ──permit commits──► Permits ──matched──► Redeemed
//!                                                   │                             │
//!                                       refund owed └──► RefundsOwed ◄─ late ── MerchantDebt ◄─ netted ┘
//! ```
//! `issued + unexplained + merchant debt = outstanding + loads in doubt + refunds owed + permits + redeemed`

use std::collections::BTreeMap;

use purser_ledger::{Amount, AmountError, Currency};
use purser_provider_link::Sum;

/// A place of the provider's books. The enumeration is fixed: issued value is nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Everything for which a MAC2 was released and not voided. A source: value comes from here.
    Issued,
    /// Released, and not yet proven to be on the card.
    LoadsInDoubt,
    /// Proven to be on cards, or in claims that no permit covers.
    Outstanding,
    /// Claimed with valid evidence from cards that are not proven to have been loaded so high. A source. It covers loads in
    /// doubt that happened; what stays is a leak.
    Unexplained,
    /// What buyers are owed for goods that they did not get.
    RefundsOwed,
    /// In permits that are not matched.
    Permits,
    /// What merchants owe because of refunds after payment. A source: it is netted from later permits.
    MerchantDebt,
    /// Paid, and matched by both reports.
    Redeemed,
}

impl Account {
    /// Every account, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Issued,
        Self::LoadsInDoubt,
        Self::Outstanding,
        Self::Unexplained,
        Self::RefundsOwed,
        Self::Permits,
        Self::MerchantDebt,
        Self::Redeemed,
    ];

    /// Its name in a store and in answers: stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::LoadsInDoubt => "loads_in_doubt",
            Self::Outstanding => "outstanding",
            Self::Unexplained => "unexplained",
            Self::RefundsOwed => "refunds_owed",
            Self::Permits => "permits",
            Self::MerchantDebt => "merchant_debt",
            Self::Redeemed => "redeemed",
        }
    }

    /// True for an account that grows when value is taken from it.
    pub fn is_source(self) -> bool {
        match self {
            Self::Issued | Self::Unexplained | Self::MerchantDebt => true,
            Self::LoadsInDoubt | Self::Outstanding | Self::RefundsOwed | Self::Permits | Self::Redeemed => {
                false
            }
        }
    }
}

/// A movement of value from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Where it was.
    pub from: Account,
    /// Where it is then.
    pub to: Account,
    /// How much.
    pub amount: Amount,
}

/// Why the books refuse transfers: none of them is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BooksError {
    /// An account would fall below zero: the provider's own state contradicts itself. Stop and audit.
    #[error("{0:?} would fall below zero")]
    BelowZero(Account),
    /// An account would exceed what an amount can hold.
    #[error("{0:?} would exceed its limit")]
    TooLarge(Account),
    /// A transfer is in another currency.
    #[error("the transfer is in another currency than the books")]
    OtherCurrency,
}

impl BooksError {
    /// False: the same transfers give the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::BelowZero(_) | Self::TooLarge(_) | Self::OtherCurrency => false,
        }
    }
}

/// The balance of every account. None is ever negative, and sources equal places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Books {
    currency: Currency,
    balances: BTreeMap<Account, u64>,
}

impl Books {
    /// Books in which nothing was issued.
    pub fn new(currency: Currency) -> Self {
        Self {
            currency,
            balances: BTreeMap::new(),
        }
    }

    /// Books out of a store.
    ///
    /// # Errors
    /// [`BooksError::TooLarge`]: no books ever came to that. Stop and audit.
    pub fn restore(currency: Currency, balances: BTreeMap<Account, u64>) -> Result<Self, BooksError> {
        for (account, minor) in &balances {
            Amount::new(*minor, currency).map_err(|_| BooksError::TooLarge(*account))?;
        }
        Ok(Self { currency, balances })
    }

    /// The balance of one account.
    pub fn balance(&self, account: Account) -> Amount {
        let minor = self.balances.get(&account).copied().unwrap_or(0);
        Amount::new(minor, self.currency).expect("balances are made from amounts")
    }

    /// The books after all the transfers.
    ///
    /// # Errors
    /// [`BooksError`]; these books are as before.
    pub fn after(&self, transfers: &[Transfer]) -> Result<Self, BooksError> {
        let mut books = self.clone();
        for transfer in transfers {
            books.move_one(transfer.from, transfer.amount, transfer.from.is_source())?;
            books.move_one(transfer.to, transfer.amount, !transfer.to.is_source())?;
        }
        Ok(books)
    }

    fn move_one(&mut self, account: Account, amount: Amount, grows: bool) -> Result<(), BooksError> {
        let before = self.balance(account);
        let after = if grows {
            before.checked_add(amount)
        } else {
            before.checked_sub(amount)
        };
        let after = after.map_err(|error| match error {
            AmountError::BelowZero => BooksError::BelowZero(account),
            AmountError::TooLarge => BooksError::TooLarge(account),
            AmountError::CurrencyMismatch | AmountError::NotACurrency => BooksError::OtherCurrency,
        })?;
        self.balances.insert(account, after.minor());
        Ok(())
    }

    /// True when what came from the sources is what is at the places.
    pub fn are_balanced(&self) -> bool {
        let sum = |sources: bool| -> u128 {
            let of_kind = self
                .balances
                .iter()
                .filter(|(account, _)| account.is_source() == sources);
            of_kind.map(|(_, minor)| u128::from(*minor)).sum()
        };
        sum(true) == sum(false)
    }
}

/// A MAC2 leaves the host for the first time.
pub fn released(amount: Amount) -> Transfer {
    Transfer {
        from: Account::Issued,
        to: Account::LoadsInDoubt,
        amount,
    }
}

/// A load whose MAC2 had left is void.
pub fn voided(amount: Amount) -> Transfer {
    Transfer {
        from: Account::LoadsInDoubt,
        to: Account::Issued,
        amount,
    }
}

/// What a permit's sum moves, beside its claims ([`Shadow::claim`](crate::shadow::Shadow::claim) to [`Account::Permits`], with
/// their whole amounts): `refunded` is what the paid claims owe to buyers.
pub fn permitted(sum: &Sum, refunded: Amount) -> Vec<Transfer> {
    let zero = Amount::zero(sum.pay.currency());
    let netted = sum.pay.checked_sub(sum.total).unwrap_or(zero);
    let transfers = [
        Transfer {
            from: Account::Permits,
            to: Account::RefundsOwed,
            amount: refunded,
        },
        Transfer {
            from: Account::MerchantDebt,
            to: Account::RefundsOwed,
            amount: sum.owe,
        },
        Transfer {
            from: Account::Permits,
            to: Account::MerchantDebt,
            amount: netted,
        },
    ];
    transfers.into_iter().filter(|it| !it.amount.is_zero()).collect()
}

/// A permit's two reports agree.
pub fn redeemed(total: Amount) -> Transfer {
    Transfer {
        from: Account::Permits,
        to: Account::Redeemed,
        amount: total,
    }
}
