//! Calls over the socket.

use e2e::{Fault, ensure};
use serde_json::{Value, json};

use crate::purserd::exchange;
use crate::shop::Shop;
use crate::table::{Group, says};

/// More bytes than a message may have.
const OVERSIZED: usize = 2 << 20;

/// A row: its name, the method and its parameters, the error's name, and what its cause and remedy say.
type Row = (
    &'static str,
    &'static str,
    Value,
    &'static str,
    &'static [&'static str],
);

fn begin(reference: &str, amount: Value) -> Value {
    json!({ "reference": reference, "amount": amount })
}

fn yen(minor: impl Into<Value>) -> Value {
    json!({ "minor": minor.into(), "currency": "JPY" })
}

fn amounts() -> Vec<Row> {
    let b = "BeginSale";
    vec![
        (
            "amount 0",
            b,
            begin("new", yen(0)),
            "AmountZero",
            &["the amount is zero", "at least one minor unit"],
        ),
        (
            "amount -1",
            b,
            begin("new", yen(-1)),
            "InvalidArgument",
            &[
                "amount.minor",
                "-1",
                "a whole number from 0 on",
                "interface description",
            ],
        ),
        (
            "amount beyond every purse",
            b,
            begin("new", yen(9_007_199_254_740_991_u64)),
            "AmountTooLarge",
            &["larger than a card's purse", "minor units"],
        ),
        (
            "amount beyond every number",
            b,
            begin("new", yen(u64::MAX)),
            "InvalidArgument",
            &["amount.minor", "9007199254740991"],
        ),
        (
            "amount with a point",
            b,
            begin("new", yen(3.5)),
            "InvalidArgument",
            &["amount.minor", "floating point"],
        ),
        (
            "amount as a text",
            b,
            begin("new", yen("300")),
            "InvalidArgument",
            &["amount.minor", "string"],
        ),
        (
            "amount missing",
            b,
            json!({ "reference": "new" }),
            "InvalidArgument",
            &["missing parameter `amount`"],
        ),
    ]
}

fn currencies() -> Vec<Row> {
    let b = "BeginSale";
    vec![
        (
            "currency in lower case",
            b,
            begin("new", json!({ "minor": 1, "currency": "jpy" })),
            "InvalidArgument",
            &["amount.currency", "three capital letters", "GetInfo"],
        ),
        (
            "currency that no card has",
            b,
            begin("new", json!({ "minor": 1, "currency": "USD" })),
            "CurrencyNotAccepted",
            &["no configured card issuer", "GetInfo"],
        ),
        (
            "amount with an extra key",
            b,
            begin("new", json!({ "minor": 1, "currency": "JPY", "tip": 1 })),
            "InvalidArgument",
            &["unknown parameter `tip`"],
        ),
    ]
}

fn references() -> Vec<Row> {
    let b = "BeginSale";
    let name = &["reference", "use 1 to 64 visible ASCII characters"];
    vec![
        ("reference empty", b, begin("", yen(1)), "InvalidArgument", name),
        (
            "reference of 65 bytes",
            b,
            begin(&"x".repeat(65), yen(1)),
            "InvalidArgument",
            name,
        ),
        (
            "reference with control characters",
            b,
            begin("a\u{7}b\n", yen(1)),
            "InvalidArgument",
            name,
        ),
        (
            "reference in Japanese",
            b,
            begin("\u{6ce8}\u{6587}", yen(1)),
            "InvalidArgument",
            name,
        ),
        (
            "reference of another amount",
            b,
            begin("order-1", yen(301)),
            "ReferenceWithOtherAmount",
            &["another amount", "choose another reference"],
        ),
        (
            "reference missing",
            b,
            json!({ "amount": yen(1) }),
            "InvalidArgument",
            &["missing parameter `reference`"],
        ),
    ]
}

