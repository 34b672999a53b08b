//! Between the words of the API, as JSON has them, and D-Bus values.
//!
//! An object is an `a{sv}`, an absent value an absent key, an amount `(ts)`, a number `t`; times are `x`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use zbus::Variant;

use crate::fault::invalid_argument;
use crate::model::Fault;

/// An `a{sv}`.
pub(super) type Dict = BTreeMap<String, Variant<'static>>;

/// A reply as an `a{sv}`.
pub(super) fn dict(reply: impl Serialize) -> Dict {
    match serde_json::to_value(reply) {
        Ok(Value::Object(object)) => of_object(object),
        // Every reply is an object; the tests call each method.
        Ok(_) | Err(_) => Dict::new(),
    }
}

fn of_object(object: Map<String, Value>) -> Dict {
    object
        .into_iter()
        .filter_map(|(key, value)| variant(&key, value).map(|value| (key, value)))
        .collect()
}

fn variant(key: &str, value: Value) -> Option<Variant<'static>> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(yes) => Variant::from(yes),
        Value::String(text) => Variant::from(text),
        Value::Number(number) => match number.as_u64() {
            Some(natural) if !key.ends_with("_seconds") => Variant::from(natural),
            _ => Variant::from(number.as_i64()?),
        },
        Value::Array(items) => array(items),
        Value::Object(object) => match amount(&object) {
            Some(amount) => Variant::from(amount),
            None => Variant::from(of_object(object)),
        },
    })
}

fn amount(object: &Map<String, Value>) -> Option<(u64, String)> {
    let minor = object.get("minor")?.as_u64()?;
    let currency = object.get("currency")?.as_str()?;
    Some((minor, currency.to_owned()))
}

/// A list of texts is an `as`, any other an `aa{sv}`.
fn array(items: Vec<Value>) -> Variant<'static> {
    if items.first().is_some_and(Value::is_string) {
        let texts = items.iter().filter_map(Value::as_str).map(str::to_owned);
        return Variant::from(texts.collect::<Vec<_>>());
    }
    Variant::from(dicts(items))
}

fn dicts(items: Vec<Value>) -> Vec<Dict> {
    let object = |item| match item {
        Value::Object(object) => Some(of_object(object)),
        _ => None,
    };
    items.into_iter().filter_map(object).collect()
}

/// A list of replies as an `aa{sv}`.
pub(super) fn list(replies: impl IntoIterator<Item = impl Serialize>) -> Vec<Dict> {
    replies.into_iter().map(dict).collect()
}

/// D-Bus has no absent values: an empty text stands for none.
pub(super) fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Zero stands for the default.
pub(super) fn page(limit: u32) -> Option<u64> {
    (limit > 0).then_some(u64::from(limit))
}

/// Adds a caller's options to the arguments of a method.
pub(super) fn add_options(
    arguments: &mut Map<String, Value>,
    options: impl IntoIterator<Item = (String, impl Into<Variant<'static>>)>,
) -> Result<(), Fault> {
    for (key, value) in options {
        let value = match value.into() {
            Variant::Bool(yes) => Value::from(yes),
            Variant::Str(text) => Value::from(text.as_str()),
            _ => {
                return Err(invalid_argument(
                    &key,
                    "no option has a value of this type",
                    "compare the call with the introspection document",
                ));
            }
        };
        if arguments.contains_key(&key) {
            return Err(invalid_argument(
                &key,
                "this is no option",
                "give it as an argument",
            ));
        }
        arguments.insert(key, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Amount, Balance, Time, TotalsReply};

    fn signature(of: &Variant<'_>) -> String {
        of.value_signature().to_string()
    }

    #[test]
    fn numbers_are_unsigned_and_times_are_signed() {
        let time = dict(Time {
            unix_seconds: 1,
            utc_offset_seconds: -3600,
            trusted: true,
        });
        assert_eq!(signature(&time["unix_seconds"]), "x");
        assert_eq!(signature(&time["utc_offset_seconds"]), "x");
        assert_eq!(signature(&time["trusted"]), "b");
    }

    #[test]
    fn an_amount_is_a_structure_and_a_list_keeps_its_type_when_empty() {
        let amount = Amount {
            minor: 1,
            currency: "JPY".to_owned(),
        };
        let balance = Balance {
            account: "sales".to_owned(),
            side: "credit".to_owned(),
            amount,
        };
        let mut totals = TotalsReply {
            balances: vec![balance.clone()],
            counts: crate::model::Counts::default(),
            balanced: true,
            limits: Vec::new(),
        };
        assert_eq!(signature(&dict(&totals)["balances"]), "aa{sv}");
        assert_eq!(signature(&dict(&totals)["counts"]), "a{sv}");
        totals.balances.clear();
        assert_eq!(signature(&dict(&totals)["balances"]), "aa{sv}");
        assert_eq!(signature(&dict(balance)["amount"]), "(ts)");
    }

    #[test]
    fn options_are_texts_and_flags_and_no_second_arguments() {
        let mut arguments = Map::new();
        arguments.insert("reference".to_owned(), Value::from("order-1"));
        let one = |key: &str, value: Variant<'static>| Dict::from([(key.to_owned(), value)]);
        assert!(add_options(&mut arguments, one("reader", Variant::from("front"))).is_ok());
        assert!(add_options(&mut arguments, one("pin_through_api", Variant::from(true))).is_ok());
        assert!(add_options(&mut arguments, one("reference", Variant::from("other"))).is_err());
        assert!(add_options(&mut arguments, one("weight", Variant::from(1.5))).is_err());
        assert_eq!(arguments["reference"], "order-1");
        assert_eq!(arguments["reader"], "front");
    }
}
