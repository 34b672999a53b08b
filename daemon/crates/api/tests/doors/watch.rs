//! Streams of events: complete, in order, resumable, and nobody's delay is another's.

use purser_api::client::{Client, ClientError, Events};
use purser_api::model::{
    Amount, BeginLoadArguments, BeginSaleArguments, Event, EventsArguments, Sale, WatchArguments,
};
use purser_api::{Caller, EVENT_QUEUE, WATCHERS_MAX};
use purser_engine::Progress;
use purser_ledger::Owner;
use serde_json::json;

use crate::raw::{Raw, split};
use crate::shop::{Shop, access};

fn ask(reference: &str) -> BeginSaleArguments {
    BeginSaleArguments {
        reference: reference.to_owned(),
        amount: Amount {
            minor: 300,
            currency: "JPY".to_owned(),
        },
        reader: None,
        pin_through_api: None,
    }
}

/// The sale that an event is about.
fn sale(event: &Event) -> &Sale {
    event.sale.as_ref().unwrap()
}

async fn begin(shop: &Shop, reference: &str) {
    let mut client = Client::connect(&shop.socket).await.unwrap();
    client.begin_sale(&ask(reference)).await.unwrap();
}

async fn watch(shop: &Shop, reference: Option<&str>, after: Option<u64>) -> Events {
    let arguments = WatchArguments {
        reference: reference.map(str::to_owned),
        after,
    };
    let client = Client::connect(&shop.socket).await.unwrap();
    client.watch(&arguments).await.unwrap()
}

async fn entries(events: &mut Events, count: usize) -> Vec<Event> {
    let mut found = Vec::new();
    while found.len() < count {
        let event = events.next().await.unwrap();
        if event.number.is_some() {
            found.push(event);
        }
    }
    found
}

#[tokio::test]
async fn a_sale_is_followed_from_its_present_state_to_its_end() {
    let shop = Shop::open(access()).await;
    begin(&shop, "order-1").await;
    let mut events = watch(&shop, Some("order-1"), None).await;
    let present = events.next().await.unwrap();
    assert_eq!(
        (present.number, sale(&present).state.as_str()),
        (None, "waiting_for_card")
    );
    shop.progress("order-1", Progress::ReadingCard);
    assert_eq!(sale(&events.next().await.unwrap()).state, "reading_card");
    begin(&shop, "order-2").await;
    shop.pay("order-2");
    shop.pay("order-1");
    let intended = events.next().await.unwrap();
    assert_eq!(
        (intended.kind.as_str(), sale(&intended).state.as_str()),
        ("sale_intended", "debiting")
    );
    assert_eq!(sale(&intended).outcome, "under_way");
    let paid = events.next().await.unwrap();
    assert_eq!((paid.number, sale(&paid).outcome.as_str()), (Some(4), "paid"));
    let mut again = watch(&shop, Some("order-1"), None).await;
    assert_eq!(again.next().await.unwrap(), paid);
}

#[tokio::test]
async fn resumed_events_equal_live_events() {
    let shop = Shop::open(access()).await;
    let mut live = watch(&shop, None, Some(0)).await;
    for number in 0..150 {
        let reference = format!("order-{number}");
        begin(&shop, &reference).await;
        if number % 2 == 0 {
            shop.pay(&reference);
        } else {
            shop.tear(&reference);
        }
    }
    let live = entries(&mut live, 300).await;
    let numbers: Vec<_> = live.iter().filter_map(|event| event.number).collect();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
    let mut resumed = watch(&shop, None, Some(0)).await;
    assert_eq!(entries(&mut resumed, 300).await, live);
    let mut from_the_middle = watch(&shop, None, Some(120)).await;
    assert_eq!(entries(&mut from_the_middle, 180).await, live[120..]);
    let ask = EventsArguments {
        after: 0,
        limit: Some(u64::MAX),
        reference: None,
    };
    let mut client = Client::connect(&shop.socket).await.unwrap();
    let page = client.events(&ask).await.unwrap();
    assert!(page.more);
    assert_eq!(page.events, live[..200]);
}

