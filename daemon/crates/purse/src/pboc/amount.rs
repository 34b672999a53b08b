//! Money as the card counts it.

use purser_ledger::{Amount, Currency};

/// An amount or a balance on a card.
///
/// Units: minor units of the card's currency, which the card does not tell (money rule P7). Range: 0 to 2^32 − 1;
/// big-endian in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurseAmount(u32);

/// The amount is larger than a card can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is larger than a purse can hold ({} minor units)", u32::MAX)]
pub struct AmountTooLarge;

impl AmountTooLarge {
    /// False: the same amount stays too large.
    pub fn is_transient(self) -> bool {
        false
    }
}

impl PurseAmount {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// One minor unit.
    pub const SMALLEST: Self = Self(1);

    /// From minor units.
    pub const fn new(minor: u32) -> Self {
        Self(minor)
    }

    /// The number of minor units.
    pub const fn minor(self) -> u32 {
        self.0
    }

    /// The same money with the currency that the provider's table gives this card's issuer.
    pub fn in_currency(self, currency: Currency) -> Amount {
        Amount::new(u64::from(self.0), currency)
            .expect("every 32-bit number is below the ledger's largest amount")
    }

    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }
}

impl TryFrom<Amount> for PurseAmount {
    type Error = AmountTooLarge;

    fn try_from(amount: Amount) -> Result<Self, AmountTooLarge> {
        u32::try_from(amount.minor())
            .map(Self)
            .map_err(|_| AmountTooLarge)
    }
}
