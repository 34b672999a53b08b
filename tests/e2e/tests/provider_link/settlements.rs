//! A batch from its seal to its permit, and what keeps it from getting there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use purser_provider_link::call_back::Limits;
use purser_provider_link::{Batch, Claim, Item, VoidReason};
use purserd::provider::{
    Identity, Link, PAGE_ITEMS_MAX, Settings, SettleAnswer, SignedVerdict, StartError, names,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::host::{CARD, Host, TILL, free_address, toml};
use crate::shop::{Customer, seal, yen};
use crate::till::{LIMITS, PAGE, Till, settle, settle_once, voided};

/// Sales that a shop accumulates, sealed.
pub(crate) fn sold(customer: &mut Customer, batch: u8, amounts: &[u32]) -> (Batch, Vec<Item>) {
    let first = u32::from(batch) * 100;
    let sale = |(sn, amount): (u32, &u32)| Item::Claim(customer.pay(*amount, 1, sn));
    let items: Vec<Item> = (first..).zip(amounts).map(sale).collect();
    (seal(batch, TILL, &items), items)
}

/// A provider that serves, and a till that is enrolled there.
pub(crate) async fn shop(listen: Option<SocketAddr>) -> (Host, Till) {
    let mut host = Host::new(listen);
    host.serve();
    let till = Till::enrolled(&host, host.address, listen).await;
    (host, till)
}

async fn batches_settle(listen: Option<SocketAddr>) {
    let (host, till) = shop(listen).await;
    let mut customer = Customer::new(CARD);
    let link = till.link().await;
    let (first, items) = sold(&mut customer, 1, &[100, 200, 300, 400, 500]);
    let (permit, seen, lost) = settle(&link, &first, &items).await;
    assert_eq!((permit.sum.total, lost), (yen(1_500), vec![]));
    assert_eq!(seen.places, [0, 2, 4], "{PAGE} items a page");
    // The answer was lost, say: the same permit again, and no page is sent twice.
    let (again, seen, _) = settle(&link, &first, &items).await;
    assert_eq!((again, seen.places), (permit, vec![]));
    // Two at once wait for each other.
    let (second, third) = (sold(&mut customer, 2, &[10]), sold(&mut customer, 3, &[1, 2, 3]));
    let both = tokio::join!(
        settle(&link, &second.0, &second.1),
        settle(&link, &third.0, &third.1)
    );
    assert_eq!((both.0.0.sum.total, both.1.0.sum.total), (yen(10), yen(6)));
    // One that nobody waits for any more holds up nobody.
    let (fourth, items) = sold(&mut customer, 4, &[7]);
    let given_up = tokio::time::timeout(Duration::from_millis(5), settle(&link, &fourth, &items));
    drop(given_up.await);
    assert_eq!(settle(&link, &fourth, &items).await.0.sum.total, yen(7));
    assert_eq!(host.permitted(), 1_523);
    host.audit();
}

#[tokio::test]
async fn batches_settle_down_a_standing_link() {
    batches_settle(None).await;
}

#[tokio::test]
async fn batches_settle_when_the_provider_calls_the_tills_address() {
    batches_settle(Some(free_address())).await;
}

/// A claim that no card of the provider made is held by its reason, and the rest is paid.
#[tokio::test]
async fn a_forged_claim_is_held_and_its_verdict_reaches_the_sink() {
    let (host, till) = shop(None).await;
    let mut customer = Customer::new(CARD);
    let good: Claim = customer.pay(300, 1, 1);
    let bad = crate::shop::forged(&customer.pay(500, 1, 2));
    let items = vec![Item::Claim(good), Item::Claim(bad)];
    let batch = seal(1, TILL, &items);
    let (permit, seen, _) = settle(&till.link().await, &batch, &items).await;
    assert_eq!(permit.sum.total, yen(300));
    let told = format!("{:?}", seen.verdicts[1].verdict.decision);
    assert_eq!(told, "Hold(Forged)");
    assert_eq!(host.permitted(), 300);
}

/// The provider dies while a page is made, and again while verdicts are told: each time it starts anew, and goes on.
#[tokio::test]
async fn a_provider_that_is_killed_and_starts_again_goes_on_where_it_was() {
    for listen in [None, Some(free_address())] {
        let (host, till) = shop(listen).await;
        let host = std::sync::Mutex::new(host);
        let mut customer = Customer::new(CARD);
        let (batch, items) = sold(&mut customer, 1, &[100, 200, 300, 400, 500]);
        let link = till.link().await;
        let restart = || {
            let mut host = host.lock().unwrap();
            host.kill();
            host.serve();
        };
        let page = |place: u32| {
            if place == 2 {
                restart();
            }
            let from = usize::try_from(place).unwrap();
            std::future::ready(Ok(items[from..].iter().take(PAGE).cloned().collect()))
        };
        let failed = link.settle(&batch, page, |_| std::future::ready(Ok(()))).await;
        assert!(failed.unwrap_err().is_transient);
        let pages = AtomicU32::new(0);
        let page = |place: u32| {
            assert!(place >= 2, "the first page is there");
            let from = usize::try_from(place).unwrap();
            std::future::ready(Ok(items[from..].iter().take(PAGE).cloned().collect()))
        };
        let sink = |_| {
            // Once: the permit is there, and the rest of the verdicts is not.
            if pages.fetch_add(1, Ordering::Relaxed) == 0 {
                restart();
            }
            std::future::ready(Ok(()))
        };
        let failed = loop {
            let answer = link.settle(&batch, page, sink).await;
            if pages.load(Ordering::Relaxed) > 0 {
                break answer;
            }
            assert!(answer.unwrap_err().is_transient);
        };
        assert!(failed.unwrap_err().is_transient);
        let (permit, seen, _) = settle(&link, &batch, &items).await;
        assert_eq!((permit.sum.total, seen.places), (yen(1_500), vec![]));
        let host = host.into_inner().unwrap();
        assert_eq!(host.permitted(), 1_500, "once");
        host.audit();
    }
}

#[tokio::test]
async fn a_suspended_till_waits_and_gets_its_void_and_so_does_a_revoked_one() {
    let (host, till) = shop(None).await;
    let mut customer = Customer::new(CARD);
    let (batch, items) = sold(&mut customer, 1, &[100, 200, 300]);
    let link = till.link().await;
    // The provider has a part of it.
    let failing = |place: u32| {
        let page = items[..PAGE].to_vec();
        let failure = purserd::provider::ProviderFailure {
            name: "Journal",
            is_transient: true,
            text: "the journal does not answer".to_owned(),
        };
        std::future::ready(if place == 0 { Ok(page) } else { Err(failure) })
    };
    let failed = link.settle(&batch, failing, |_| std::future::ready(Ok(()))).await;
    assert_eq!(failed.unwrap_err().name, "Journal", "handed through");
    host.done(&["terminal", "suspend", TILL]);
    let failure = settle_once(&link, &batch, &items).await.0.unwrap_err();
    assert_eq!(
        (failure.name, failure.is_transient),
        ("Suspended", false),
        "{failure}"
    );
    host.done(&["batch", "void", &batch.id.to_string()]);
    host.done(&["terminal", "resume", TILL]);
    // The standing link was refused meanwhile, and opens again by itself.
    let void = voided(&link, &batch, &items).await.reason;
    assert_eq!(void, VoidReason::TerminalSuspended);
    let anew = seal(2, TILL, &items);
    assert_eq!(settle(&link, &anew, &items).await.0.sum.total, yen(600));
    host.done(&["terminal", "revoke", TILL]);
    assert_eq!(
        settle(&link, &anew, &items).await.0.sum.total,
        yen(600),
        "the permit that there is"
    );
    let (batch, items) = sold(&mut customer, 3, &[100]);
    let void = voided(&link, &batch, &items).await.reason;
    assert_eq!(void, VoidReason::TerminalRevoked);
    assert_eq!(host.permitted(), 600);
}

/// The provider was down when it was announced, and the operator does not wait any longer.
#[tokio::test]
async fn a_batch_that_never_reached_the_provider_is_voided_later_and_its_claims_are_paid() {
    let (mut host, till) = shop(None).await;
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100, 200]);
    let link = till.link().await;
    host.kill();
    let failure = settle_once(&link, &batch, &items).await.0.unwrap_err();
    assert!(failure.is_transient, "{failure}");
    assert!(link.void(&batch).await.unwrap_err().is_transient);
    host.serve();
    let (void, _) = link.void(&batch).await.unwrap();
    assert_eq!(void.reason, VoidReason::AskedByTerminal);
    assert_eq!(link.void(&batch).await.unwrap().0, void, "a repeat is the same");
    assert_eq!(voided(&link, &batch, &items).await, void, "it is never taken");
    let anew = seal(2, TILL, &items);
    assert_eq!(settle(&link, &anew, &items).await.0.sum.total, yen(300));
    assert_eq!(host.permitted(), 300, "once");
    host.audit();
}

