//! Every method over Varlink, and what happens to clients that do not behave.

use purser_api::client::{Client, ClientError};
use purser_api::model::{
    Amount, BeginSaleArguments, ConcludeArguments, ErrorName, EventsArguments, JournalArguments,
    ReadPurseArguments,
};
use serde_json::{Value, json};

use crate::raw::{Raw, sale};
use crate::shop::{Shop, access};

fn ask(reference: &str, minor: u64) -> BeginSaleArguments {
    BeginSaleArguments {
        reference: reference.to_owned(),
        amount: Amount {
            minor,
            currency: "JPY".to_owned(),
        },
        reader: None,
        pin_through_api: None,
    }
}

fn refused(error: ClientError) -> String {
    match error {
        ClientError::Refused(fault) => {
            assert!(!fault.cause.is_empty() && !fault.remedy.is_empty(), "{fault:?}");
            fault.name.into_string()
        }
        other => panic!("not refused: {other}"),
    }
}

#[tokio::test]
async fn a_sale_is_begun_repeated_paid_and_found_again() {
    let shop = Shop::open(access()).await;
    let mut client = Client::connect(&shop.socket).await.unwrap();
    let begun = client.begin_sale(&ask("order-1", 300)).await.unwrap();
    assert_eq!(begun.standing, "new");
    assert_eq!(
        (begun.sale.outcome.as_str(), begun.sale.state.as_str()),
        ("under_way", "waiting_for_card")
    );
    let again = client.begin_sale(&ask("order-1", 300)).await.unwrap();
    assert_eq!(again.standing, "in_progress");
    assert_eq!(again.sale, begun.sale);
    shop.pay("order-1");
    let found = client.begin_sale(&ask("order-1", 300)).await.unwrap();
    assert_eq!(found.standing, "completed");
    assert_eq!(found.sale.outcome, "paid");
    let slip = found.sale.slip.clone().expect("a paid sale has a slip");
    assert_eq!(slip.card, "…abcd");
    assert!(slip.head.starts_with("2:"), "{}", slip.head);
    assert_eq!(client.attach("order-1").await.unwrap().sale, found.sale);
    let other = client.begin_sale(&ask("order-1", 301)).await.unwrap_err();
    assert_eq!(refused(other), "ReferenceWithOtherAmount");
}

#[tokio::test]
async fn cancel_answers_with_the_end_and_a_payment_that_was_faster_wins() {
    let shop = Shop::open(access()).await;
    let mut client = Client::connect(&shop.socket).await.unwrap();
    client.begin_sale(&ask("order-1", 300)).await.unwrap();
    let ended = client.cancel("order-1").await.unwrap().sale;
    assert_eq!(
        (ended.outcome.as_str(), ended.state.as_str()),
        ("not_paid", "closed")
    );
    assert_eq!(ended.reason.as_deref(), Some("cancelled_by_pos"));
    client.begin_sale(&ask("order-2", 300)).await.unwrap();
    shop.pay("order-2");
    assert_eq!(client.cancel("order-2").await.unwrap().sale.outcome, "paid");
}

#[tokio::test]
async fn a_sale_in_doubt_says_so_and_can_be_concluded() {
    let shop = Shop::open(access()).await;
    let mut client = Client::connect(&shop.socket).await.unwrap();
    client.begin_sale(&ask("order-1", 300)).await.unwrap();
    let conclude = |conclusion: &str| ConcludeArguments {
        reference: "order-1".to_owned(),
        conclusion: conclusion.to_owned(),
    };
    assert_eq!(
        refused(client.conclude(&conclude("abandoned")).await.unwrap_err()),
        "NeverInDoubt"
    );
    shop.tear("order-1");
    let told = client.whereabouts("order-1").await.unwrap();
    assert_eq!(told.sale.outcome, "in_doubt");
    assert!(told.happened.starts_with("It is not known"), "{}", told.happened);
    assert_eq!(
        told.entries.iter().map(|it| it.kind.as_str()).collect::<Vec<_>>(),
        ["sale_intended", "sale_in_doubt"]
    );
    assert_eq!(
        refused(client.conclude(&conclude("lost")).await.unwrap_err()),
        "InvalidArgument"
    );
    let ended = client.conclude(&conclude("abandoned")).await.unwrap().sale;
    assert_eq!(ended.conclusion.as_deref(), Some("abandoned"));
}

#[tokio::test]
async fn what_is_asked_beside_sales_is_answered() {
    let shop = Shop::open(access()).await;
    let mut client = Client::connect(&shop.socket).await.unwrap();
    client.begin_sale(&ask("order-1", 300)).await.unwrap();
    shop.pay("order-1");
    let info = client.info().await.unwrap();
    assert_eq!(info.limits.reference_bytes_max, 64);
    assert_eq!(info.currencies, ["JPY"]);
    assert!(client.status().await.unwrap().ready);
    assert_eq!(client.devices().await.unwrap().devices[0].name, "front");
    assert!(client.head().await.unwrap().head.starts_with("2:"));
    let purse = client
        .read_purse(&ReadPurseArguments::default())
        .await
        .unwrap()
        .purse;
    assert_eq!(
        (purse.balance_minor, purse.valid_to.as_str()),
        (1234, "2039-12-31")
    );
    let nowhere = ReadPurseArguments {
        reader: Some("back".to_owned()),
    };
    assert_eq!(
        refused(client.read_purse(&nowhere).await.unwrap_err()),
        "UnknownReader"
    );
    let page = JournalArguments {
        limit: Some(1),
        ..JournalArguments::default()
    };
    let entries = client.journal(&page).await.unwrap();
    assert!(entries.more);
    assert_eq!(entries.entries[0].transfers[0].debit, "in_doubt");
    let rest = EventsArguments {
        after: 1,
        ..EventsArguments::default()
    };
    let events = client.events(&rest).await.unwrap();
    assert!(!events.more);
    assert_eq!(
        (events.events[0].number, events.events[0].kind.as_str()),
        (Some(2), "sale_paid")
    );
}

