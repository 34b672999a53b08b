//! Attacks on the call-back.

use purser_provider_link::Digest;
use serde_json::{Value, json};

use super::{Attack, Till, World};
use crate::called::{Listening, Standing, answer, ask, binding, request};
use crate::client::{Identity, TlsLine};

pub(super) const ATTACKS: &[Attack] = &[
    ("a request for another provider", "WrongProvider", other_provider),
    ("a till's request to load", "OtherRole", other_role),
    (
        "the request's number with other content",
        "OtherContent",
        other_content,
    ),
    ("a request that is over", "ReplayedRequest", replayed_request),
    ("a request on the standing link", "OnTheLink", on_the_link),
    ("an answer to no challenge", "NotAsked", not_asked),
    (
        "an answer to a challenge that was answered",
        "NotAsked",
        replayed_challenge,
    ),
    ("an answer signed with another key", "BadSignature", other_key),
    (
        "an answer that was signed for another connection",
        "BadSignature",
        other_connection,
    ),
    (
        "an answer to a challenge with another subject",
        "BadSignature",
        other_subject,
    ),
    ("a refusal that has no name", "BadBody", no_name),
    ("a second standing link", "SecondStandingLink", second_link),
    (
        "a standing link of a terminal that has an address",
        "WrongMode",
        wrong_mode,
    ),
    ("a call-back that another host takes", "WrongTerminal", other_host),
];

const SUBJECT: Digest = Digest([7; 32]);

fn asked(till: &Till, asked: &Value) -> String {
    ask(&till.identity, asked).refusal().to_owned()
}

fn other_provider(world: &mut World) -> String {
    let till = world.till();
    let mut other = request(1, "settlement", SUBJECT);
    other["provider"] = "other".into();
    asked(&till, &other)
}

fn other_role(world: &mut World) -> String {
    let till = world.till();
    asked(&till, &request(1, "load", SUBJECT))
}

fn other_content(world: &mut World) -> String {
    let till = world.till();
    let ticket = ask(&till.identity, &request(1, "settlement", SUBJECT)).done();
    let again = ask(&till.identity, &request(1, "settlement", SUBJECT)).done();
    assert_eq!(again, ticket, "the answer was lost: the same ticket");
    asked(&till, &request(1, "settlement", Digest([8; 32])))
}

fn replayed_request(world: &mut World) -> String {
    let till = world.till();
    let _line = Standing::called(&till.identity, 1, "settlement", SUBJECT);
    asked(&till, &request(1, "settlement", SUBJECT))
}

fn on_the_link(world: &mut World) -> String {
    let till = world.till();
    let mut link = Standing::called(&till.identity, 1, "settlement", SUBJECT);
    let answer = link.ask("POST", "/v1/requests", Some(&request(2, "settlement", SUBJECT)));
    answer.refusal().to_owned()
}

fn answered(link: &mut TlsLine, with: &Value) -> String {
    link.ask("POST", "/v1/call/answer", Some(with))
        .refusal()
        .to_owned()
}

fn not_asked(world: &mut World) -> String {
    let till = world.till();
    let unasked = json!({ "ticket": "00".repeat(16), "nonce": "00".repeat(32), "signature": "00" });
    answered(&mut till.identity.connect(), &unasked)
}

/// A till's link with a challenge on it.
fn challenged(till: &Till) -> (TlsLine, Value) {
    let mut link = till.identity.connect();
    link.send("GET", "/v1/call", "");
    // Only a request that found its link proves that the link is known.
    ask(&till.identity, &request(1, "settlement", SUBJECT)).done();
    let told = link.answer("GET", "/v1/call").done()["challenge"].clone();
    (link, told)
}

fn replayed_challenge(world: &mut World) -> String {
    let till = world.till();
    let (mut link, told) = challenged(&till);
    let good = answer(&told, &binding(&link.0.conn), &till.identity);
    link.ask("POST", "/v1/call/answer", Some(&good)).done();
    answered(&mut link, &good)
}

fn other_key(world: &mut World) -> String {
    let till = world.till();
    let (mut link, told) = challenged(&till);
    let thief = Identity::new(&world.shop.provider.authority(), till.identity.server);
    let wrong = answer(&told, &binding(&link.0.conn), &thief);
    answered(&mut link, &wrong)
}

fn other_connection(world: &mut World) -> String {
    let till = world.till();
    let (mut link, told) = challenged(&till);
    let mut elsewhere = till.identity.connect();
    elsewhere.ask("GET", "/v1/provider", None).done();
    let wrong = answer(&told, &binding(&elsewhere.0.conn), &till.identity);
    answered(&mut link, &wrong)
}

fn other_subject(world: &mut World) -> String {
    let till = world.till();
    let (mut link, mut told) = challenged(&till);
    told["subject"] = "08".repeat(32).into();
    let wrong = answer(&told, &binding(&link.0.conn), &till.identity);
    answered(&mut link, &wrong)
}

fn no_name(world: &mut World) -> String {
    let till = world.till();
    let nonsense = json!({ "ticket": "00".repeat(16), "refusal": "Nonsense" });
    let answer = till.identity.ask("POST", "/v1/call/refusal", Some(&nonsense));
    answer.refusal().to_owned()
}

fn second_link(world: &mut World) -> String {
    let till = world.till();
    let (mut first, told) = challenged(&till);
    let good = answer(&told, &binding(&first.0.conn), &till.identity);
    first.ask("POST", "/v1/call/answer", Some(&good)).done();
    first.send("GET", "/v1/call", "");
    let mut second = till.identity.connect();
    second.send("GET", "/v1/call", "");
    let probe = first.answer("GET", "/v1/call").done();
    assert!(probe["challenge"].is_null());
    first.send("GET", "/v1/call", "");
    second.answer("GET", "/v1/call").refusal().to_owned()
}

/// A desk that is called at an address where this test listens.
fn listening(world: &mut World) -> (Listening, Identity) {
    let listening = Listening::new();
    let name = format!("desk-{}", world.next_terminal());
    let address = listening.address();
    let added = world.done(&[
        "terminal",
        "add",
        &name,
        "--role",
        "provider",
        "--address",
        &address,
    ]);
    let desk = world.shop.enrolled(added[0]["enrolment_code"].as_str().unwrap());
    (listening, desk)
}

fn wrong_mode(world: &mut World) -> String {
    let (_listening, desk) = listening(world);
    desk.ask("GET", "/v1/call", None).refusal().to_owned()
}

/// Somebody else with a good certificate of this provider listens at the desk's address.
fn other_host(world: &mut World) -> String {
    let (listening, desk) = listening(world);
    let thief = world.till();
    ask(&desk, &request(1, "load", SUBJECT)).done();
    let mut line = listening.accept(&thief.identity);
    line.ask("GET", "/v1/call", None).refusal().to_owned()
}
