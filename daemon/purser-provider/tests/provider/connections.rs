//! How many connections there may be, what an unknown peer may do on one, and how long nothing may be asked.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::json;

use crate::client::{Identity, LONG, TlsLine};
use crate::settling::{announced, claims, path, send};
use crate::shop::{Customer, seal};
use crate::support::{CARD, Provider, Serving};

fn shop(options: &[&str]) -> (Provider, Serving, Identity) {
    let provider = Provider::furnished();
    let code = provider.till("till-1", "000000000001");
    let serving = provider.serve_with(options);
    let mut till = Identity::new(&provider.authority(), serving.address);
    till.enrol(&code);
    (provider, serving, till)
}

/// A connection on which something was answered, kept open.
fn held(terminal: &Identity) -> TlsLine {
    let mut line = terminal.connect();
    line.ask("GET", "/v1/provider", None).done();
    line
}

/// True when no answer comes for a moment.
fn waits(line: &mut TlsLine) -> bool {
    let brief = Duration::from_millis(300);
    line.0.sock.set_read_timeout(Some(brief)).unwrap();
    line.send("GET", "/v1/provider", "");
    let told = line.try_answer("GET", "/v1/provider");
    line.0.sock.set_read_timeout(Some(LONG)).unwrap();
    matches!(told, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn has_ended(line: &mut TlsLine) -> bool {
    line.0.read(&mut [0]).map_or(true, |count| count == 0)
}

#[test]
fn with_all_connections_in_use_the_next_one_waits_for_a_place() {
    let (provider, serving, till) = shop(&["--connections", "2", "--idle-seconds", "60"]);
    let code = provider.till("till-2", "000000000002");
    let (first, _second) = (held(&till), held(&till));
    let mut other = Identity::new(&provider.authority(), serving.address);
    let mut third = other.connect();
    let brief = Duration::from_millis(300);
    third.0.sock.set_read_timeout(Some(brief)).unwrap();
    assert!(third.0.flush().is_err(), "no handshake yet");
    drop((third, first));
    other.enrol(&code);
}

#[test]
fn a_terminal_asks_on_two_connections_beside_its_link_and_the_third_waits_for_one_of_them() {
    let (_provider, _serving, till) = shop(&["--idle-seconds", "60"]);
    let mut link = till.connect();
    link.send("GET", "/v1/call", "");
    let (first, _second) = (held(&till), held(&till));
    let mut third = till.connect();
    assert!(waits(&mut third));
    drop(first);
    assert_eq!(third.answer("GET", "/v1/provider").done()["terminal"], "till-1");
}

#[test]
fn strangers_have_few_places_and_one_answer_and_keep_no_terminal_out() {
    let (provider, serving, till) = shop(&["--idle-seconds", "60"]);
    let stranger = Identity::new(&provider.authority(), serving.address);
    let open = || {
        let mut line = stranger.connect();
        line.0.flush().unwrap();
        while line.0.conn.is_handshaking() {
            line.0.conn.complete_io(&mut line.0.sock).unwrap();
        }
        line
    };
    // Each of them is known to have its place once its body is waited for.
    let path = "/v1/enrolment";
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n");
    let begun = || {
        let mut line = open();
        line.0.write_all(head.as_bytes()).unwrap();
        let mut told = [0; 25];
        line.0.read_exact(&mut told).unwrap();
        assert!(
            told.starts_with(b"HTTP/1.1 100"),
            "{}",
            String::from_utf8_lossy(&told)
        );
        line
    };
    let mut lines: Vec<TlsLine> = (0..16).map(|_| begun()).collect();
    assert!(has_ended(&mut open()), "the seventeenth");
    assert_eq!(held(&till).ask("GET", "/v1/provider", None).status, 200);
    let mut line = lines.pop().unwrap();
    line.0.write_all(b"{}       ").unwrap();
    let answer = line.answer("POST", path);
    assert_eq!((answer.refusal(), answer.hangs_up), ("BadBody", true));
    assert!(has_ended(&mut line));
    lines.truncate(4);
    let again = stranger.ask("GET", "/v1/provider", None);
    assert_eq!(again.refusal(), "NoCertificate");
}

#[test]
fn a_body_is_read_only_of_who_may_send_it() {
    let (provider, serving, till) = shop(&[]);
    let stranger = Identity::new(&provider.authority(), serving.address);
    let told = |from: &Identity, path: &str, length: u32| {
        let mut line = from.connect();
        let head = format!("POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: {length}\r\n\r\n");
        line.0.write_all(head.as_bytes()).unwrap();
        line.answer("POST", path).refusal().to_owned()
    };
    assert_eq!(told(&stranger, "/v1/requests", 4_000_000), "NoCertificate");
    assert_eq!(told(&stranger, "/v1/enrolment", 4_097), "BodyTooLong");
    assert_eq!(told(&till, "/v1/requests", 5_000_000), "BodyTooLong");
    provider.done(&["terminal", "suspend", "till-1"]);
    assert_eq!(told(&till, "/v1/requests", 4_000_000), "Suspended");
}

/// The person at the till looks for a receipt meanwhile.
#[test]
fn a_leg_that_is_open_outlives_a_connection_on_which_nothing_is_asked() {
    let (_provider, _serving, till) = shop(&["--idle-seconds", "2", "--leg-idle-seconds", "60"]);
    let mut customer = Customer::new(CARD);
    let items = claims(&[customer.pay(100, 1, 1)]);
    let batch = seal(1, "till-1", &items);
    let mut leg = announced(&till, 1, &batch);
    let mut other = held(&till);
    assert!(has_ended(&mut other), "after two seconds");
    let mut trickle = till.connect();
    trickle.0.write_all(b"GET /v1/pro").unwrap();
    assert!(has_ended(&mut trickle), "half a request is none");
    send(&mut leg, &batch, 0, &items).done();
    let stands = leg.ask("GET", &path(&batch, ""), None).done();
    assert_eq!(stands["phase"], json!("received"));
}

/// A permit of a million claims is one commit. Everybody else is known and sees how things stand meanwhile.
#[test]
fn who_only_reads_waits_for_no_commit() {
    let (provider, _serving, till) = shop(&[]);
    let mut customer = Customer::new(CARD);
    let items = claims(&[customer.pay(100, 1, 1)]);
    let batch = seal(1, "till-1", &items);
    let mut leg = announced(&till, 1, &batch);
    let verdicts = send(&mut leg, &batch, 0, &items).done();
    let mut sql = rusqlite::Connection::open(provider.path("provider/provider.db")).unwrap();
    let behaviour = rusqlite::TransactionBehavior::Immediate;
    let long = sql.transaction_with_behavior(behaviour).unwrap();
    let began = std::time::Instant::now();
    till.ask("GET", "/v1/provider", None).done();
    till.ask("GET", "/v1/hot-list", None).done();
    assert_eq!(
        leg.ask("GET", &path(&batch, ""), None).done()["phase"],
        "received"
    );
    let again = leg.ask("GET", &path(&batch, "/verdicts/0"), None).done();
    assert_eq!(again, verdicts);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "a writer would wait a minute"
    );
    drop(long);
}
