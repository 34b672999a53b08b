//! Who gets in, and who does not.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;

use crate::client::{Identity, Line};
use crate::support::Provider;

#[test]
fn a_code_enrols_one_key_and_the_same_key_gets_the_same_answer_after_a_kill() {
    let provider = Provider::furnished();
    let code = provider.till("till-1", "000000000001");
    let serving = provider.serve();
    let mut terminal = Identity::new(&provider.authority(), serving.address);
    let enrolled = terminal.enrol(&code);
    assert_eq!(enrolled["terminal"], "till-1");
    assert_eq!(enrolled["merchant"], "kiosk");
    assert_eq!(enrolled["psam_number"], "000000000001");
    assert_eq!(enrolled["provider_account"], "000100110000001", "pinned (T4)");
    let who = terminal.ask("GET", "/v1/provider", None).done();
    assert_eq!(
        (&who["terminal"], &who["call_back"]),
        (&json!("till-1"), &json!("standing"))
    );
    drop(serving);
    let serving = provider.serve();
    terminal.server = serving.address;
    assert_eq!(
        terminal.enrol(&code),
        enrolled,
        "the answer was lost: the same again"
    );
    let thief = Identity::new(&provider.authority(), serving.address);
    let answer = thief.ask("POST", "/v1/enrolment", Some(&thief.enrolment(&code)));
    assert_eq!(answer.refusal(), "CodeUsed");
    assert_eq!(
        thief
            .ask("POST", "/v1/enrolment", Some(&thief.enrolment("00")))
            .refusal(),
        "UnknownCode"
    );
    let mut others = thief.enrolment(&code);
    others["public_key"] = hex::encode(terminal.public_key()).into();
    assert_eq!(
        thief.ask("POST", "/v1/enrolment", Some(&others)).refusal(),
        "BadProof"
    );
}

#[test]
fn a_renewed_key_works_and_a_new_code_ends_all_earlier_certificates() {
    let provider = Provider::furnished();
    let code = provider.till("till-1", "000000000001");
    let serving = provider.serve();
    let mut terminal = Identity::new(&provider.authority(), serving.address);
    terminal.enrol(&code);
    let mut renewed = Identity::new(&provider.authority(), serving.address);
    let asked = json!({
        "public_key": hex::encode(renewed.public_key()), "proof": renewed.proof("purser renewal", "till-1"),
    });
    let first = terminal.ask("POST", "/v1/renewal", Some(&asked)).done();
    assert_eq!(
        terminal.ask("POST", "/v1/renewal", Some(&asked)).done(),
        first,
        "a repeat is the same"
    );
    renewed.certificate = Some(hex::decode(first["certificate"].as_str().unwrap()).unwrap());
    renewed.ask("GET", "/v1/provider", None).done();
    let code = provider.done(&["terminal", "code", "till-1"])[0]["enrolment_code"].clone();
    let mut anew = Identity::new(&provider.authority(), serving.address);
    anew.enrol(code.as_str().unwrap());
    assert_eq!(
        renewed.ask("GET", "/v1/provider", None).refusal(),
        "UnknownCertificate"
    );
    assert_eq!(
        terminal.ask("GET", "/v1/provider", None).refusal(),
        "UnknownCertificate"
    );
}

#[test]
fn a_suspended_or_revoked_terminal_is_refused_at_once() {
    let provider = Provider::furnished();
    let code = provider.till("till-1", "000000000001");
    let serving = provider.serve();
    let mut terminal = Identity::new(&provider.authority(), serving.address);
    terminal.enrol(&code);
    let mut line = terminal.connect();
    line.ask("GET", "/v1/provider", None).done();
    provider.done(&["terminal", "suspend", "till-1"]);
    assert_eq!(
        line.ask("GET", "/v1/provider", None).refusal(),
        "Suspended",
        "on the open connection too"
    );
    provider.done(&["terminal", "resume", "till-1"]);
    terminal.ask("GET", "/v1/provider", None).done();
    provider.done(&["terminal", "revoke", "till-1"]);
    assert_eq!(terminal.ask("GET", "/v1/provider", None).refusal(), "Revoked");
    let answer = terminal.ask("POST", "/v1/enrolment", Some(&terminal.enrolment(&code)));
    assert_eq!(answer.refusal(), "Revoked");
}

