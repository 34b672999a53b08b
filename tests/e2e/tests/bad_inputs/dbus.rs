//! The same over D-Bus, with a client that this project did not write.

use e2e::peer::{Peer, script_path};
use e2e::{Fault, ensure};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::table::{Group, says};

/// The user and group called nobody and nogroup on Debian: may sell, and owns no sale here.
const NOBODY: &str = "65534";
const OURS: &str = "org.purser.Purser1.Error.";

/// A row: its name, the method, its types and arguments, the error's name, and what it says.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Value,
    &'static str,
    &'static [&'static str],
);

const SALE: &str = "s(ts)a{sv}";

fn amounts() -> Vec<Row> {
    let b = "BeginSale";
    vec![
        (
            "amount 0",
            b,
            SALE,
            json!(["new", [0, "JPY"], {}]),
            "AmountZero",
            &["the amount is zero", "at least one minor unit"],
        ),
        (
            "amount beyond every purse",
            b,
            SALE,
            json!(["new", [9_007_199_254_740_991_u64, "JPY"], {}]),
            "AmountTooLarge",
            &["larger than a card's purse"],
        ),
        (
            "amount beyond every number",
            b,
            SALE,
            json!(["new", [u64::MAX, "JPY"], {}]),
            "InvalidArgument",
            &["amount.minor"],
        ),
        (
            "amount with a point",
            b,
            "s(ds)a{sv}",
            json!(["new", [3.5, "JPY"], {}]),
            "",
            &["ignature"],
        ),
        (
            "amount with a sign",
            b,
            "s(xs)a{sv}",
            json!(["new", [-1, "JPY"], {}]),
            "",
            &["ignature"],
        ),
    ]
}

fn names() -> Vec<Row> {
    let b = "BeginSale";
    let name: &[&str] = &["reference", "use 1 to 64 visible ASCII characters"];
    vec![
        (
            "currency in lower case",
            b,
            SALE,
            json!(["new", [1, "jpy"], {}]),
            "InvalidArgument",
            &["amount.currency", "three capital letters"],
        ),
        (
            "currency that no card has",
            b,
            SALE,
            json!(["new", [1, "USD"], {}]),
            "CurrencyNotAccepted",
            &["no configured card issuer"],
        ),
        (
            "reference empty",
            b,
            SALE,
            json!(["", [1, "JPY"], {}]),
            "InvalidArgument",
            name,
        ),
        (
            "reference of 65 bytes",
            b,
            SALE,
            json!(["x".repeat(65), [1, "JPY"], {}]),
            "InvalidArgument",
            name,
        ),
        (
            "reference with control characters",
            b,
            SALE,
            json!(["a\u{7}b", [1, "JPY"], {}]),
            "InvalidArgument",
            name,
        ),
        (
            "reference of another amount",
            b,
            SALE,
            json!(["order-1", [301, "JPY"], {}]),
            "ReferenceWithOtherAmount",
            &["another amount"],
        ),
    ]
}

fn others() -> Vec<Row> {
    let b = "BeginSale";
    vec![
        (
            "unknown option",
            b,
            SALE,
            json!(["new", [1, "JPY"], { "discount": ["b", true] }]),
            "InvalidArgument",
            &["discount"],
        ),
        (
            "option of another type",
            b,
            SALE,
            json!(["new", [1, "JPY"], { "pin_through_api": ["u", 1] }]),
            "InvalidArgument",
            &["pin_through_api", "no option has a value of this type"],
        ),
        ("argument missing", b, "s", json!(["new"]), "", &["ignature"]),
        (
            "unknown method",
            "Refund",
            "s",
            json!(["order-1"]),
            "",
            &["Refund"],
        ),
        (
            "unknown operation",
            "Attach",
            "s",
            json!(["never"]),
            "UnknownReference",
            &["no sale has this reference"],
        ),
        (
            "conclusion that is none",
            "Conclude",
            "ss",
            json!(["order-1", "refund"]),
            "InvalidArgument",
            &["goods_given or abandoned"],
        ),
        (
            "resume number in the future",
            "Events",
            "tus",
            json!([1_000_000, 0, ""]),
            "InvalidArgument",
            &["was never told by this journal"],
        ),
    ]
}

fn of_stranger() -> Vec<Row> {
    vec![
        (
            "foreign owner: attach",
            "Attach",
            "s",
            json!(["order-1"]),
            "NotOwner",
            &["belongs to another user", "as the user who began it"],
        ),
        (
            "foreign owner: cancel",
            "Cancel",
            "s",
            json!(["order-1"]),
            "NotOwner",
            &["belongs to another user"],
        ),
        (
            "foreign owner: repeat",
            "BeginSale",
            SALE,
            json!(["order-1", [300, "JPY"], {}]),
            "ReferenceOfOtherOwner",
            &["another user's sale", "choose another reference"],
        ),
    ]
}

pub(crate) fn rows(shop: &Shop) -> Result<Group, Fault> {
    let mut group = Group::default();
    let head = shop.head()?;
    let ours = |calls: &str| {
        let arguments = [shop.bus.address.as_str(), calls];
        Peer::start("dbus_calls.py", &arguments, None)
    };
    let theirs = |calls: &str| {
        let script = script_path("dbus_calls.py");
        let script = script.to_string_lossy();
        let arguments = [NOBODY, NOBODY, &*script, shop.bus.address.as_str(), calls];
        Peer::start("as_user.py", &arguments, None)
    };
    let calls = [amounts(), names(), others()].concat();
    add(&mut group, calls, ours)?;
    add(&mut group, of_stranger(), theirs)?;
    ensure(shop.head()? == head, || "a refused call left an entry".to_owned())?;
    Ok(group)
}

/// Lets one peer make all calls, and looks at what each was told.
fn add(group: &mut Group, rows: Vec<Row>, start: impl Fn(&str) -> Result<Peer, Fault>) -> Result<(), Fault> {
    let calls: Vec<Value> = rows.iter().map(|row| json!([row.1, row.2, row.3])).collect();
    let end = start(&Value::from(calls).to_string())?.finish()?.expect_code(0)?;
    ensure(end.told.len() == rows.len(), || format!("{end:?}"))?;
    for ((name, _, _, _, error, words), told) in rows.iter().zip(&end.told) {
        group.row(format!("D-Bus: {name}"), is(told, error, words));
    }
    Ok(())
}

/// An error of ours, or of the bus's library where the message itself is wrong.
fn is(told: &Value, error: &str, words: &[&str]) -> Result<String, Fault> {
    let name = told["refused"]
        .as_str()
        .ok_or_else(|| format!("it was taken: {told}"))?;
    let is_expected = if error.is_empty() {
        name.starts_with("org.freedesktop.DBus.Error.")
    } else {
        name.strip_prefix(OURS) == Some(error)
    };
    ensure(is_expected, || format!("{error:?} was expected: {told}"))?;
    let said = told["words"].to_string();
    says(&said, words)?;
    Ok(format!("{}: {said}", name.rsplit('.').next().unwrap_or_default()))
}
