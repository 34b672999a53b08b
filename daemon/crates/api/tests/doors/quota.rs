//! What one user may use, and how it is told that it is too much.

use std::path::Path;

use futures_util::StreamExt;
use purser_api::dbus::OBJECT;
use purser_api::model::{ErrorName, INTERFACE};
use purser_api::varlink::CONNECTIONS_PER_USER_MAX;
use serde_json::{Value, json};
use zbus::{MatchRule, MessageStream};

use crate::bus::{Dict, PrivateBus, call, client};
use crate::raw::{Raw, split};
use crate::shop::{Shop, access};
use crate::user::{as_user, can_become_others};

/// The user called nobody, whom a bus lets in too.
const STRANGER: u32 = 65_534;

fn is(refused: &(String, Value), name: ErrorName) -> bool {
    let told = |key: &str| refused.1[key].as_str().is_some_and(|text| !text.is_empty());
    refused.0 == name.as_str() && told("cause") && told("remedy") && refused.1["transient"] == true
}

/// Calls until it is refused; how many calls were answered before.
async fn call_until_refused(path: &Path) -> (usize, (String, Value)) {
    let mut raw = Raw::connect(path).await;
    for answered in 0..100_000 {
        if let Err(refused) = raw.call("GetInfo", json!({})).await {
            return (answered, refused);
        }
    }
    panic!("no call is refused");
}

#[tokio::test]
async fn who_calls_in_a_loop_is_told_to_call_less_and_nobody_else_is() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access()).await;
    let path = shop.socket.clone();
    let (answered, refused) = as_user(
        STRANGER,
        &[],
        move || async move { call_until_refused(&path).await },
    )
    .await;
    assert!(is(&refused, ErrorName::QuotaCalls), "{refused:?}");
    assert!(answered >= 400, "a till that starts is not refused: {answered}");
    let path = shop.socket.clone();
    let again = as_user(STRANGER, &[], move || async move {
        // A new connection is no new quota: what the last tenths of a second brought is soon used.
        call_until_refused(&path).await.0
    })
    .await;
    assert!(again < answered, "{again} after {answered}");
    let mut other = Raw::connect(&shop.socket).await;
    assert!(other.call("GetInfo", json!({})).await.is_ok());
    // Once it heeds the refusal, the user is served again.
    let path = shop.socket.clone();
    let served = as_user(STRANGER, &[], move || async move {
        let mut raw = Raw::connect(&path).await;
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            if raw.call("GetInfo", json!({})).await.is_ok() {
                return true;
            }
        }
    });
    let limit = std::time::Duration::from_secs(30);
    assert!(tokio::time::timeout(limit, served).await.unwrap());
}

/// Calls until it is refused.
async fn refusal(raw: &mut Raw, method: &str, parameters: &Value) -> (String, Value) {
    for _ in 0..100_000 {
        if let Err(refused) = raw.call(method, parameters.clone()).await {
            return refused;
        }
    }
    panic!("no call is refused");
}

#[tokio::test]
async fn who_replays_the_journal_and_calls_in_a_loop_can_still_settle_its_sales() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access()).await;
    for n in 0..100 {
        let path = shop.socket.clone();
        let reference = format!("order-{n}");
        let begun = as_user(STRANGER, &[], {
            let reference = reference.clone();
            move || async move {
                let amount = json!({ "minor": 300, "currency": "JPY" });
                let sale = json!({ "reference": reference, "amount": amount });
                Raw::connect(&path).await.call("BeginSale", sale).await
            }
        })
        .await;
        begun.unwrap();
        shop.tear(&reference);
    }
    let path = shop.socket.clone();
    let settled = as_user(STRANGER, &[], move || async move {
        let mut raw = Raw::connect(&path).await;
        let refused = refusal(&mut raw, "Events", &json!({ "after": 0, "limit": 200 })).await;
        assert!(is(&refused, ErrorName::QuotaCalls), "{refused:?}");
        assert!(
            refused.1["cause"].as_str().unwrap().contains("reads"),
            "{refused:?}"
        );
        let refused = refusal(&mut raw, "GetInfo", &json!({})).await;
        assert!(is(&refused, ErrorName::QuotaCalls), "{refused:?}");
        // On a connection of its own, as a simple till does it.
        for n in 0..30 {
            let mut raw = Raw::connect(&path).await;
            let reference = format!("order-{n}");
            let order = json!({ "reference": reference });
            raw.call("Attach", order.clone()).await.unwrap();
            raw.call("Cancel", order).await.unwrap();
            let conclusion = json!({ "reference": reference, "conclusion": "goods_given" });
            raw.call("Conclude", conclusion).await.unwrap();
        }
        true
    });
    assert!(settled.await);
}

