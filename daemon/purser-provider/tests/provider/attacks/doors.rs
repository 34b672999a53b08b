//! Attacks on the door: TLS, certificates, enrolment, bodies.

use std::io::{Read, Write};

use serde_json::Value;

use super::{Attack, World};
use crate::client::Identity;
use crate::support::Provider;

pub(super) const ATTACKS: &[Attack] = &[
    ("TLS 1.2", "alert 70", tls_1_2),
    (
        "a certificate of another authority",
        "no handshake",
        other_authority,
    ),
    ("no certificate", "NoCertificate", no_certificate),
    (
        "a certificate from before the terminal enrolled again",
        "UnknownCertificate",
        old_certificate,
    ),
    ("a suspended terminal", "Suspended", suspended),
    ("a revoked terminal", "Revoked", revoked),
    ("a revoked terminal's enrolment code", "Revoked", revoked_code),
    ("a guessed enrolment code", "UnknownCode", guessed_code),
    ("an enrolment code that was used", "CodeUsed", used_code),
    ("somebody else's key", "BadProof", others_key),
    ("another terminal's key in a renewal", "KeyKnown", known_key),
    ("a body of 5 MB", "BodyTooLong", long_body),
    ("a body that takes too long", "BodySlow", slow_body),
    ("JSON 2,000 levels deep", "BadBody", deep),
];

fn stranger(world: &World) -> Identity {
    let shop = &world.shop;
    Identity::new(&shop.provider.authority(), shop.serving.address)
}

/// The ClientHello of a TLS 1.2 client: no supported_versions extension.
fn tls_1_2(world: &mut World) -> String {
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    hello.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00]);
    // Its extensions: signature_algorithms and supported_groups.
    hello.extend([0x00, 0x10, 0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03]);
    hello.extend([0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17]);
    let length = u8::try_from(hello.len()).unwrap();
    let message = [
        &[0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length][..],
        &hello,
    ]
    .concat();
    let mut stream = stranger(world).tcp();
    stream.write_all(&message).unwrap();
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert_eq!(alert[0], 0x15, "an alert; 70 is protocol_version (RFC 8446 §6)");
    format!("alert {}", alert[6])
}

/// Enrolled at another provider, whose authority made its certificate.
fn other_authority(world: &mut World) -> String {
    let other = Provider::furnished();
    let elsewhere = other.serve();
    let mut foreign = Identity::new(&other.authority(), elsewhere.address);
    foreign.enrol(&other.till("till-1", "000000000001"));
    let mut shown = stranger(world);
    shown.take_certificate_of(&foreign);
    let mut line = shown.connect();
    let _ = line
        .0
        .write_all(b"GET /v1/provider HTTP/1.1\r\nhost: provider\r\n\r\n");
    match line.try_answer("GET", "/v1/provider") {
        Ok(answer) => format!("{answer:?}"),
        Err(_) => "no handshake".to_owned(),
    }
}

fn asked(from: &Identity) -> String {
    from.ask("GET", "/v1/hot-list", None).refusal().to_owned()
}

fn no_certificate(world: &mut World) -> String {
    let answer = stranger(world).ask("GET", "/v1/provider", None);
    assert_eq!((answer.status, answer.hangs_up), (401, true));
    answer.refusal().to_owned()
}

/// A code for one more till; the till has not enrolled.
fn code(world: &mut World) -> (String, String) {
    let number = world.next_terminal();
    let name = format!("till-{number}");
    let code = world.shop.provider.till(&name, &format!("{number:012x}"));
    (name, code)
}

fn old_certificate(world: &mut World) -> String {
    let till = world.till();
    let again = world.done(&["terminal", "code", &till.name])[0]["enrolment_code"].clone();
    world.shop.enrolled(again.as_str().unwrap());
    asked(&till.identity)
}

fn suspended(world: &mut World) -> String {
    let till = world.till();
    world.done(&["terminal", "suspend", &till.name]);
    asked(&till.identity)
}

fn revoked(world: &mut World) -> String {
    let till = world.till();
    world.done(&["terminal", "revoke", &till.name]);
    asked(&till.identity)
}

fn enrolled(world: &World, asked: impl FnOnce(&Identity) -> Value) -> String {
    let thief = stranger(world);
    let answer = thief.ask("POST", "/v1/enrolment", Some(&asked(&thief)));
    answer.refusal().to_owned()
}

fn revoked_code(world: &mut World) -> String {
    let (name, code) = code(world);
    world.done(&["terminal", "revoke", &name]);
    enrolled(world, |thief| thief.enrolment(&code))
}

fn guessed_code(world: &mut World) -> String {
    enrolled(world, |thief| thief.enrolment(&"00".repeat(16)))
}

fn used_code(world: &mut World) -> String {
    let (_, code) = code(world);
    world.shop.enrolled(&code);
    enrolled(world, |thief| thief.enrolment(&code))
}

fn others_key(world: &mut World) -> String {
    let (_, code) = code(world);
    let key = hex::encode(world.till().identity.public_key());
    enrolled(world, |thief| {
        let mut enrolment = thief.enrolment(&code);
        enrolment["public_key"] = key.into();
        enrolment
    })
}

/// The two tills have agreed, so the proof is good.
fn known_key(world: &mut World) -> String {
    let (till, other) = (world.till(), world.till());
    let asked = serde_json::json!({
        "public_key": hex::encode(other.identity.public_key()),
        "proof": other.identity.proof("purser renewal", &till.name),
    });
    let answer = till.identity.ask("POST", "/v1/renewal", Some(&asked));
    answer.refusal().to_owned()
}

/// Sends so much of a body of this length.
fn body(world: &World, length: u32, body: &str) -> String {
    let path = "/v1/requests";
    let mut line = world.shop.till.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: {length}\r\n\r\n{body}");
    line.0.write_all(head.as_bytes()).unwrap();
    line.answer("POST", path).refusal().to_owned()
}

fn long_body(world: &mut World) -> String {
    body(world, 5_000_000, "")
}

fn slow_body(world: &mut World) -> String {
    body(world, 9, "slow")
}

fn deep(world: &mut World) -> String {
    body(world, 2_000, &"[".repeat(2_000))
}
