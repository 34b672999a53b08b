//! S6 to S13 with the lab's card: called back, MAC1 against MAC2, the load TAC, torn cards and voids.

use std::io::{Read, Write};

use purser_ledger::Amount;
use purser_provider_link::{Digest, LoadId, LoadOrder};
use serde_json::{Value, json};

use crate::called::{Listening, Standing};
use crate::card::Inserted;
use crate::client::{Answer, Identity, Line};
use crate::support::{CARD, Provider, Serving};

pub(crate) const DESK: &str = "0000000000d1";

pub(crate) fn load_id(load: u8) -> String {
    hex::encode([load; 16])
}

pub(crate) fn subject(load: u8, amount: u64) -> Digest {
    let amount = Amount::new(amount, "JPY".parse().unwrap()).unwrap();
    LoadOrder {
        id: LoadId([load; 16]),
        amount,
    }
    .digest()
}

pub(crate) fn open(provider: &Provider, load: u8, amount: &str) {
    open_at(provider, load, "desk", amount);
}

pub(crate) fn open_at(provider: &Provider, load: u8, terminal: &str, amount: &str) {
    provider.done(&[
        "load",
        "open",
        &load_id(load),
        "--terminal",
        terminal,
        "--amount",
        amount,
        "--currency",
        "JPY",
    ]);
}

/// A provider with a loading desk that keeps a standing link, and a load of 1,000.
fn desk() -> (Provider, Serving, Identity) {
    let provider = Provider::furnished();
    let added = provider.done(&["terminal", "add", "desk", "--role", "provider", "--standing-link"]);
    open(&provider, 1, "1000");
    let serving = provider.serve();
    let mut terminal = Identity::new(&provider.authority(), serving.address);
    terminal.enrol(added[0]["enrolment_code"].as_str().unwrap());
    (provider, serving, terminal)
}

pub(crate) fn attempt<S: Read + Write>(line: &mut Line<S>, load: u8, number: u8, said: &Value) -> Answer {
    let path = format!("/v1/loads/{}/attempts/{number}", load_id(load));
    line.ask("PUT", &path, Some(said))
}

pub(crate) fn confirm<S: Read + Write>(line: &mut Line<S>, load: u8, tac: &str) -> Answer {
    line.ask(
        "PUT",
        &format!("/v1/loads/{}/tac", load_id(load)),
        Some(&json!({ "tac": tac })),
    )
}

fn books(provider: &Provider) -> (i64, i64) {
    let card = &provider.done(&["card", "list"])[0];
    assert_eq!(card["card"], CARD);
    (
        card["loaded"].as_i64().unwrap(),
        card["balance"].as_i64().unwrap(),
    )
}

#[test]
fn a_card_is_loaded_down_the_standing_link() {
    let (provider, _serving, terminal) = desk();
    let mut card = Inserted::new();
    let mut line = Standing::called(&terminal, 1, "load", subject(1, 1_000));
    let said = card.initialize(1_000, DESK);
    let released = attempt(&mut line, 1, 1, &said).done();
    assert_eq!(
        attempt(&mut line, 1, 1, &said).done(),
        released,
        "a repeat gets the same MAC2"
    );
    assert_eq!(books(&provider), (0, 0), "in doubt until the TAC is here");
    let tac = card.credit(&released);
    assert_eq!(confirm(&mut line, 1, "00000000").refusal(), "Tac");
    assert_eq!(confirm(&mut line, 1, &tac).done()["phase"], "done");
    assert_eq!(
        confirm(&mut line, 1, &tac).done()["phase"],
        "done",
        "a repeat counts once"
    );
    assert_eq!((books(&provider), card.balance().0), ((1_000, 1_000), 1_000));
    card.insert();
    let again = card.initialize(1_000, DESK);
    assert_eq!(attempt(&mut line, 1, 2, &again).refusal(), "Done");
}

