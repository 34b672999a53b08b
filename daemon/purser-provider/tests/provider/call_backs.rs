//! Attacks on the call-back over real TLS: each is refused by its own name.

use purser_provider_link::Digest;
use serde_json::json;

use crate::called::{Listening, Standing, answer, ask, binding, request};
use crate::client::Identity;
use crate::support::{Provider, Serving};

const SUBJECT: Digest = Digest([7; 32]);

fn till() -> (Provider, Serving, Identity) {
    let provider = Provider::furnished();
    let code = provider.till("till-1", "000000000001");
    let serving = provider.serve();
    let mut terminal = Identity::new(&provider.authority(), serving.address);
    terminal.enrol(&code);
    (provider, serving, terminal)
}

#[test]
fn a_request_for_another_provider_or_role_or_with_other_content_is_refused() {
    let (_provider, _serving, till) = till();
    let mut other = request(1, "settlement", SUBJECT);
    other["provider"] = "other".into();
    assert_eq!(ask(&till, &other).refusal(), "WrongProvider");
    assert_eq!(ask(&till, &request(1, "load", SUBJECT)).refusal(), "OtherRole");
    let ticket = ask(&till, &request(1, "settlement", SUBJECT)).done();
    assert_eq!(
        ask(&till, &request(1, "settlement", SUBJECT)).done(),
        ticket,
        "the answer was lost: the same ticket"
    );
    assert_eq!(
        ask(&till, &request(1, "settlement", Digest([8; 32]))).refusal(),
        "OtherContent"
    );
}

#[test]
fn a_request_that_is_over_is_a_replay() {
    let (_provider, _serving, till) = till();
    let _line = Standing::called(&till, 1, "settlement", SUBJECT);
    assert_eq!(
        ask(&till, &request(1, "settlement", SUBJECT)).refusal(),
        "ReplayedRequest"
    );
}

#[test]
fn an_answer_with_another_key_or_of_another_connection_is_refused() {
    for is_of_other_connection in [false, true] {
        let (provider, _serving, till) = till();
        let mut link = till.connect();
        link.send("GET", "/v1/call", "");
        ask(&till, &request(1, "settlement", SUBJECT)).done();
        let told = link.answer("GET", "/v1/call").done()["challenge"].clone();
        let wrong = if is_of_other_connection {
            let mut elsewhere = till.connect();
            elsewhere.ask("GET", "/v1/provider", None).done();
            answer(&told, &binding(&elsewhere.0.conn), &till)
        } else {
            answer(
                &told,
                &binding(&link.0.conn),
                &Identity::new(&provider.authority(), till.server),
            )
        };
        assert_eq!(
            link.ask("POST", "/v1/call/answer", Some(&wrong)).refusal(),
            "BadSignature"
        );
    }
}

#[test]
fn an_answer_to_no_challenge_and_a_refusal_of_no_name_are_refused() {
    let (_provider, _serving, till) = till();
    let unasked = json!({ "ticket": "00".repeat(16), "nonce": "00".repeat(32), "signature": "00" });
    assert_eq!(
        till.ask("POST", "/v1/call/answer", Some(&unasked)).refusal(),
        "NotAsked"
    );
    let nonsense = json!({ "refusal": "Nonsense" });
    assert_eq!(
        till.ask("POST", "/v1/call/refusal", Some(&nonsense)).refusal(),
        "BadBody"
    );
}

#[test]
fn a_second_standing_link_is_refused_while_the_first_gives_a_sign_of_life() {
    let (_provider, _serving, till) = till();
    let mut first = till.connect();
    first.send("GET", "/v1/call", "");
    // Only a request that found its link proves that the link is known.
    ask(&till, &request(1, "settlement", SUBJECT)).done();
    let told = first.answer("GET", "/v1/call").done()["challenge"].clone();
    let good = answer(&told, &binding(&first.0.conn), &till);
    first.ask("POST", "/v1/call/answer", Some(&good)).done();
    first.send("GET", "/v1/call", "");
    let mut second = till.connect();
    second.send("GET", "/v1/call", "");
    assert!(
        first.answer("GET", "/v1/call").done()["challenge"].is_null(),
        "the probe"
    );
    first.send("GET", "/v1/call", "");
    assert_eq!(second.answer("GET", "/v1/call").refusal(), "SecondStandingLink");
}

#[test]
fn a_terminal_with_an_address_has_no_standing_link_and_another_terminal_there_is_not_believed() {
    let (provider, serving, other) = till();
    let listening = Listening::new();
    let added = provider.done(&[
        "terminal",
        "add",
        "desk",
        "--role",
        "provider",
        "--address",
        &listening.address(),
    ]);
    let mut desk = Identity::new(&provider.authority(), serving.address);
    desk.enrol(added[0]["enrolment_code"].as_str().unwrap());
    assert_eq!(desk.ask("GET", "/v1/call", None).refusal(), "WrongMode");
    ask(&desk, &request(1, "load", SUBJECT)).done();
    // Somebody else with a good certificate of this provider listens at the desk's address.
    let mut line = listening.accept(&other);
    assert_eq!(line.ask("GET", "/v1/call", None).refusal(), "WrongTerminal");
}
