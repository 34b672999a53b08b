//! Who gets in, and who does not.

use std::io::Write;
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
    assert_eq!(terminal.ask("GET", "/v1/hot-list", None).refusal(), "Revoked");
    let answer = terminal.ask("POST", "/v1/enrolment", Some(&terminal.enrolment(&code)));
    assert_eq!(answer.refusal(), "Revoked");
}

#[test]
fn bodies_of_another_shape_and_what_is_no_route_are_refused_by_name() {
    let provider = Provider::furnished();
    let serving = provider.serve();
    let stranger = Identity::new(&provider.authority(), serving.address);
    let path = "/v1/enrolment";
    let refused = |body: &str| {
        let mut line = stranger.connect();
        line.send("POST", path, body);
        line.answer("POST", path).refusal().to_owned()
    };
    assert_eq!(refused("{}"), "BadBody");
    assert_eq!(refused(""), "BadBody");
    let mut extra = stranger.enrolment("00");
    extra["more"] = 1.into();
    assert_eq!(refused(&extra.to_string()), "BadBody");
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
