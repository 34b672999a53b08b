use std::sync::Arc;
use std::time::Duration;

use purser_lab::card::{Card, Fault, Minor, Opening, Personalisation, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL, Masters};
use purser_lab::stack::{Options, PATIENCE, Stack};
use purser_lab::vpcd::Place;

#[test]
fn a_till_sells_to_a_card_whose_buyer_types_the_pin() {
    let folder = tempfile::tempdir().unwrap();
    let mut stack = Stack::start(folder.path(), Options::default()).unwrap();
    let card = stack.new_card("alice", LAB_SERIAL, Minor(1000)).unwrap();
    let mut till = stack.till().unwrap();
    let mut buyer = stack.typist().unwrap();
    let begun = till.begin_sale("order-1", 300).unwrap();
    assert_eq!(
        (begun.standing.as_str(), begun.sale.state.as_str()),
        ("new", "waiting_for_card")
    );
    card.insert();
    assert_eq!(buyer.wait_for_prompt().unwrap().amount_minor, Some(300));
    buyer.enter(LAB_PIN).unwrap();
    let sale = till.wait_for_end("order-1").unwrap();
    assert_eq!(sale.outcome, "paid", "{sale:?}");
    assert_eq!(card.status().ep, Minor(700));
    let refused = till.begin_sale("order-1", 301).unwrap_err();
    assert_eq!(refused.refusal(), Some("ReferenceWithOtherAmount"));
    stack.stop().unwrap();
    assert!(stack.log().unwrap().contains("ready"));
}

#[test]
fn a_torn_sale_is_in_doubt_and_is_proven_after_a_kill_when_the_card_returns() {
    let folder = tempfile::tempdir().unwrap();
    let mut stack = Stack::start(folder.path(), Options::default()).unwrap();
    let card = stack.new_card("alice", LAB_SERIAL, Minor(1000)).unwrap();
    card.script(ScriptedFault::next(instruction::DEBIT, Fault::TearAfterExecute));
    let mut till = stack.till().unwrap();
    let mut buyer = stack.typist().unwrap();
    till.begin_sale("order-1", 300).unwrap();
    card.insert();
    buyer.wait_for_prompt().unwrap();
    buyer.enter(LAB_PIN).unwrap();
    assert_eq!(till.wait_for_end("order-1").unwrap().outcome, "in_doubt");
    assert!(card.wait_until(Place::Away, PATIENCE));
    stack.kill();
    stack.start_again().unwrap();
    let mut till = stack.till().unwrap();
    assert_eq!(till.attach("order-1").unwrap().outcome, "in_doubt");
    card.insert();
    assert_eq!(till.wait_for_outcome("order-1", "paid").unwrap().reason, None);
    assert_eq!(card.status().ep, Minor(700));
}

/// How often the card is shown: each round brings four messages from the driver, and all of them fit into the burst after
/// which purserd takes a driver for one that floods it.
const ROUNDS: u64 = 80;

#[test]
fn a_card_that_was_shown_for_a_moment_can_pay_when_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        drop_in: "[pin.free_up_to]\nJPY = 1\n".to_owned(),
        ..Options::default()
    };
    let stack = Stack::start(folder.path(), options).unwrap();
    let personalisation = Personalisation {
        ep_purchase_needs_pin: false,
        ..Masters::public_lab().personalise(LAB_SERIAL)
    };
    let opening = Opening {
        ep: Minor(1000),
        ..Opening::default()
    };
    let card = Card::new(Arc::new(personalisation), opening);
    let card = stack.put_card("alice", card, stack.layout().reader).unwrap();
    let mut till = stack.till().unwrap();
    for round in 0..ROUNDS {
        card.insert();
        // Each round cuts Purser's look at the card at another place.
        std::thread::sleep(Duration::from_micros(round * 200));
        card.remove();
        let reference = format!("order-{round}");
        till.begin_sale(&reference, 1).unwrap();
        card.insert();
        let sale = till.wait_for_end(&reference);
        let sale = sale.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(
            sale.outcome,
            "paid",
            "round {round}: {sale:?}\n{}",
            stack.log().unwrap()
        );
        card.remove();
    }
}
