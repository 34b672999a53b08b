//! Servers that lie, with the provider's own certificate: each lie ends in time and by its name, and nothing is believed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use purser_provider_link::call_back::Limits;
use purser_provider_link::{BatchId, Digest, TerminalName};
use purserd::provider::{Identity, Link, ProviderFailure, Settings, SettleAnswer, names};
use serde_json::{Value, json};

use crate::host::{CARD, Host};
use crate::server::{Lie, Reply, Server, response};
use crate::settlements::{shop, sold};
use crate::shop::{Customer, yen};
use crate::till::{LIMITS, Till, settle_once};

/// Short, since some lies are silence.
fn limits(route: &str) -> Limits {
    // These lies end with their ticket.
    let waits = ["GET /v1/call", "GET /v1/provider"].contains(&route);
    Limits {
        leg_ms: 1_000,
        ticket_ms: if waits { 1_200 } else { 5_000 },
        tries_max: 1,
        ..LIMITS
    }
}

/// Each lie ends within this: a page has twenty seconds more than other messages, and no lie is a slow page.
const TIME: Duration = Duration::from_secs(10);

/// A till that was enrolled at the real provider, in whose place the server now is.
struct Scene {
    server: Arc<Server>,
    till: Till,
    items: Vec<purser_provider_link::Item>,
    // Its folder has the keys.
    _host: Host,
}

impl Scene {
    async fn new() -> Self {
        let (mut host, till) = shop(None).await;
        host.kill();
        let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100, 200, 300, 400, 500]);
        let folder = host.provider_folder();
        let server = Server::start(&folder, host.address, batch, items.clone());
        Self {
            server,
            till,
            items,
            _host: host,
        }
    }

    async fn told(&self, route: &str, lie: Lie) -> Result<SettleAnswer, ProviderFailure> {
        self.server.set_lie(lie);
        let settings = Settings {
            limits: limits(route),
            ..self.till.settings()
        };
        let identity = Identity::read(&self.till.state()).unwrap();
        let link = Link::start(settings, identity).await.unwrap();
        let started = Instant::now();
        let (answer, _) = settle_once(&link, &self.server.batch, &self.items).await;
        assert!(started.elapsed() < TIME, "{answer:?}");
        answer
    }

    /// The name that this answer to this route gets.
    async fn name(&self, route: &'static str, reply: Reply) -> (&'static str, bool) {
        let answer = self
            .told(
                route,
                Box::new(move |_, asked| is_of(asked, route).then(|| reply.clone())),
            )
            .await;
        let failure = answer.unwrap_err();
        (failure.name, failure.is_transient)
    }

    async fn signed(&self, route: &'static str, body: Value) -> &'static str {
        self.name(route, Reply::Json(200, body)).await.0
    }
}

/// Routes of a batch are named by what stands behind its number.
fn is_of(asked: &str, route: &str) -> bool {
    let (method, rest) = route.split_once(' ').unwrap();
    asked == route || (asked.starts_with(method) && asked.contains("/v1/batches/") && asked.ends_with(rest))
}

#[tokio::test]
async fn permits_verdicts_and_voids_that_are_not_the_providers_or_of_another_batch_are_not_believed() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let honest = scene.told("", Box::new(|_, _| None)).await.unwrap();
    let SettleAnswer::Permit { permit, .. } = honest else {
        panic!("{honest:?}")
    };
    assert_eq!(permit.sum.total, yen(1_500), "the server can tell the truth");

    let other = Digest([9; 32]);
    let mut forged = server.permit(|_| ());
    forged["signature"] = server.sign(b"something else").into();
    for body in [
        forged,
        server.permit(|it| it.batch = other),
        server.permit(|it| it.account = "000100110000009".parse().unwrap()),
        server.permit(|it| it.presenter = TerminalName::new("till-2").unwrap()),
        json!({ "permit": "00", "signature": server.sign(&[0]) }),
    ] {
        assert_eq!(scene.signed("POST /permit", body).await, names::BAD_PERMIT);
    }
    let mut forged = server.page(1, |_| ());
    forged["verdicts"][0]["signature"] = server.sign(b"something else").into();
    let mut longer = server.page(1, |_| ());
    let more = server.page(2, |_| ())["verdicts"][0].clone();
    longer["verdicts"].as_array_mut().unwrap().push(more);
    for body in [
        forged,
        longer,
        server.page(1, |it| it.batch = other),
        server.page(1, |it| it.place += 1),
        server.page(0, |_| ()),
        json!({ "verdicts": [] }),
    ] {
        assert_eq!(scene.signed("GET /verdicts/1", body).await, names::BAD_VERDICT);
    }
    let mut forged = server.void(|_| ());
    forged["signature"] = server.sign(b"something else").into();
    for void in [
        forged,
        server.void(|it| it.batch = other),
        server.void(|it| it.batch_id = BatchId([9; 16])),
    ] {
        let lie: Lie = Box::new(move |server, asked| {
            let announced = asked.starts_with("PUT") && !asked.contains("/pages/");
            let body = announced.then(|| server.stands("voided", 0, 0));
            body.or_else(|| asked.ends_with("/void").then(|| void.clone()))
                .map(|body| Reply::Json(200, body))
        });
        assert_eq!(scene.told("", lie).await.unwrap_err().name, names::BAD_VOID);
    }
}