#[tokio::test]
async fn one_user_cannot_take_every_connection_and_is_told_so() {
    let shop = Shop::open(access()).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_PER_USER_MAX {
        let mut raw = Raw::connect(&shop.socket).await;
        raw.call("Head", json!({})).await.unwrap();
        open.push(raw);
    }
    let mut more = Raw::connect(&shop.socket).await;
    let told = more.try_call("Head").await.expect("it is told why");
    let refused = split(told).unwrap_err();
    assert!(is(&refused, ErrorName::QuotaConnections), "{refused:?}");
    drop(open);
    // The door learns of the hang-ups when it looks; until then a new client may be turned away once more.
    loop {
        let answer = Raw::connect(&shop.socket).await.try_call("Head").await;
        if answer.is_some_and(|answer| split(answer).is_ok()) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_user_cannot_take_every_watcher_and_is_told_so() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let mut watching = Vec::new();
    let refused = loop {
        assert!(watching.len() < 100, "no watcher is refused");
        let bus = client(&private.address).await;
        match call::<_, ()>(&bus, "Watch", &("",)).await {
            Ok(()) => watching.push(bus),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.0, ErrorName::QuotaWatchers.as_str());
    assert!(!watching.is_empty());
    watching.clear();
    let bus = client(&private.address).await;
    while call::<_, ()>(&bus, "Watch", &("",)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_calls_in_a_loop_over_dbus_is_told_to_call_less() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let address = private.address.clone();
    let refused = as_user(STRANGER, &[], move || async move {
        let bus = client(&address).await;
        for _ in 0..100_000 {
            if let Err(refused) = call::<_, Dict>(&bus, "GetInfo", &()).await {
                return refused;
            }
        }
        panic!("no call is refused");
    })
    .await;
    assert_eq!(refused.0, ErrorName::QuotaCalls.as_str());
    assert!(
        refused.1.contains("a second") && refused.1.contains("Watch"),
        "{refused:?}"
    );
    let bus = client(&private.address).await;
    assert!(call::<_, Dict>(&bus, "GetInfo", &()).await.is_ok());
}

#[tokio::test]
async fn who_asks_for_more_of_the_status_is_told_when_it_changes() {
    let shop = Shop::open(access()).await;
    let mut raw = Raw::connect(&shop.socket).await;
    raw.send(&json!({ "method": "org.purser.Purser1.Status", "more": true }))
        .await;
    let mut next = async || split(raw.receive().await.unwrap()).unwrap();
    assert_eq!(next().await["ready"], true);
    shop.set_ready(false);
    assert_eq!(next().await["ready"], false);
    shop.set_ready(true);
    assert_eq!(next().await["ready"], true);
}

#[tokio::test]
async fn who_watches_over_dbus_is_told_when_the_status_changes() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let rule = MatchRule::builder()
        .path(OBJECT)
        .interface(INTERFACE)
        .member("StatusChanged")
        .build()
        .unwrap();
    let mut signals = MessageStream::for_match_rule(rule, &bus, None).await.unwrap();
    call::<_, ()>(&bus, "Watch", &("",)).await.unwrap();
    // The daemon may look only now for the first time: what it sees then is no change.
    let told = async {
        let mut is_ready = false;
        loop {
            shop.set_ready(is_ready);
            is_ready = !is_ready;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let signal = tokio::select! {
        signal = signals.next() => signal.unwrap().unwrap(),
        () = told => unreachable!("it goes on for ever"),
    };
    let status: Dict = signal.body().deserialize().unwrap();
    assert!(status.contains_key("ready") && status.contains_key("problems"));
}