#[tokio::test]
async fn malformed_arguments_are_named_and_lose_nothing() {
    let shop = Shop::open(access()).await;
    let mut raw = Raw::connect(&shop.socket).await;
    let with = |key: &str, value: Value| {
        let mut good = sale("order-1", 300);
        good[key] = value;
        good
    };
    let huge: Value = serde_json::from_str("18446744073709551616").unwrap();
    let cases = [
        (with("reference", json!("x".repeat(65))), "reference"),
        (with("reference", json!(7)), "reference"),
        (
            with("amount", json!({ "minor": 1, "currency": "jpy" })),
            "amount.currency",
        ),
        (
            with("amount", json!({ "minor": -1, "currency": "JPY" })),
            "amount.minor",
        ),
        (
            with("amount", json!({ "minor": huge, "currency": "JPY" })),
            "amount.minor",
        ),
        (
            with("amount", json!({ "minor": 1_u64 << 53, "currency": "JPY" })),
            "amount.minor",
        ),
        (
            with("amount", json!({ "minor": 1.5, "currency": "JPY" })),
            "amount.minor",
        ),
        (with("reader", json!("a b")), "reader"),
        (with("pin_throug_api", json!(true)), "pin_throug_api"),
    ];
    for (arguments, argument) in cases {
        let (error, told) = raw.call("BeginSale", arguments).await.unwrap_err();
        assert_eq!(
            (error.as_str(), told["argument"].as_str()),
            ("InvalidArgument", Some(argument)),
            "{told}"
        );
    }
    let (error, told) = raw.call("BeginSale", json!({})).await.unwrap_err();
    assert_eq!(error, "InvalidArgument");
    assert!(told["cause"].as_str().unwrap().contains("reference"), "{told}");
    assert_eq!(
        raw.call("Head", json!({ "x": 1 })).await.unwrap_err().0,
        "InvalidArgument"
    );
    assert_eq!(raw.call("Sell", json!({})).await.unwrap_err().0, "MethodNotFound");
    assert_eq!(
        raw.call_full("a.b.C", json!({})).await.unwrap_err().0,
        "InterfaceNotFound"
    );
    assert_eq!(raw.call("Watch", json!({})).await.unwrap_err().0, "ExpectedMore");
    let longest = "x".repeat(64);
    let begun = raw.call("BeginSale", sale(&longest, 300)).await.unwrap();
    assert_eq!(begun["standing"], "new");
}

#[tokio::test]
async fn calls_without_parameters_and_calls_that_want_no_answer_work() {
    let shop = Shop::open(access()).await;
    let mut raw = Raw::connect(&shop.socket).await;
    let begin = json!({
        "method": "org.purser.Purser1.BeginSale", "parameters": sale("order-1", 300), "oneway": true,
    });
    raw.send(&begin).await;
    raw.send(&json!({ "method": "org.purser.Purser1.Head" })).await;
    let answer = raw.receive().await.unwrap();
    assert!(answer["parameters"]["head"].as_str().unwrap().starts_with("0:"));
    assert_eq!(
        raw.call("Attach", json!({ "reference": "order-1" }))
            .await
            .unwrap()["sale"]["outcome"],
        "under_way"
    );
}

#[tokio::test]
async fn a_message_that_is_too_long_or_no_json_ends_its_own_connection_only() {
    let shop = Shop::open(access()).await;
    let mut other = Raw::connect(&shop.socket).await;
    let mut endless = Raw::connect(&shop.socket).await;
    endless.send_bytes(&vec![b' '; 15 * 1024]).await;
    endless.send_bytes(&vec![b' '; 2 * 1024]).await;
    is_turned_away(&mut endless).await;
    let mut garbled = Raw::connect(&shop.socket).await;
    garbled.send_bytes(b"{\"method\":\0").await;
    is_turned_away(&mut garbled).await;
    assert!(other.call("Head", json!({})).await.is_ok());
}

/// The client is told what was wrong, and nothing more.
async fn is_turned_away(raw: &mut Raw) {
    let told = raw.receive().await.unwrap();
    assert_eq!(told["error"], "org.purser.Purser1.InvalidArgument");
    assert_eq!(told["parameters"]["argument"], "message");
    assert_eq!(raw.receive().await, None);
}

#[tokio::test]
async fn clients_that_wait_hold_up_nobody() {
    let shop = Shop::open(access()).await;
    shop.lock().held = Some(Vec::new());
    let mut waiting = Vec::new();
    for number in 0..9 {
        let mut raw = Raw::connect(&shop.socket).await;
        let arguments = json!({ "reference": format!("order-{number}") });
        raw.send(&json!({ "method": "org.purser.Purser1.Attach", "parameters": arguments }))
            .await;
        waiting.push(raw);
    }
    let mut other = Client::connect(&shop.socket).await.unwrap();
    assert!(other.head().await.is_ok());
    drop(waiting);
    shop.lock().held = None;
    assert_eq!(
        refused(other.attach("order-1").await.unwrap_err()),
        ErrorName::UnknownReference.as_str()
    );
}