/// What is answered where, and the name that it gets.
fn shapes() -> Vec<(&'static str, Reply, (&'static str, bool))> {
    let bad = (names::BAD_ANSWER, false);
    let lost = (names::LINE_LOST, true);
    let permit = "POST /permit";
    let json = |body: Value| Reply::Json(200, body);
    let endless_body = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n";
    let told_long = b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n";
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    vec![
        (permit, Reply::Endless(endless_body.to_vec()), bad),
        (permit, Reply::Endless(told_long.to_vec()), bad),
        (permit, Reply::Endless(b"HTTP/1.1 200 OK\r\nx: ".to_vec()), bad),
        (permit, Reply::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), bad),
        (
            permit,
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
            lost,
        ),
        (permit, Reply::Raw(deep.clone().into_bytes()), bad),
        (permit, json(json!({ "permit": "0g", "signature": "" })), bad),
        (permit, json(json!({ "permit": "000", "signature": "" })), bad),
        (permit, json(json!({ "permit": 7, "signature": "" })), bad),
        (permit, json(json!([])), bad),
        (permit, Reply::Json(204, Value::Null), bad),
        (permit, Reply::Json(302, Value::Null), bad),
        (permit, Reply::Json(500, json!({ "error": 1 })), bad),
        (
            permit,
            Reply::Json(503, refusal("NotKnown", true)),
            ("NotKnown", true),
        ),
        (
            permit,
            Reply::Json(403, refusal("Suspended", false)),
            ("Suspended", false),
        ),
        (
            permit,
            Reply::Json(400, refusal("Nonsense", true)),
            (names::REFUSED, true),
        ),
        (permit, Reply::Silence, (names::NO_ANSWER, true)),
        (
            permit,
            Reply::Drip(response(200, &json!({ "permit": "00".repeat(100) }))),
            (names::NO_ANSWER, true),
        ),
        ("GET /verdicts/0", Reply::Endless(endless_body.to_vec()), bad),
        ("POST /v1/requests", Reply::Silence, (names::NO_ANSWER, true)),
        ("POST /v1/requests", json(json!({ "ticket": "00" })), bad),
        (
            "POST /v1/call/answer",
            json(json!({ "purpose": "load", "subject": "00".repeat(32) })),
            bad,
        ),
        (
            "POST /v1/call/answer",
            Reply::Json(403, refusal("BadSignature", false)),
            ("BadSignature", false),
        ),
        (
            "GET /v1/call",
            json(json!({ "challenge": { "nonce": "00" } })),
            bad,
        ),
        ("GET /v1/provider", json(json!({ "provider": "other" })), bad),
    ]
}

#[tokio::test]
async fn answers_of_another_shape_endless_ones_and_silence_end_in_time_and_by_name() {
    let scene = Scene::new().await;
    for (route, reply, expected) in shapes() {
        let shown = format!("{route}: {reply:.200?}");
        assert_eq!(scene.name(route, reply).await, expected, "{shown}");
    }
    for (received, next_page, phase) in [
        (6, 3, "receiving"),
        (5, 3, "receiving"),
        (1, 2, "receiving"),
        (4, 2, "received"),
    ] {
        let stands = scene.server.stands(phase, received, next_page);
        let lie: Lie = Box::new(move |_, asked| {
            let announced = asked.starts_with("PUT") && !asked.contains("/pages/");
            announced.then(|| Reply::Json(200, stands.clone()))
        });
        assert_eq!(
            scene.told("", lie).await.unwrap_err().name,
            names::BAD_ANSWER,
            "{phase} {received}"
        );
    }
}