#[tokio::test]
async fn another_provider_at_the_same_address_gets_nothing() {
    let (mut host, till) = shop(None).await;
    let mut other = Host::new(None);
    host.kill();
    other.address = host.address;
    other.serve();
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100]);
    let link = till.link().await;
    let failure = settle_once(&link, &batch, &items).await.0.unwrap_err();
    assert_eq!(
        (failure.name, failure.is_transient),
        (names::NOT_THE_PROVIDER, false),
        "{failure}"
    );
    assert!(other.done(&["batch", "list"]).is_empty());
    other.kill();
    let failure = settle_once(&link, &batch, &items).await.0.unwrap_err();
    assert_eq!(
        (failure.name, failure.is_transient),
        (names::NOT_REACHED, true),
        "{failure}"
    );
    host.serve();
    assert_eq!(settle(&link, &batch, &items).await.0.sum.total, yen(100));
}

#[tokio::test]
async fn a_link_does_not_begin_when_configuration_and_enrolment_differ() {
    let (host, till) = shop(None).await;
    let right = till.settings();
    let begin = |settings: Settings| async {
        let identity = Identity::read(&till.state()).unwrap();
        Link::start(settings, identity).await.unwrap_err()
    };
    let named = Settings {
        name: purser_provider_link::ProviderName::new("other.example").unwrap(),
        ..right.clone()
    };
    assert!(matches!(begin(named).await, StartError::OtherProvider { .. }));
    let calling = Settings {
        mode: purser_provider_link::call_back::Mode::Answer,
        listen: Some(free_address()),
        ..right
    };
    assert!(matches!(begin(calling).await, StartError::OtherMode { .. }));
    drop(host);
}

