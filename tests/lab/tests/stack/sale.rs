use purser_lab::card::{Fault, Minor, ScriptedFault, instruction};
use purser_lab::issuer::{LAB_PIN, LAB_SERIAL};
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