fn refusal(name: &str, transient: bool) -> Value {
    json!({ "error": name, "cause": "a cause", "remedy": "a remedy", "transient": transient })
}

#[tokio::test]
async fn another_signing_key_or_name_than_the_pinned_one_opens_no_link() {
    let scene = Scene::new().await;
    for (field, value) in [
        ("signing_key", "04".repeat(65)),
        ("provider", "other.example".to_owned()),
        ("terminal", "till-2".to_owned()),
        ("call_back", "answer".to_owned()),
    ] {
        let mut body = scene.server.truth("GET /v1/provider", &Value::Null);
        body[field] = value.into();
        assert_eq!(
            scene.signed("GET /v1/provider", body).await,
            names::BAD_ANSWER,
            "{field}"
        );
    }
    // A challenge that is not for this request is refused, and the request goes unanswered.
    for (field, value) in [
        ("subject", "09".repeat(32)),
        ("ticket", "09".repeat(16)),
        ("provider", "other.example".to_owned()),
        ("terminal", "till-2".to_owned()),
        ("purpose", "load".to_owned()),
    ] {
        let mut challenge = json!({
            "nonce": "05".repeat(32), "ticket": "11".repeat(16), "purpose": "settlement",
            "provider": "provider.example", "terminal": "till-1", "subject": scene.server.batch.digest().to_string(),
        });
        challenge[field] = value.into();
        let body = json!({ "challenge": challenge });
        assert_eq!(
            scene.signed("GET /v1/call", body).await,
            names::NO_CALL_BACK,
            "{field}"
        );
    }
}

/// The end of the connection after each byte of an answer.
#[tokio::test]
async fn an_answer_that_ends_after_any_byte_is_a_lost_line() {
    let scene = Scene::new().await;
    for route in ["POST /v1/requests", "POST /permit"] {
        let whole = match route {
            "POST /permit" => response(200, &scene.server.permit(|_| ())),
            _ => response(200, &scene.server.truth("POST /v1/requests", &json!({}))),
        };
        // Every byte of the head, and of the body each thirteenth.
        let head = whole.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        for end in (0..head).chain((head..whole.len()).step_by(13)) {
            let (name, is_transient) = scene.name(route, Reply::Raw(whole[..end].to_vec())).await;
            assert!(is_transient, "{route} ends after {end} bytes: {name}");
        }
    }
}

/// Raw bytes in place of TLS: another protocol, and TLS 1.2.
#[tokio::test]
async fn tls_1_2_and_other_protocols_are_refused() {
    let (mut host, till) = shop(None).await;
    host.kill();
    let (batch, items) = sold(&mut Customer::new(CARD), 1, &[100]);
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    // No session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression, no extension.
    hello.extend([0x00, 0xc0, 0x2b, 0x00]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut tls_1_2 = vec![0x16, 0x03, 0x03, 0x00, length + 4, 0x02, 0x00, 0x00, length];
    tls_1_2.extend(hello);
    let alert = vec![0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 70];
    let listener = TcpListener::bind(host.address).unwrap();
    let says = Arc::new(std::sync::Mutex::new(Vec::new()));
    let said = Arc::clone(&says);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut hello = [0; 5];
            // Whoever connects may be gone again.
            let _ = stream.read_exact(&mut hello);
            let bytes: Vec<u8> = said.lock().unwrap().clone();
            let _ = stream.write_all(&bytes);
            // What was sent is read before the end: closing over unread bytes would send a reset in its place.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    for bytes in [tls_1_2, alert, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()] {
        *says.lock().unwrap() = bytes.clone();
        let link = till.link().await;
        let failure = settle_once(&link, &batch, &items).await.0.unwrap_err();
        assert_eq!(failure.name, names::NOT_THE_PROVIDER, "{bytes:02x?}: {failure}");
    }
}