/// The provider's authority certifies terminals too: one of them is not the provider.
#[tokio::test]
async fn a_terminal_that_calls_a_till_is_not_taken_for_the_provider() {
    let listen = free_address();
    let (host, till) = shop(Some(listen)).await;
    let added = host.done(&[
        "terminal",
        "add",
        "till-2",
        "--role",
        "merchant",
        "--merchant",
        "kiosk",
        "--psam-number",
        "000000000002",
        "--bank-terminal",
        "KIOSK002",
        "--standing-link",
    ]);
    let other = Till::new(&host.authority(), host.address, None);
    let text = std::fs::read_to_string(other.path("purser.toml")).unwrap();
    std::fs::write(
        other.path("purser.toml"),
        text.replace("000000000001", "000000000002"),
    )
    .unwrap();
    other
        .enrol(added[0]["enrolment_code"].as_str().unwrap())
        .await
        .unwrap();
    let link = till.link().await;
    let stored = std::fs::read(other.state().join("provider/identity.json")).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    let authority = bytes(&stored["enrolled"]["authority"]);
    roots.add(CertificateDer::from(authority)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from(bytes(&stored["enrolled"]["certificate"]))],
            PrivatePkcs8KeyDer::from(bytes(&stored["key"])).into(),
        )
        .unwrap();
    let said = tokio::task::spawn_blocking(move || {
        let name = ServerName::try_from("terminal.purser.internal").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let tcp = TcpStream::connect(listen).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        stream.flush().unwrap();
        let mut said = Vec::new();
        // How it is hung up on does not matter.
        let _ = stream.read_to_end(&mut said);
        said
    });
    assert_eq!(said.await.unwrap(), b"", "the till asks it nothing");
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100]);
    assert_eq!(settle(&link, &batch, &items).await.0.sum.total, yen(100));
}

