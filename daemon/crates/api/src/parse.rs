//! From the words of the API to the engine's: every argument is looked at before anything is asked.

use std::fmt::Display;

use purser_ledger::{
    Amount, AmountError, Conclusion, Currency, DeviceName, MINOR_MAX, NAME_BYTES_MAX, OperationId, Reference,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fault::invalid_argument;
use crate::model::{self, Fault, PAGE_MAX};

/// The longest quotation of a caller's own words in an error.
const CAUSE_CHARS_MAX: usize = 200;

/// Reads a method's arguments. What cannot be read is named, by its path.
pub(crate) fn arguments<T: DeserializeOwned>(given: Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(given).map_err(|error| {
        let path = error.path().to_string();
        // The root has no name of its own.
        let argument = if path == "." { "parameters" } else { &path };
        let words = plain(&error.inner().to_string());
        let cause: String = words.chars().take(CAUSE_CHARS_MAX).collect();
        invalid_argument(argument, cause, "compare the call with the interface description")
    })
}

/// The reader's words without those that only a Rust programmer knows.
fn plain(words: &str) -> String {
    words
        .replace("expected u64", "expected a whole number from 0 on")
        .replace("expected a boolean", "expected true or false")
        .replace("missing field", "missing parameter")
        .replace("unknown field", "unknown parameter")
}

/// A reference.
pub(crate) fn reference(text: &str) -> Result<Reference, Fault> {
    Reference::new(text).map_err(|error| not_a_name("reference", error))
}

/// A reference where one is given.
pub(crate) fn optional_reference(text: Option<&str>) -> Result<Option<Reference>, Fault> {
    text.map(reference).transpose()
}

/// A reader's name where one is given.
pub(crate) fn optional_reader(text: Option<&str>) -> Result<Option<DeviceName>, Fault> {
    text.map(|name| DeviceName::new(name).map_err(|error| not_a_name("reader", error)))
        .transpose()
}

/// An amount.
pub(crate) fn amount(amount: &model::Amount) -> Result<Amount, Fault> {
    let currency: Currency = amount.currency.parse().map_err(|error| {
        invalid_argument(
            "amount.currency",
            sentence(error),
            "use a currency that GetInfo lists",
        )
    })?;
    Amount::new(amount.minor, currency).map_err(|error| {
        invalid_argument(
            "amount.minor",
            sentence(error),
            format!("use at most {MINOR_MAX} minor units"),
        )
    })
}

/// A conclusion.
pub(crate) fn conclusion(text: &str) -> Result<Conclusion, Fault> {
    match text {
        "goods_given" => Ok(Conclusion::GoodsGiven),
        "abandoned" => Ok(Conclusion::Abandoned),
        _ => Err(invalid_argument(
            "conclusion",
            "this is no conclusion",
            "use goods_given or abandoned",
        )),
    }
}

/// A page's size; [`PAGE_MAX`] if none is given.
pub(crate) fn limit(limit: Option<u64>) -> Result<u64, Fault> {
    match limit {
        Some(0) => Err(invalid_argument(
            "limit",
            "a page of nothing was asked for",
            format!("ask for 1 to {PAGE_MAX}"),
        )),
        Some(limit) => Ok(limit.min(PAGE_MAX)),
        None => Ok(PAGE_MAX),
    }
}

/// A currency where one is given.
pub(crate) fn optional_currency(text: Option<&str>) -> Result<Option<Currency>, Fault> {
    let currency = |text: &str| {
        text.parse().map_err(|error: AmountError| {
            invalid_argument("currency", sentence(error), "use a currency that GetInfo lists")
        })
    };
    text.map(currency).transpose()
}

/// A batch's number.
pub(crate) fn batch(text: &str) -> Result<OperationId, Fault> {
    number(text).map_err(|_| {
        invalid_argument(
            "id",
            "a batch's number is 32 hexadecimal digits",
            "use one that Batches lists",
        )
    })
}

/// A load's number.
pub(crate) fn load(text: &str) -> Result<OperationId, Fault> {
    number(text).map_err(|_| {
        invalid_argument(
            "load",
            "a load's number is 32 hexadecimal digits",
            "use the one under which the provider knows it",
        )
    })
}

fn number(text: &str) -> Result<OperationId, hex::FromHexError> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes)?;
    Ok(OperationId::new(bytes))
}

fn not_a_name(argument: &str, error: impl Display) -> Fault {
    invalid_argument(
        argument,
        sentence(error),
        format!("use 1 to {NAME_BYTES_MAX} visible ASCII characters without spaces"),
    )
}

fn sentence(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorName;

    fn wire(minor: u64, currency: &str) -> model::Amount {
        model::Amount {
            minor,
            currency: currency.to_owned(),
        }
    }

    #[test]
    fn a_reference_of_64_bytes_is_taken_and_one_of_65_is_refused_by_name() {
        assert!(reference(&"x".repeat(64)).is_ok());
        for bad in ["x".repeat(65), String::new(), "a b".to_owned(), "ä".to_owned()] {
            let fault = reference(&bad).unwrap_err();
            assert!(fault.is(ErrorName::InvalidArgument));
            assert_eq!(fault.argument.as_deref(), Some("reference"));
        }
    }

    #[test]
    fn a_bad_currency_and_a_huge_amount_are_told_apart() {
        assert!(amount(&wire(MINOR_MAX, "JPY")).is_ok());
        let of = |amount_: model::Amount| amount(&amount_).unwrap_err().argument;
        assert_eq!(of(wire(1, "jpy")).as_deref(), Some("amount.currency"));
        assert_eq!(of(wire(1, "YENS")).as_deref(), Some("amount.currency"));
        assert_eq!(of(wire(MINOR_MAX + 1, "JPY")).as_deref(), Some("amount.minor"));
        assert_eq!(of(wire(u64::MAX, "JPY")).as_deref(), Some("amount.minor"));
    }

    #[test]
    fn a_page_is_never_empty_and_never_larger_than_the_limit() {
        assert!(limit(Some(0)).is_err());
        assert_eq!(limit(Some(1)), Ok(1));
        assert_eq!(limit(Some(u64::MAX)), Ok(PAGE_MAX));
        assert_eq!(limit(None), Ok(PAGE_MAX));
    }

    #[test]
    fn only_the_two_conclusions_are_known() {
        assert_eq!(conclusion("goods_given"), Ok(Conclusion::GoodsGiven));
        assert_eq!(conclusion("abandoned"), Ok(Conclusion::Abandoned));
        assert!(conclusion("Abandoned").is_err());
    }
}
