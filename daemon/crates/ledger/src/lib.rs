//! Money, accounts, entries and the one function that records them before anything may act.

mod amount;

pub use amount::{Amount, AmountError, Currency, MINOR_MAX};
