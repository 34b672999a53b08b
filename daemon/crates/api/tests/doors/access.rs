//! Who may do what, method by method, as real users: a method without a row fails.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use purser_api::Access;
use purser_api::model::VARLINK_CONTRACT;
use purser_api::varlink::{CONNECTIONS_MAX, CONNECTIONS_PER_USER_MAX};
use serde_json::{Value, json};

use crate::bus::{Dict, PrivateBus, call, client};
use crate::raw::{Raw, sale, split};
use crate::shop::{DAEMON_UID, OPERATORS, SELLERS, Shop};
use crate::user::{as_user, can_become_others};

// Users that every system has: dbus-daemon turns away those that it cannot look up.
const OWNER: u32 = 1;
const STRANGER: u32 = 2;
const OPERATOR: u32 = 3;
const ROOT: u32 = 0;

/// A user id and supplementary group ids.
type User<'a> = (u32, &'a [u32]);

/// A method, its arguments, and what owner, stranger and operators are answered.
const MATRIX: &[(&str, &str, [&str; 3])] = &[
    ("GetInfo", "{}", ["ok", "ok", "ok"]),
    ("Status", "{}", ["ok", "ok", "ok"]),
    ("Devices", "{}", ["ok", "ok", "ok"]),
    ("Provider", "{}", ["ok", "ok", "ok"]),
    ("Drivers", "{}", ["NotAllowed", "NotAllowed", "ok"]),
    (
        "ReloadDriver",
        DRIVER,
        ["NotAllowed", "NotAllowed", "DriverInUse"],
    ),
    (
        "RecordDriver",
        r#"{ "driver": "counter", "file": 0 }"#,
        ["NotAllowed", "NotAllowed", "InvalidArgument"],
    ),
    (
        "StopRecording",
        DRIVER,
        ["NotAllowed", "NotAllowed", "NotRecording"],
    ),
    ("Head", "{}", ["ok", "ok", "ok"]),
    ("Totals", "{}", ["NotAllowed", "NotAllowed", "ok"]),
    ("Settle", "{}", ["NotAllowed", "NotAllowed", "ok"]),
    ("Batches", "{}", ["NotAllowed", "NotAllowed", "ok"]),
    ("VoidBatch", BATCH, ["NotAllowed", "NotAllowed", "ok"]),
    ("BatchItems", BATCH, ["NotAllowed", "NotAllowed", "ok"]),
    ("PresentAgain", BATCH, ["NotAllowed", "NotAllowed", "ok"]),
    ("ReadPurse", "{}", ["ok", "ok", "ok"]),
    (
        "BeginSale",
        BEGIN,
        ["ok", "ReferenceOfOtherOwner", "ReferenceOfOtherOwner"],
    ),
    (
        "BeginLoad",
        LOAD,
        ["ok", "ReferenceOfOtherOwner", "ReferenceOfOtherOwner"],
    ),
    ("AttachLoad", ORDER_LOAD, ["ok", "NotOwner", "ok"]),
    (
        "AttachLoad",
        ORDER,
        ["ReferenceOfOtherKind", "NotOwner", "ReferenceOfOtherKind"],
    ),
    (
        "CancelLoad",
        ORDER,
        ["ReferenceOfOtherKind", "NotOwner", "ReferenceOfOtherKind"],
    ),
    ("Attach", ORDER, ["ok", "NotOwner", "ok"]),
    ("Where", ORDER, ["ok", "NotOwner", "ok"]),
    ("Cancel", ORDER, ["ok", "NotOwner", "ok"]),
    ("Conclude", CONCLUDE, ["NeverInDoubt", "NotOwner", "NeverInDoubt"]),
    ("Watch", ORDER, ["ok", "NotOwner", "ok"]),
    ("Events", r#"{ "after": 0 }"#, ["ok 2", "ok 0", "ok 2"]),
    ("Journal", "{}", ["ok 2", "ok 0", "ok 2"]),
    // Without a descriptor: only the owner's arguments are looked at.
    (
        "ProvidePin",
        r#"{ "reference": "order-1", "pin": 0 }"#,
        ["InvalidArgument", "NotOwner", "NotOwner"],
    ),
];
const BATCH: &str = r#"{ "id": "07070707070707070707070707070707" }"#;
const LOAD: &str = r#"{ "reference": "load-1", "load": "07070707070707070707070707070707", "amount": { "minor": 300, "currency": "JPY" } }"#;
const ORDER_LOAD: &str = r#"{ "reference": "load-1" }"#;
const DRIVER: &str = r#"{ "driver": "counter" }"#;
const ORDER: &str = r#"{ "reference": "order-1" }"#;
const BEGIN: &str = r#"{ "reference": "order-1", "amount": { "minor": 300, "currency": "JPY" } }"#;
const CONCLUDE: &str = r#"{ "reference": "order-1", "conclusion": "abandoned" }"#;

fn access(pos_gid: Option<u32>) -> Access {
    Access::new(DAEMON_UID, Some(OPERATORS), pos_gid)
}

/// Calls as this user and says in a word how it went; lists with their length.
async fn outcome(socket: &Path, (uid, gids): User<'_>, method: &str, arguments: &str) -> String {
    let (socket, method) = (PathBuf::from(socket), method.to_owned());
    let arguments: Value = serde_json::from_str(arguments).expect("the matrix holds JSON");
    as_user(uid, gids, move || async move {
        let mut raw = Raw::connect(&socket).await;
        let more = method == "Watch";
        let method = format!("org.purser.Purser1.{method}");
        raw.send(&json!({ "method": method, "parameters": arguments, "more": more }))
            .await;
        match split(raw.receive().await.expect("a call is answered")) {
            Ok(reply) => match reply["events"].as_array().or(reply["entries"].as_array()) {
                Some(list) if reply["sale"].is_null() => format!("ok {}", list.len()),
                _ => "ok".to_owned(),
            },
            Err((error, told)) => {
                let for_operators = [
                    "Driver",
                    "Recording",
                    "Settle",
                    "VoidBatch",
                    "BatchItems",
                    "PresentAgain",
                ];
                let group = if for_operators.iter().any(|word| method.contains(word)) {
                    "purser-operator"
                } else {
                    "purser-pos"
                };
                assert!(error != "NotAllowed" || told["group"] == group, "{told}");
                error
            }
        }
    })
    .await
}

#[test]
fn every_method_has_a_row() {
    let rows: BTreeSet<_> = MATRIX.iter().map(|row| row.0).collect();
    let methods = VARLINK_CONTRACT
        .lines()
        .filter_map(|line| line.strip_prefix("method "));
    let methods: BTreeSet<_> = methods.filter_map(|line| line.split('(').next()).collect();
    assert_eq!(rows, methods);
}

#[tokio::test]
async fn owner_stranger_and_operators_may_what_the_matrix_says() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access(None)).await;
    assert_eq!(
        outcome(&shop.socket, (OWNER, &[]), "BeginSale", BEGIN).await,
        "ok"
    );
    shop.pay("order-1");
    let peers: [(&str, User, usize); 5] = [
        ("owner", (OWNER, &[]), 0),
        ("stranger", (STRANGER, &[SELLERS]), 1),
        ("operator", (OPERATOR, &[OPERATORS]), 2),
        ("the daemon's user", (DAEMON_UID, &[]), 2),
        ("root", (ROOT, &[]), 2),
    ];
    for (method, arguments, expected) in MATRIX {
        for (who, user, column) in peers {
            let found = outcome(&shop.socket, user, method, arguments).await;
            assert_eq!(found, expected[column], "{method} by {who}");
        }
    }
}

