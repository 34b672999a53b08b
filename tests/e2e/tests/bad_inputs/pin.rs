//! PINs that do not come: no try of the card is used, and the sale waits on.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use e2e::{Fault, ensure};
use purser_api::model::{Amount, BeginSaleArguments};
use purser_lab::stack::StackError;
use serde_json::json;

use crate::purserd::call;
use crate::shop::Shop;
use crate::table::{Group, says};

const REFERENCE: &str = "with-pin";

/// Makes a descriptor that gives no PIN.
type Make = fn() -> Result<OwnedFd, Fault>;

const ROWS: [(&str, Make, &[&str]); 6] = [
    (
        "PIN descriptor closed at once",
        || with(b""),
        &["PIN", "no try was used"],
    ),
    (
        "PIN descriptor that cannot be read",
        write_only,
        &["the descriptor cannot be", "send its read end"],
    ),
    (
        "PIN descriptor of a folder",
        || Ok(File::open("/")?.into()),
        &["the descriptor cannot be read", "send its read end"],
    ),
    (
        "PIN too long",
        || with(b"1234567890123"),
        &["PIN", "no try was used"],
    ),
    ("PIN too short", || with(b"123"), &["PIN", "no try was used"]),
    ("PIN of letters", || with(b"12a456"), &["PIN", "no try was used"]),
];

pub(crate) fn rows(shop: &Shop) -> Result<Group, Fault> {
    let mut group = Group::default();
    let head = shop.head()?;
    let mut till = shop.till()?;
    group.row("PIN for a sale that waits for none", {
        let given = with(b"123456")?;
        let refused = till.call(async |purser| purser.provide_pin("order-1", given, false).await);
        is(
            refused,
            "NoPinExpected",
            &["does not wait for a PIN", "waiting_for_pin"],
        )
    });
    let asked = BeginSaleArguments {
        reference: REFERENCE.to_owned(),
        amount: Amount {
            minor: 300,
            currency: "JPY".to_owned(),
        },
        reader: None,
        pin_through_api: Some(true),
    };
    till.call(async |purser| purser.begin_sale(&asked).await)?;
    shop.card.insert();
    till.watch(REFERENCE)?
        .until("a wait for the PIN", |sale| sale.state == "waiting_for_pin")?;
    group.row("PIN descriptor missing", {
        let parameters = json!({ "reference": REFERENCE, "pin": 0 });
        let answer = call(&shop.socket(), "ProvidePin", parameters)?;
        let said = answer.to_string();
        says(
            &said,
            &[
                "InvalidArgument",
                "no file descriptor with this index",
                "send the read end of a pipe",
            ],
        )
        .map(|()| said)
    });
    for (name, make, words) in ROWS {
        let given = make()?;
        let refused = till.call(async |purser| purser.provide_pin(REFERENCE, given, false).await);
        group.row(name, is(refused, "PinNotReadable", words));
    }
    let waits = till.attach(REFERENCE)?;
    ensure(waits.state == "waiting_for_pin", || format!("{waits:?}"))?;
    let cancelled = till.call(async |purser| purser.cancel(REFERENCE).await)?.sale;
    ensure(cancelled.outcome == "not_paid", || format!("{cancelled:?}"))?;
    shop.card.remove();
    let tries = shop.card.status().pin_tries_left;
    ensure(tries == 3, || format!("{tries} tries are left of 3"))?;
    ensure(shop.head()? != head, || {
        "the cancelled sale has an entry".to_owned()
    })?;
    Ok(group)
}

fn with(digits: &[u8]) -> Result<OwnedFd, Fault> {
    let (read, mut write) = std::io::pipe()?;
    write.write_all(digits)?;
    Ok(read.into())
}

fn write_only() -> Result<OwnedFd, Fault> {
    Ok(File::options().write(true).open("/dev/null")?.into())
}

fn is<T: std::fmt::Debug>(
    answer: Result<T, StackError>,
    name: &str,
    words: &[&str],
) -> Result<String, Fault> {
    let error = match answer {
        Ok(answer) => return Err(format!("it was taken: {answer:?}").into()),
        Err(error) => error,
    };
    ensure(error.refusal() == Some(name), || {
        format!("{name} was expected: {error:?}")
    })?;
    let said = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    says(&said, words)?;
    Ok(format!("{name}: {said}"))
}