#[test]
fn without_a_certificate_or_with_one_of_another_authority_nothing_but_enrolment_is_answered() {
    let (provider, other) = (Provider::furnished(), Provider::furnished());
    let (serving, elsewhere) = (provider.serve(), other.serve());
    let stranger = Identity::new(&provider.authority(), serving.address);
    let answer = stranger.ask("GET", "/v1/provider", None);
    assert_eq!((answer.status, answer.refusal()), (401, "NoCertificate"));
    assert!(answer.hangs_up);
    // Enrolled at another provider, whose authority made its certificate.
    let mut foreign = Identity::new(&other.authority(), elsewhere.address);
    foreign.enrol(&other.till("till-1", "000000000001"));
    let mut shown = Identity::new(&provider.authority(), serving.address);
    shown.take_certificate_of(&foreign);
    let mut line = shown.connect();
    let _ = line
        .0
        .write_all(b"GET /v1/provider HTTP/1.1\r\nhost: provider\r\n\r\n");
    assert!(
        line.try_answer("GET", "/v1/provider").is_err(),
        "the handshake fails"
    );
}

#[test]
fn tls_1_2_is_refused() {
    let provider = Provider::furnished();
    let serving = provider.serve();
    // The ClientHello of a TLS 1.2 client: no supported_versions extension.
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    hello.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00]);
    // Its extensions: signature_algorithms and supported_groups.
    hello.extend([0x00, 0x10, 0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03]);
    hello.extend([0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17]);
    let mut message = vec![
        0x16,
        0x03,
        0x01,
        0x00,
        u8::try_from(hello.len() + 4).unwrap(),
        0x01,
        0x00,
        0x00,
    ];
    message.push(u8::try_from(hello.len()).unwrap());
    message.extend(hello);
    let mut stream = Identity::new(&provider.authority(), serving.address).tcp();
    stream.write_all(&message).unwrap();
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert_eq!(alert[0], 0x15, "an alert");
    assert_eq!(alert[6], 70, "protocol_version (RFC 8446 §6)");
}

#[test]
fn bodies_that_are_too_long_too_deep_or_of_another_shape_are_refused_by_name() {
    let provider = Provider::furnished();
    let serving = provider.serve();
    let stranger = Identity::new(&provider.authority(), serving.address);
    let path = "/v1/enrolment";
    let refused = |body: &str| {
        let mut line = stranger.connect();
        line.send("POST", path, body);
        line.answer("POST", path).refusal().to_owned()
    };
    assert_eq!(refused(&"[".repeat(4_000)), "BadBody");
    assert_eq!(refused("{}"), "BadBody");
    assert_eq!(refused(""), "BadBody");
    let mut extra = stranger.enrolment("00");
    extra["more"] = 1.into();
    assert_eq!(refused(&extra.to_string()), "BadBody");
    let mut line = stranger.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: 5000000\r\n\r\n");
    line.0.write_all(head.as_bytes()).unwrap();
    assert_eq!(line.answer("POST", path).refusal(), "BodyTooLong");
    let mut line = stranger.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: 9\r\n\r\nslow");
    line.0.write_all(head.as_bytes()).unwrap();
    assert_eq!(line.answer("POST", path).refusal(), "BodySlow");
    assert_eq!(stranger.ask("GET", "/v1/nowhere", None).refusal(), "NoSuchPath");
    assert_eq!(stranger.ask("GET", path, None).refusal(), "NoSuchMethod");
}

#[test]
fn a_server_of_another_authority_is_not_believed() {
    let (provider, other) = (Provider::furnished(), Provider::furnished());
    let serving = provider.serve();
    let config = crate::client::client_config(&other.authority(), None);
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = Identity::new(&other.authority(), serving.address).tcp();
    let mut line = Line(StreamOwned::new(connection, tcp));
    assert!(line.0.write_all(b"x").and_then(|()| line.0.flush()).is_err());
}

#[test]
fn a_server_without_the_keys_that_are_in_use_does_not_begin() {
    let provider = Provider::furnished();
    std::fs::remove_file(provider.path("provider/card-keys")).unwrap();
    let output = provider.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let other = "[[masters]]\nversion = 1\npurchase = \"00112233445566778899AABBCCDDEEFF\"\n\
                 load = \"00112233445566778899AABBCCDDEEFF\"\ntac = \"00112233445566778899AABBCCDDEEFF\"\n";
    provider.write("provider/card-keys", other, 0o600);
    assert_eq!(
        provider.refused(&["serve", "--listen", "127.0.0.1:0"]),
        "OtherKeys"
    );
}