#[tokio::test]
async fn where_the_group_exists_only_its_members_and_operators_sell() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access(Some(SELLERS))).await;
    for (number, (uid, gids, expected)) in [
        (STRANGER, &[][..], "NotAllowed"),
        (STRANGER, &[SELLERS][..], "ok"),
        (OPERATOR, &[OPERATORS][..], "ok"),
        (DAEMON_UID, &[][..], "ok"),
    ]
    .into_iter()
    .enumerate()
    {
        let ask = sale(&format!("order-{number}"), 300).to_string();
        assert_eq!(
            outcome(&shop.socket, (uid, gids), "BeginSale", &ask).await,
            expected
        );
        assert_eq!(
            outcome(&shop.socket, (uid, gids), "ReadPurse", "{}").await,
            expected
        );
        assert_eq!(outcome(&shop.socket, (uid, gids), "Totals", "{}").await, expected);
    }
}

#[tokio::test]
async fn the_bus_tells_the_same_users_apart() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access(Some(SELLERS))).await;
    let private = PrivateBus::start(&shop);
    private.serve(&shop).await;
    let begin = |uid, gids: &'static [u32]| {
        let address = private.address.clone();
        as_user(uid, gids, move || async move {
            let bus = client(&address).await;
            let ask = ("order-1", (300_u64, "JPY"), Dict::new());
            call::<_, (String, Dict)>(&bus, "BeginSale", &ask)
                .await
                .map(|begun| begun.0)
        })
    };
    let (error, told) = begin(STRANGER, &[]).await.unwrap_err();
    assert_eq!(error, "NotAllowed");
    assert!(told.contains("purser-pos"), "{told}");
    assert_eq!(begin(OWNER, &[SELLERS]).await.unwrap(), "new");
    let attach = |uid, gids: &'static [u32]| {
        let address = private.address.clone();
        as_user(uid, gids, move || async move {
            let bus = client(&address).await;
            let watched = call::<_, ()>(&bus, "Watch", &("order-1",)).await;
            let attached = call::<_, Dict>(&bus, "Attach", &("order-1",)).await;
            assert_eq!(watched.is_ok(), attached.is_ok());
            attached.map(drop).map_err(|error| error.0)
        })
    };
    assert_eq!(attach(STRANGER, &[SELLERS]).await, Err("NotOwner".to_owned()));
    assert_eq!(attach(OWNER, &[]).await, Ok(()));
    assert_eq!(attach(OPERATOR, &[OPERATORS]).await, Ok(()));
}

