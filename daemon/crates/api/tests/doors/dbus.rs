//! Every method over D-Bus, on a bus with a real dbus-daemon.

use std::os::fd::OwnedFd;

use futures_util::StreamExt;
use purser_api::dbus::OBJECT;
use purser_api::model::{INTERFACE, WatchArguments};
use purser_api::{BusState, Caller};
use purser_engine::Progress;
use zbus::{Connection, Fd, MatchRule, MessageStream, OwnedVariant, Variant};

use crate::bus::{Dict, PrivateBus, call, client, text};
use crate::raw::Raw;
use crate::shop::{Shop, access};

type Reply<R> = Result<R, (String, String)>;

fn options() -> Dict {
    Dict::new()
}

async fn begin(bus: &Connection, reference: &str, minor: u64) -> Reply<(String, Dict)> {
    call(bus, "BeginSale", &(reference, (minor, "JPY"), options())).await
}

fn sub(dict: &Dict, key: &str) -> Dict {
    let value = dict[key].try_clone().expect("no descriptor in it");
    value.try_into().expect("it is a dictionary")
}

#[tokio::test]
async fn a_sale_is_begun_repeated_paid_and_found_again() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let (standing, sale) = begin(&bus, "order-1", 300).await.unwrap();
    assert_eq!(
        (standing.as_str(), text(&sale, "state").as_str()),
        ("new", "waiting_for_card")
    );
    let amount: (u64, String) = sale["amount"].try_clone().unwrap().try_into().unwrap();
    assert_eq!(amount, (300, "JPY".to_owned()));
    assert!(!sale.contains_key("slip"), "what is absent has no key");
    assert_eq!(begin(&bus, "order-1", 300).await.unwrap().0, "in_progress");
    shop.pay("order-1");
    let (standing, sale) = begin(&bus, "order-1", 300).await.unwrap();
    assert_eq!(
        (standing.as_str(), text(&sale, "outcome").as_str()),
        ("completed", "paid")
    );
    assert_eq!(text(&sub(&sale, "slip"), "card"), "…abcd");
    let (error, told) = begin(&bus, "order-1", 301).await.unwrap_err();
    assert_eq!(error, "ReferenceWithOtherAmount");
    assert!(
        told.contains("over another amount") && told.contains("choose another reference"),
        "{told}"
    );
}

#[tokio::test]
async fn batches_are_settled_listed_and_shown_item_by_item() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let batches: Vec<Dict> = call(&bus, "Settle", &("",)).await.unwrap();
    assert_eq!(text(&batches[0], "state"), "exchanged");
    let none: Vec<Dict> = call(&bus, "Settle", &("USD",)).await.unwrap();
    assert!(none.is_empty(), "nothing waits in that currency");
    let refused: Reply<Vec<Dict>> = call(&bus, "Settle", &("yen",)).await;
    assert_eq!(refused.unwrap_err().0, "InvalidArgument");
    let (batches, more): (Vec<Dict>, bool) = call(&bus, "Batches", &(0_u64, 0_u32)).await.unwrap();
    let held: (u64, String) = batches[0]["held"].try_clone().unwrap().try_into().unwrap();
    assert_eq!((held, more), ((200, "JPY".to_owned()), false));
    let (older, _): (Vec<Dict>, bool) = call(&bus, "Batches", &(7_u64, 0_u32)).await.unwrap();
    assert!(older.is_empty(), "nothing was sealed before it");
    let id = text(&batches[0], "id");
    let (items, _): (Vec<Dict>, bool) = call(&bus, "BatchItems", &(&id, 0_u64, 0_u32)).await.unwrap();
    assert_eq!(text(&items[0], "reason"), "hot_listed");
    let unknown = "00".repeat(16);
    let refused: Reply<(Vec<Dict>, bool)> = call(&bus, "BatchItems", &(&unknown, 0_u64, 0_u32)).await;
    assert_eq!(refused.unwrap_err().0, "UnknownBatch");
}

#[tokio::test]
async fn a_load_is_begun_looked_at_and_voided() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let number = "0a".repeat(16);
    let ask = |minor: u64| ("load-1", number.as_str(), (minor, "JPY"), "");
    let refused: Reply<(String, Dict)> = call(&bus, "BeginLoad", &ask(404)).await;
    let (error, told) = refused.unwrap_err();
    assert!(
        error == "ProviderFailed" && told.contains("UnknownLoad"),
        "{error}: {told}"
    );
    let begun: (String, Dict) = call(&bus, "BeginLoad", &ask(500)).await.unwrap();
    assert_eq!(
        (
            begun.0.as_str(),
            text(&begun.1, "load"),
            text(&begun.1, "state").as_str()
        ),
        ("new", number.clone(), "waiting_for_card")
    );
    let looked: Dict = call(&bus, "AttachLoad", &("load-1",)).await.unwrap();
    assert_eq!(text(&looked, "outcome"), "under_way");
    let sale: Reply<Dict> = call(&bus, "Cancel", &("load-1",)).await;
    assert_eq!(
        sale.unwrap_err().0,
        "ReferenceOfOtherKind",
        "no load is voided as a sale"
    );
    let voided: Dict = call(&bus, "CancelLoad", &("load-1",)).await.unwrap();
    assert_eq!(text(&voided, "outcome"), "voided");
    let bad: Reply<(String, Dict)> = call(&bus, "BeginLoad", &("load-2", "1", (1_u64, "JPY"), "")).await;
    assert_eq!(bad.unwrap_err().0, "InvalidArgument");
}