#[tokio::test]
async fn what_happens_while_the_journal_is_read_is_told_once_and_in_order() {
    let shop = Shop::open(access()).await;
    begin(&shop, "order-1").await;
    shop.pay("order-1");
    let mut events = watch(&shop, None, Some(0)).await;
    let first = events.next().await.unwrap();
    begin(&shop, "order-2").await;
    shop.pay("order-2");
    let rest = entries(&mut events, 3).await;
    let numbers: Vec<_> = std::iter::once(&first)
        .chain(&rest)
        .filter_map(|event| event.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_cut_off_while_others_go_on() {
    let shop = Shop::open(access()).await;
    let mut slow = Raw::connect(&shop.socket).await;
    slow.send(&json!({ "method": "org.purser.Purser1.Watch", "parameters": { "after": 0 }, "more": true }))
        .await;
    let mut quick = watch(&shop, None, Some(0)).await;
    begin(&shop, "first").await;
    // The socket's buffers take some thousand events; the queue behind them takes the rest.
    let ourselves = Caller {
        uid: rustix::process::geteuid().as_raw(),
        gids: Vec::new(),
    };
    let mut told = 0;
    let mut number = 0;
    while told < 20 * EVENT_QUEUE {
        number += 1;
        let reference = format!("order-{number}");
        // Past the door, which does not take thousands of calls a second.
        shop.service
            .begin_sale(&ourselves, &ask(&reference))
            .await
            .unwrap();
        shop.pay(&reference);
        told += entries(&mut quick, 2).await.len();
    }
    let mut last = 0;
    let fault = loop {
        match split(slow.receive().await.expect("the door tells why it ends")) {
            Ok(event) => {
                let number = event["event"]["number"].as_u64().unwrap_or(last);
                assert!(
                    number == last + 1 || number == last,
                    "an event is missing after {last}"
                );
                last = number;
            }
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.0, "Lagged");
    assert_eq!(fault.1["after"].as_u64(), Some(last));
    assert!(
        slow.call("Head", json!({})).await.is_ok(),
        "the connection is still good"
    );
    let mut resumed = watch(&shop, None, Some(last)).await;
    assert_eq!(entries(&mut resumed, 1).await[0].number, Some(last + 1));
}

#[tokio::test]
async fn watchers_that_hang_up_leave_their_place() {
    let shop = Shop::open(access()).await;
    for _ in 0..2 * WATCHERS_MAX {
        let mut events = watch(&shop, None, Some(0)).await;
        begin(&shop, "order-1").await;
        if shop.lock().is_under_way("order-1") {
            shop.pay("order-1");
        }
        entries(&mut events, 1).await;
    }
}

#[tokio::test]
async fn a_sale_that_is_not_known_is_not_watched() {
    let shop = Shop::open(access()).await;
    let mut events = watch(&shop, Some("order-9"), None).await;
    let ClientError::Refused(fault) = events.next().await.unwrap_err() else {
        panic!("it is refused");
    };
    assert_eq!(&*fault.name, "UnknownReference");
}

#[tokio::test]
async fn loads_and_batches_are_told_to_those_who_see_them() {
    let shop = Shop::open(access()).await;
    let mut client = Client::connect(&shop.socket).await.unwrap();
    let load = BeginLoadArguments {
        reference: "load-1".to_owned(),
        load: "0b".repeat(16),
        amount: ask("").amount,
        reader: None,
    };
    client.begin_load(&load).await.unwrap();
    let mut of_load = watch(&shop, Some("load-1"), None).await;
    let present = of_load.next().await.unwrap();
    assert_eq!((present.number, present.kind.as_str()), (None, "progress"));
    assert_eq!(present.load.unwrap().state, "waiting_for_card");

    begin(&shop, "order-0").await;
    shop.pay("order-0");
    let mut all = watch(&shop, None, Some(0)).await;
    // From its first event on it is certain that it listens.
    entries(&mut all, 2).await;
    let owner = Owner(rustix::process::geteuid().as_raw());
    for (owner, sent) in [(Owner(owner.0 ^ 1), 1_000), (owner, 2_000)] {
        shop.batch_hint(owner, sent);
    }
    // Whoever runs the tests may be root, who sees all.
    let mut told = all.next().await.unwrap().batch.unwrap();
    if rustix::process::geteuid().is_root() {
        assert_eq!(told.sent, Some(1_000));
        told = all.next().await.unwrap().batch.unwrap();
    }
    assert_eq!((told.state.as_str(), told.sent), ("sending", Some(2_000)));
    begin(&shop, "order-1").await;
    shop.progress("order-1", Progress::ReadingCard);
    assert!(all.next().await.unwrap().sale.is_some());
    shop.load_hint("load-1");
    assert_eq!(
        of_load.next().await.unwrap().load.unwrap().state,
        "reading_card",
        "what is not about the load is not told to who watches it"
    );
}