#[test]
fn a_terminal_with_an_address_is_called_there_and_loads_on_that_connection() {
    let provider = Provider::furnished();
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
    open(&provider, 1, "1000");
    let serving = provider.serve();
    let mut terminal = Identity::new(&provider.authority(), serving.address);
    terminal.enrol(added[0]["enrolment_code"].as_str().unwrap());
    let mut card = Inserted::new();
    let mut line = listening.called(&terminal, 1, "load", subject(1, 1_000));
    let released = attempt(&mut line, 1, 1, &card.initialize(1_000, DESK)).done();
    assert_eq!(
        confirm(&mut line, 1, &card.credit(&released)).done()["phase"],
        "done"
    );
    assert_eq!(card.balance().0, 1_000);
    card.insert();
    let mut other = terminal.connect();
    assert_eq!(
        attempt(&mut other, 1, 1, &card.initialize(1_000, DESK)).refusal(),
        "NotAuthenticated"
    );
}

/// The answer with MAC2 is lost and both sides start again: the card is torn, a new challenge gets a new MAC2, and only one
/// of the two can work.
#[test]
fn after_a_kill_of_the_provider_and_a_torn_card_the_load_goes_on_with_the_next_attempt() {
    let (provider, serving, mut terminal) = desk();
    let mut card = Inserted::new();
    let mut line = Standing::called(&terminal, 1, "load", subject(1, 1_000));
    let first = card.initialize(1_000, DESK);
    let lost = attempt(&mut line, 1, 1, &first).done();
    drop(serving);
    let serving = provider.serve();
    terminal.server = serving.address;
    let mut line = Standing::called(&terminal, 2, "load", subject(1, 1_000));
    assert_eq!(
        attempt(&mut line, 1, 1, &first).done(),
        lost,
        "the MAC2 was in the data base before it left"
    );
    card.insert();
    let second = card.initialize(1_000, DESK);
    assert_eq!(attempt(&mut line, 1, 3, &second).refusal(), "AttemptNumber");
    assert_eq!(attempt(&mut line, 1, 1, &second).refusal(), "OtherContent");
    let released = attempt(&mut line, 1, 2, &second).done();
    card.credit(&released);
    // The answer to CREDIT is lost as well. A further attempt is refused: it happened; the proof is fetched.
    card.insert();
    let third = card.initialize(1_000, DESK);
    assert_eq!(attempt(&mut line, 1, 3, &third).refusal(), "ItHappened");
    let tac = card.proof(1);
    assert_eq!(confirm(&mut line, 1, &tac).done()["phase"], "done");
    assert_eq!((books(&provider), card.balance().0), ((1_000, 1_000), 1_000));
}

#[test]
fn a_void_needs_the_cards_fresh_answer_over_the_hosts_challenge() {
    let (provider, _serving, terminal) = desk();
    let mut card = Inserted::new();
    let mut line = Standing::called(&terminal, 1, "load", subject(1, 1_000));
    let kept = card.initialize(1_000, DESK);
    let released = attempt(&mut line, 1, 1, &kept).done();
    let path = format!("/v1/loads/{}/void", load_id(1));
    assert_eq!(line.ask("PUT", &path, Some(&kept)).refusal(), "StaleProof");
    let begun = line.ask("POST", &path, None).done();
    assert_eq!(begun["phase"], "released");
    assert_eq!(
        line.ask("PUT", &path, Some(&kept)).refusal(),
        "StaleProof",
        "an answer that was kept"
    );
    let challenge = begun["void_challenge"].as_str().unwrap();
    let proof = card.initialize(1_000, challenge);
    let mut forged = proof.clone();
    forged["mac1"] = "00000000".into();
    assert_eq!(line.ask("PUT", &path, Some(&forged)).refusal(), "Mac1");
    assert_eq!(line.ask("PUT", &path, Some(&proof)).done()["phase"], "voided");
    assert_eq!(
        attempt(&mut line, 1, 1, &kept).refusal(),
        "Voided",
        "no MAC2 ever again"
    );
    assert_eq!(
        line.ask("PUT", &path, Some(&proof)).done()["phase"],
        "voided",
        "a repeat"
    );
    assert!(released["mac2"].is_string());
    assert_eq!(books(&provider), (0, 0));
}