#[tokio::test]
async fn a_stranger_hears_nothing_of_the_sales_of_others() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access(None)).await;
    let socket = shop.socket.clone();
    let heard = tokio::spawn(async move {
        as_user(STRANGER, &[], move || async move {
            let mut raw = Raw::connect(&socket).await;
            raw.call("BeginSale", sale("mine", 1)).await.unwrap();
            let watch =
                json!({ "method": "org.purser.Purser1.Watch", "parameters": { "after": 0 }, "more": true });
            raw.send(&watch).await;
            raw.receive().await.expect("its own sale is told")["parameters"]["event"]["sale"]["reference"]
                .clone()
        })
        .await
    });
    while !shop.lock().is_under_way("mine") {
        tokio::task::yield_now().await;
    }
    outcome(&shop.socket, (OWNER, &[]), "BeginSale", BEGIN).await;
    shop.pay("order-1");
    shop.pay("mine");
    assert_eq!(heard.await.unwrap(), json!("mine"));
}

#[tokio::test]
async fn users_who_take_every_connection_do_not_shut_operators_out() {
    if !can_become_others() {
        return;
    }
    let shop = Shop::open(access(None)).await;
    let users = CONNECTIONS_MAX.div_ceil(CONNECTIONS_PER_USER_MAX);
    let mut taken = Vec::new();
    for uid in (1_000..).take(users) {
        let socket = shop.socket.clone();
        let streams = as_user(uid, &[], move || async move {
            let connect = |_| UnixStream::connect(&socket).expect("the door is there");
            (0..CONNECTIONS_PER_USER_MAX).map(connect).collect::<Vec<_>>()
        });
        taken.extend(streams.await);
    }
    // The door admits in the order in which clients came.
    let late = shop.socket.clone();
    let turned_away = as_user(OWNER, &[], move || async move {
        Raw::connect(&late).await.receive().await
    });
    let refused = split(turned_away.await.expect("it is told why")).unwrap_err();
    assert_eq!(refused.0, "QuotaConnections");
    for user in [
        (OPERATOR, &[OPERATORS][..]),
        (DAEMON_UID, &[][..]),
        (ROOT, &[][..]),
    ] {
        assert_eq!(outcome(&shop.socket, user, "Head", "{}").await, "ok", "{user:?}");
    }
    drop(taken);
}
