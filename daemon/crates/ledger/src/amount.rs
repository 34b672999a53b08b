//! Money: minor units with their currency, never a bare number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The largest number of minor units that an [`Amount`] or a balance may hold: 2^53 − 1, so that every JSON reader
/// of the API carries it exactly.
pub const MINOR_MAX: u64 = (1 << 53) - 1;

/// An ISO 4217 alphabetic currency code, such as `JPY`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is made of ASCII letters only")
    }
}

impl FromStr for Currency {
    type Err = AmountError;

    fn from_str(code: &str) -> Result<Self, AmountError> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(AmountError::NotACurrency),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = AmountError;

    fn try_from(code: String) -> Result<Self, AmountError> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money.
///
/// Units: minor units of the currency (yen for `JPY`, cents for `USD`). Range: 0 to [`MINOR_MAX`].
/// There is no `+`: sums are checked and refuse to mix currencies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawAmount", into = "RawAmount")]
pub struct Amount {
    minor: u64,
    currency: Currency,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAmount {
    minor: u64,
    currency: Currency,
}

impl Amount {
    /// Makes an amount.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] above [`MINOR_MAX`]; ask for a smaller amount.
    pub fn new(minor: u64, currency: Currency) -> Result<Self, AmountError> {
        if minor > MINOR_MAX {
            Err(AmountError::TooLarge)
        } else {
            Ok(Self { minor, currency })
        }
    }

    /// No money in this currency.
    pub fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// The number of minor units.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// True for no money.
    pub fn is_zero(&self) -> bool {
        self.minor == 0
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    /// [`AmountError::CurrencyMismatch`] for two currencies, [`AmountError::TooLarge`] above [`MINOR_MAX`].
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(AmountError::TooLarge)?;
        Self::new(minor, self.currency)
    }

    /// What is left of this amount after `other` is taken away.
    ///
    /// # Errors
    /// [`AmountError::CurrencyMismatch`] for two currencies, [`AmountError::BelowZero`] when `other` is larger.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        self.same_currency(other)?;
        let minor = self
            .minor
            .checked_sub(other.minor)
            .ok_or(AmountError::BelowZero)?;
        Self::new(minor, self.currency)
    }

    fn same_currency(self, other: Self) -> Result<(), AmountError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(AmountError::CurrencyMismatch)
        }
    }
}

impl TryFrom<RawAmount> for Amount {
    type Error = AmountError;

    fn try_from(raw: RawAmount) -> Result<Self, AmountError> {
        Self::new(raw.minor, raw.currency)
    }
}

impl From<Amount> for RawAmount {
    fn from(amount: Amount) -> Self {
        Self {
            minor: amount.minor,
            currency: amount.currency,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.minor, self.currency)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an amount or a currency was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The code is not three capital letters.
    #[error("a currency is three capital letters of ISO 4217, such as JPY")]
    NotACurrency,
    /// Two currencies met in one sum.
    #[error("amounts of two currencies cannot be added or compared")]
    CurrencyMismatch,
    /// More than [`MINOR_MAX`] minor units.
    #[error("the amount is larger than {MINOR_MAX} minor units")]
    TooLarge,
    /// The result would be negative.
    #[error("the amount would fall below zero")]
    BelowZero,
}

impl AmountError {
    /// False: the same call gives the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotACurrency | Self::CurrencyMismatch | Self::TooLarge | Self::BelowZero => false,
        }
    }
}