fn others() -> Vec<Row> {
    let b = "BeginSale";
    vec![
        (
            "unknown operation",
            "Attach",
            json!({ "reference": "never" }),
            "UnknownReference",
            &["no sale has this reference", "look at the reference"],
        ),
        (
            "cancel of an unknown operation",
            "Cancel",
            json!({ "reference": "never" }),
            "UnknownReference",
            &["no sale has this reference"],
        ),
        (
            "conclusion that is none",
            "Conclude",
            json!({ "reference": "order-1", "conclusion": "refund" }),
            "InvalidArgument",
            &["this is no conclusion", "goods_given or abandoned"],
        ),
        (
            "conclusion of a sale without a doubt",
            "Conclude",
            json!({ "reference": "order-1", "conclusion": "abandoned" }),
            "NeverInDoubt",
            &["only a sale that was in doubt", "Attach"],
        ),
        (
            "reader that is not there",
            b,
            json!({ "reference": "new", "amount": yen(1), "reader": "attic" }),
            "UnknownReader",
            &["no card reader has this name", "Devices"],
        ),
        (
            "extra parameter",
            b,
            json!({ "reference": "new", "amount": yen(1), "discount": 1 }),
            "InvalidArgument",
            &["unknown parameter `discount`"],
        ),
        (
            "parameter of a method without any",
            "Totals",
            json!({ "day": 1 }),
            "InvalidArgument",
            &["the method takes no arguments", "leave it out"],
        ),
        (
            "resume number in the future",
            "Events",
            json!({ "after": 1_000_000 }),
            "InvalidArgument",
            &["1000000 was never told by this journal", "begin again after 0"],
        ),
        (
            "page of nothing",
            "Events",
            json!({ "after": 0, "limit": 0 }),
            "InvalidArgument",
            &["a page of nothing", "ask for 1 to"],
        ),
    ]
}

/// Each on a connection of its own; none leaves an entry.
pub(crate) fn rows(shop: &Shop) -> Result<Group, Fault> {
    let mut group = Group::default();
    let head = shop.head()?;
    for row in amounts()
        .into_iter()
        .chain(currencies())
        .chain(references())
        .chain(others())
    {
        group.row(format!("varlink: {}", row.0), refused(shop, &row));
    }
    let future =
        json!({ "method": "org.purser.Purser1.Watch", "more": true, "parameters": { "after": 1_000_000 } });
    let socket = shop.socket();
    let raw = |bytes: &[u8]| exchange(&socket, bytes)?.ok_or_else(|| Fault::from("no answer"));
    group.row("varlink: watch from a number in the future", {
        let answer = raw(format!("{future}\0").as_bytes());
        answer.and_then(|answer| {
            is(
                &answer,
                "org.purser.Purser1.InvalidArgument",
                &["was never told by this journal"],
            )
        })
    });
    group.row("varlink: watch without more", {
        let answer = raw(b"{\"method\":\"org.purser.Purser1.Watch\"}\0");
        answer.and_then(|answer| is(&answer, "org.varlink.service.ExpectedMore", &[]))
    });
    group.row("varlink: unknown method", {
        let answer = raw(b"{\"method\":\"org.purser.Purser1.Refund\"}\0");
        answer.and_then(|answer| {
            is(
                &answer,
                "org.varlink.service.MethodNotFound",
                &["org.purser.Purser1.Refund"],
            )
        })
    });
    group.row("varlink: unknown interface", {
        let answer = raw(b"{\"method\":\"org.example.Bank.Pay\"}\0");
        answer.and_then(|answer| is(&answer, "org.varlink.service.", &["org.example.Bank"]))
    });
    let unreadable = &["the message", "send one JSON object"];
    for (name, bytes) in [
        ("malformed JSON", b"{\"method\": \0".to_vec()),
        ("JSON that is no call", b"[1,2,3]\0".to_vec()),
        ("not UTF-8", b"{\"method\":\"\xFF\xFE\"}\0".to_vec()),
        ("oversized message", vec![b' '; OVERSIZED]),
    ] {
        let answer = raw(&bytes);
        let given = answer.and_then(|answer| is(&answer, "org.purser.Purser1.InvalidArgument", unreadable));
        group.row(format!("varlink: {name}"), given);
    }
    ensure(shop.head()? == head, || "a refused call left an entry".to_owned())?;
    Ok(group)
}

fn refused(shop: &Shop, (_, method, parameters, error, words): &Row) -> Result<String, Fault> {
    let answer = crate::purserd::call(&shop.socket(), method, parameters.clone())?;
    let said = is(&answer, &format!("org.purser.Purser1.{error}"), words)?;
    for part in ["cause", "remedy"] {
        let words = answer["parameters"][part].as_str().unwrap_or_default();
        ensure(!words.is_empty(), || format!("no {part}: {answer}"))?;
    }
    ensure(answer["parameters"]["transient"] == false, || {
        format!("transient: {answer}")
    })?;
    Ok(said)
}

/// Fails unless the answer is this error with these words.
fn is(answer: &Value, error: &str, words: &[&str]) -> Result<String, Fault> {
    let name = answer["error"].as_str().unwrap_or_default();
    ensure(name.starts_with(error), || {
        format!("{error} was expected: {answer}")
    })?;
    let said = answer["parameters"].to_string();
    says(&said, words)?;
    Ok(format!("{}: {said}", name.rsplit('.').next().unwrap_or_default()))
}