#[tokio::test]
async fn doubt_is_told_and_concluded_and_cancel_answers_with_the_end() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    begin(&bus, "order-1", 300).await.unwrap();
    let sale: Dict = call(&bus, "Cancel", &("order-1",)).await.unwrap();
    assert_eq!(text(&sale, "reason"), "cancelled_by_pos");
    begin(&bus, "order-2", 300).await.unwrap();
    shop.tear("order-2");
    let told: Dict = call(&bus, "Where", &("order-2",)).await.unwrap();
    assert!(text(&told, "happened").starts_with("It is not known"));
    let sale: Dict = call(&bus, "Conclude", &("order-2", "goods_given")).await.unwrap();
    assert_eq!(text(&sale, "conclusion"), "goods_given");
    let unknown: Reply<Dict> = call(&bus, "Attach", &("order-9",)).await;
    assert_eq!(unknown.unwrap_err().0, "UnknownReference");
}

#[tokio::test]
async fn what_is_asked_beside_sales_is_answered() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    begin(&bus, "order-1", 300).await.unwrap();
    shop.pay("order-1");
    let info: Dict = call(&bus, "GetInfo", &()).await.unwrap();
    let currencies: Vec<String> = info["currencies"].try_clone().unwrap().try_into().unwrap();
    assert_eq!(currencies, ["JPY"]);
    let status: Dict = call(&bus, "Status", &()).await.unwrap();
    assert_eq!(text(&status, "version"), "0.1.0");
    let devices: Vec<Dict> = call(&bus, "Devices", &()).await.unwrap();
    assert_eq!(text(&devices[0], "name"), "front");
    let purse: Dict = call(&bus, "ReadPurse", &("",)).await.unwrap();
    assert_eq!(text(&purse, "valid_from"), "2020-01-02");
    let totals: Dict = call(&bus, "Totals", &()).await.unwrap();
    assert_eq!(totals["balanced"], OwnedVariant::from(true));
    let head: String = call(&bus, "Head", &()).await.unwrap();
    assert!(head.starts_with("2:"));
    let (entries, more): (Vec<Dict>, bool) = call(&bus, "Journal", &(0_u64, 1_u32, "")).await.unwrap();
    assert_eq!(
        (text(&entries[0], "kind").as_str(), more),
        ("sale_intended", true)
    );
    let (events, more): (Vec<Dict>, bool) = call(&bus, "Events", &(1_u64, 0_u32, "order-1")).await.unwrap();
    assert_eq!((text(&events[0], "kind").as_str(), more), ("sale_paid", false));
}

#[tokio::test]
async fn malformed_arguments_are_named_and_lose_nothing() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let option = |key: &str, value: Variant<'static>| {
        let value = OwnedVariant::try_from(value).expect("no descriptor in it");
        Dict::from([(key.to_owned(), value)])
    };
    let cases = [
        ("x".repeat(65), 300, "JPY", options(), "reference"),
        ("order-1".to_owned(), 300, "yen", options(), "amount.currency"),
        ("order-1".to_owned(), u64::MAX, "JPY", options(), "amount.minor"),
        (
            "order-1".to_owned(),
            300,
            "JPY",
            option("reeder", Variant::from("front")),
            "reeder",
        ),
        (
            "order-1".to_owned(),
            300,
            "JPY",
            option("reader", Variant::from(true)),
            "reader",
        ),
        (
            "order-1".to_owned(),
            300,
            "JPY",
            option("amount", Variant::from("1")),
            "amount",
        ),
    ];
    for (reference, minor, currency, options, argument) in cases {
        let refused: Reply<(String, Dict)> =
            call(&bus, "BeginSale", &(reference, (minor, currency), options)).await;
        let (error, told) = refused.unwrap_err();
        assert_eq!(error, "InvalidArgument", "{told}");
        assert!(told.starts_with(argument), "{told}");
    }
    let wrong_types: Reply<Dict> = call(&bus, "Attach", &(7_u64,)).await;
    assert_eq!(wrong_types.unwrap_err().0, "fdo");
    assert_eq!(begin(&bus, &"x".repeat(64), 300).await.unwrap().0, "new");
}