/// A block keeps value from being released. What was released before it has to come to an end.
#[test]
fn a_released_load_is_voided_under_a_blocked_key_version_too() {
    let (provider, _serving, terminal) = desk();
    let mut card = Inserted::new();
    let mut line = Standing::called(&terminal, 1, "load", subject(1, 1_000));
    attempt(&mut line, 1, 1, &card.initialize(1_000, DESK)).done();
    provider.done(&["key", "version", "block", "1"]);
    let again = card.initialize(1_000, DESK);
    assert_eq!(attempt(&mut line, 1, 2, &again).refusal(), "Mac1");
    let path = format!("/v1/loads/{}/void", load_id(1));
    let begun = line.ask("POST", &path, None).done();
    let proof = card.initialize(1_000, begun["void_challenge"].as_str().unwrap());
    let mut forged = proof.clone();
    forged["mac1"] = "00000000".into();
    assert_eq!(line.ask("PUT", &path, Some(&forged)).refusal(), "Mac1");
    assert_eq!(line.ask("PUT", &path, Some(&proof)).done()["phase"], "voided");
    assert_eq!(provider.done(&["audit"])[0]["findings"], 0);
}

#[test]
fn a_load_that_is_paid_at_one_desk_begins_there_and_is_completed_at_any() {
    let (provider, serving, terminal) = desk();
    let added = provider.done(&[
        "terminal",
        "add",
        "annex",
        "--role",
        "provider",
        "--standing-link",
    ]);
    let mut annex = Identity::new(&provider.authority(), serving.address);
    annex.enrol(added[0]["enrolment_code"].as_str().unwrap());
    let mut card = Inserted::new();
    let there = |request| Standing::called(&annex, request, "load", subject(1, 1_000));
    let said = card.initialize(1_000, DESK);
    assert_eq!(attempt(&mut there(1), 1, 1, &said).refusal(), "OtherTerminal");
    let void = format!("/v1/loads/{}/void", load_id(1));
    assert_eq!(
        there(2).ask("POST", &void, None).refusal(),
        "OtherTerminal",
        "the bank would not know"
    );
    let mut line = Standing::called(&terminal, 1, "load", subject(1, 1_000));
    attempt(&mut line, 1, 1, &said).done();
    // Torn; the buyer goes to the other desk (money rule L3).
    card.insert();
    let mut line = there(3);
    let released = attempt(&mut line, 1, 2, &card.initialize(1_000, "0000000000d2")).done();
    let tac = card.credit(&released);
    assert_eq!(confirm(&mut line, 1, &tac).done()["phase"], "done");
    assert_eq!(provider.done(&["audit"])[0]["findings"], 0);
}

/// The request of the second load was made before the first one was executed, and arrives late.
#[test]
fn an_answer_of_the_card_from_before_another_load_begins_nothing_and_a_fresh_one_does() {
    let (provider, _serving, terminal) = desk();
    open(&provider, 2, "1000");
    let mut card = Inserted::new();
    let late = card.initialize(1_000, DESK);
    let mut line = Standing::called(&terminal, 1, "load", subject(1, 1_000));
    let released = attempt(&mut line, 1, 1, &card.initialize(1_000, DESK)).done();
    confirm(&mut line, 1, &card.credit(&released)).done();
    drop(line);
    let mut line = Standing::called(&terminal, 2, "load", subject(2, 1_000));
    assert_eq!(attempt(&mut line, 2, 1, &late).refusal(), "StaleInitialize");
    card.insert();
    let released = attempt(&mut line, 2, 1, &card.initialize(1_000, DESK)).done();
    confirm(&mut line, 2, &card.credit(&released)).done();
    assert_eq!((books(&provider), card.balance().0), ((2_000, 2_000), 2_000));
}