#[tokio::test]
async fn a_till_that_cannot_be_called_is_told_so_in_time() {
    let (on_file, listen) = (free_address(), free_address());
    let mut host = Host::new(Some(on_file));
    host.serve();
    let till = Till::enrolled(&host, host.address, Some(listen)).await;
    let settings = Settings {
        limits: Limits {
            ticket_ms: 1_500,
            ..LIMITS
        },
        ..till.settings()
    };
    let link = Link::start(settings, Identity::read(&till.state()).unwrap())
        .await
        .unwrap();
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100]);
    let failure = settle_once(&link, &batch, &items).await.0.unwrap_err();
    assert_eq!((failure.name, failure.is_transient), (names::NO_CALL_BACK, true));
    // The operator mends the configuration.
    drop(link);
    till.configure(&toml(&host.authority(), host.address, Some(on_file)));
    assert_eq!(
        settle(&till.link().await, &batch, &items).await.0.sum.total,
        yen(100)
    );
}

/// A copy of a till's state folder on another machine.
#[tokio::test]
async fn a_second_machine_with_the_same_key_gets_no_standing_link_and_is_told_so() {
    let (host, till) = shop(None).await;
    let first = till.link().await;
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100]);
    assert_eq!(settle(&first, &batch, &items).await.0.sum.total, yen(100));
    let settings = Settings {
        limits: Limits {
            ticket_ms: 2_000,
            ..LIMITS
        },
        ..till.settings()
    };
    let copy = Link::start(settings, Identity::read(&till.state()).unwrap())
        .await
        .unwrap();
    let failure = settle_once(&copy, &batch, &items).await.0.unwrap_err();
    assert_eq!(
        (failure.name, failure.is_transient),
        ("SecondStandingLink", false),
        "{failure}"
    );
    let alarms = host.done(&["alarms"]);
    assert!(
        alarms
            .iter()
            .any(|it| it.to_string().contains("SecondStandingLink")),
        "{alarms:?}"
    );
    assert_eq!(
        settle(&first, &batch, &items).await.0.sum.total,
        yen(100),
        "the first goes on"
    );
}

/// More than one full page, with items and verdicts as long as they are.
const CLAIMS: u32 = 1_200;

#[tokio::test]
async fn full_pages_go_up_and_their_verdicts_come_back() {
    let (host, till) = shop(None).await;
    let mut customer = Customer::new(CARD);
    let items: Vec<Item> = (1..=CLAIMS)
        .map(|sn| Item::Claim(customer.pay(1, 1, sn)))
        .collect();
    let batch = seal(1, TILL, &items);
    let link = till.link().await;
    let page = |place: u32| {
        let from = usize::try_from(place).unwrap();
        let size = usize::try_from(PAGE_ITEMS_MAX).unwrap();
        std::future::ready(Ok(items[from..].iter().take(size).cloned().collect()))
    };
    let sizes = std::sync::Mutex::new(Vec::new());
    let sink = |page: Vec<SignedVerdict>| {
        sizes.lock().unwrap().push(page.len());
        std::future::ready(Ok(()))
    };
    let answer = link.settle(&batch, page, sink).await.unwrap();
    let SettleAnswer::Permit { permit, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(permit.sum.total, yen(u64::from(CLAIMS)));
    assert_eq!(sizes.into_inner().unwrap(), [1_000, 200]);
    assert_eq!(host.permitted(), i64::from(CLAIMS));
}

/// The page source is asked for what is missing and held to what it may give.
#[tokio::test]
async fn a_page_source_that_gives_nothing_or_too_much_is_named() {
    let (_host, till) = shop(None).await;
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100, 200]);
    let link = till.link().await;
    for page in [vec![], [items.clone(), items.clone()].concat()] {
        let pages = |_| std::future::ready(Ok(page.clone()));
        let failed = link.settle(&batch, pages, |_| std::future::ready(Ok(()))).await;
        assert_eq!(failed.unwrap_err().name, names::NO_ITEMS);
    }
    assert_eq!(settle(&link, &batch, &items).await.0.sum.total, yen(300));
}