#[tokio::test]
async fn a_pin_comes_as_a_descriptor() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let bus = client(&private.address).await;
    let wanted = Dict::from([("pin_through_api".to_owned(), OwnedVariant::from(true))]);
    let (_, sale): (String, Dict) = call(&bus, "BeginSale", &("order-1", (300_u64, "JPY"), wanted))
        .await
        .unwrap();
    assert_eq!(text(&sale, "state"), "waiting_for_pin");
    let pin = crate::pin::pipe_with(b"1234");
    let sale: Dict = call(&bus, "ProvidePin", &("order-1", Fd::from(pin), false))
        .await
        .unwrap();
    assert_eq!(text(&sale, "state"), "checking_pin");
    assert_eq!(shop.lock().pins.len(), 1);
    let no_pin: OwnedFd = crate::pin::pipe_with(b"12");
    let refused: Reply<Dict> = call(&bus, "ProvidePin", &("order-1", Fd::from(no_pin), false)).await;
    assert_eq!(refused.unwrap_err().0, "PinNotReadable");
}

async fn signals(bus: &Connection) -> MessageStream {
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .path(OBJECT)
        .interface(INTERFACE)
        .build()
        .expect("the rule is well made");
    MessageStream::for_match_rule(rule, bus, None)
        .await
        .expect("the bus takes a match")
}

async fn event(signals: &mut MessageStream) -> Dict {
    let message = signals
        .next()
        .await
        .expect("a signal comes")
        .expect("it is whole");
    assert_eq!(
        message.header().member().map(ToString::to_string).as_deref(),
        Some("SaleChanged")
    );
    message.body().deserialize().expect("an event is a dictionary")
}

#[tokio::test]
async fn signals_go_to_whoever_began_the_sale_or_watches_and_to_nobody_else() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let seller = client(&private.address).await;
    let watcher = client(&private.address).await;
    let stranger = client(&private.address).await;
    let (mut of_seller, mut of_watcher) = (signals(&seller).await, signals(&watcher).await);
    let mut of_stranger = signals(&stranger).await;
    begin(&seller, "order-1", 300).await.unwrap();
    let () = call(&watcher, "Watch", &("order-1",)).await.unwrap();
    let present = event(&mut of_watcher).await;
    assert_eq!(text(&sub(&present, "sale"), "state"), "waiting_for_card");
    shop.progress("order-1", Progress::ReadingCard);
    shop.pay("order-1");
    for signals in [&mut of_seller, &mut of_watcher] {
        let hint = event(signals).await;
        assert!(!hint.contains_key("number"), "a hint has no number");
        assert_eq!(text(&sub(&hint, "sale"), "state"), "reading_card");
        assert_eq!(text(&event(signals).await, "kind"), "sale_intended");
        let paid = event(signals).await;
        assert_eq!(paid["number"], OwnedVariant::from(2_u64));
    }
    let (events, _): (Vec<Dict>, bool) = call(&stranger, "Events", &(1_u64, 0_u32, "")).await.unwrap();
    assert_eq!(text(&sub(&events[0], "sale"), "outcome"), "paid");
    // The stranger's answer came after the signals: whatever was sent to it would be here.
    assert!(futures_util::poll!(of_stranger.next()).is_pending());
    let () = call(&watcher, "Unwatch", &()).await.unwrap();
    begin(&seller, "order-2", 300).await.unwrap();
    shop.pay("order-2");
    assert_eq!(text(&event(&mut of_seller).await, "kind"), "sale_intended");
    let _: Dict = call(&watcher, "GetInfo", &()).await.unwrap();
    assert!(futures_util::poll!(of_watcher.next()).is_pending());
}

#[tokio::test]
async fn a_sale_that_has_begun_is_told_so_though_its_user_has_too_many_watchers() {
    let shop = Shop::open(access()).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let ourselves = Caller {
        uid: rustix::process::geteuid().as_raw(),
        gids: Vec::new(),
    };
    let all = WatchArguments::default();
    let mut watches = Vec::new();
    while let Ok(watch) = shop.service.watch(&ourselves, &all).await {
        watches.push(watch);
    }
    let bus = client(&private.address).await;
    assert_eq!(begin(&bus, "order-1", 300).await.unwrap().0, "new");
    let refused: Reply<()> = call(&bus, "Watch", &("",)).await;
    assert_eq!(refused.unwrap_err().0, "QuotaWatchers");
    drop(watches);
    let mut signals = signals(&bus).await;
    assert_eq!(begin(&bus, "order-1", 300).await.unwrap().0, "in_progress");
    shop.pay("order-1");
    assert_eq!(text(&event(&mut signals).await, "kind"), "sale_intended");
}

#[tokio::test]
async fn a_lost_bus_is_noticed_and_varlink_goes_on() {
    let shop = Shop::open(access()).await;
    let mut private = PrivateBus::start(&shop);
    let mut state = private.serve(&shop).await;
    private.stop();
    state
        .wait_for(|state| *state == BusState::Lost)
        .await
        .expect("the door goes on");
    let mut raw = Raw::connect(&shop.socket).await;
    assert!(raw.try_call("Head").await.is_some());
    std::fs::remove_file(shop.path("bus")).expect("a killed bus leaves its socket");
    let again = PrivateBus::start(&shop);
    state
        .wait_for(|state| *state == BusState::Connected)
        .await
        .expect("the door goes on");
    let bus = client(&again.address).await;
    assert_eq!(begin(&bus, "order-1", 300).await.unwrap().0, "new");
}
