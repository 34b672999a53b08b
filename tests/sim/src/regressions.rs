//! Stories that once ended badly, told step by step.

use std::sync::Arc;

use purser_engine::{CallFailure, DeviceEvent, End, Progress};
use purser_lab::card::{Fault, ScriptedFault, StatusWord, instruction};
use purser_ledger::{DoubtReason, QueryReason, Standing};
use purser_purse::CommandName;
use purser_purse::pboc::Attempt;

use crate::device::Call;
use crate::flaw::Flaw;
use crate::kit::{CardKind, Kit};
use crate::plastic::Plastic;
use crate::tally::Tally;
use crate::trace::Trace;
use crate::world::{Step, World};

pub(crate) const PRICE: u64 = 300;

pub(crate) fn shop_with(kind: CardKind) -> World {
    let mut world = closed_shop_with(kind);
    world.restart(0).unwrap();
    world.rest().unwrap();
    world
}

/// A shop that has not started yet.
pub(crate) fn closed_shop_with(kind: CardKind) -> World {
    let kit = Arc::new(Kit::new());
    let mut world = World::new(Arc::clone(&kit), 1, Tally::default(), Trace::Off, Flaw::None);
    world.cards.push(Plastic::new(&kit, kind, 0, 5_000, 7));
    let mut config = kit.configs[0].clone();
    if kind == CardKind::PinFree {
        config.pin_free_up_to.insert(kit.currency, PRICE);
    }
    world.shops[0].config = Some(config);
    world.shops[0].readers = 2;
    world
}

pub(crate) fn begin(world: &mut World) -> usize {
    let ticket = world.new_ticket(0, PRICE);
    world.begin(0, ticket);
    ticket
}

pub(crate) fn end(world: &World, ticket: usize) -> End {
    let told = world.shops[0].pos.tickets[ticket].told.as_ref();
    told.expect("the sale has an end").state.end.clone()
}

/// Takes steps until `is_there`; PINs are not typed.
pub(crate) fn run_until(world: &mut World, is_there: impl Fn(&World) -> bool) {
    let mut steps = Vec::new();
    while !is_there(world) {
        world.steps(&mut steps);
        let step = *steps.first().expect("the story goes on");
        world.take(step).unwrap();
    }
}

/// Takes every step that can be taken while what stands still stands still.
pub(crate) fn run_dry(world: &mut World) {
    let mut steps = Vec::new();
    world.steps(&mut steps);
    while let Some(step) = steps.first() {
        world.take(*step).unwrap();
        world.steps(&mut steps);
    }
}

pub(crate) fn is_called(world: &World, name: CommandName) -> bool {
    let front = world.shops[0].devices[0].calls.front();
    matches!(front, Some((_, Call::Transmit { command, .. })) if command.name() == name)
}

pub(crate) fn tear_at_debit(world: &mut World, fault: Fault) {
    world.cards[0]
        .card
        .script(ScriptedFault::next(instruction::DEBIT, fault));
}

/// A sale with this card that is in doubt; the card is in nobody's reader.
pub(crate) fn doubt(world: &mut World, fault: Fault) -> usize {
    tear_at_debit(world, fault);
    let ticket = begin(world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(end(world, ticket), End::InDoubt(DoubtReason::AnswerLost));
    ticket
}

#[test]
fn a_connection_that_comes_late_is_ended_at_once() {
    let mut world = shop_with(CardKind::NeedsPin);
    begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| !world.shops[0].devices[0].calls.is_empty());
    world.shops[0].devices[0].stalled = 1_000;
    world.pass_ms(0, 31_000);
    run_dry(&mut world);
    world.rest().unwrap();
    world.settle().unwrap();
}

#[test]
fn a_pin_that_is_checked_late_does_not_outlive_its_visit() {
    let mut world = shop_with(CardKind::NeedsPin);
    begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| world.pad_asks(0).is_some());
    world.type_pin(0, true);
    run_until(&mut world, |world| is_called(world, CommandName::Verify));
    world.shops[0].devices[0].stalled = 1_000;
    world.pass_ms(0, 31_000);
    world.rest().unwrap();
    world.settle().unwrap();
}

#[test]
fn a_driver_that_comes_back_at_once_and_takes_an_old_connect_does_not_keep_the_card() {
    let mut world = shop_with(CardKind::PinFree);
    let ticket = begin(&mut world);
    world.rest().unwrap();
    world.insert(0, 0, 0);
    world.take(Step::Event(0, 0)).unwrap();
    // The engine has just heard of the card: its connect goes to a driver that it does not know yet.
    world.unplug(0, 0, CallFailure::DriverLost);
    world.shops[0].devices[0].arrive();
    world.rest().unwrap();
    assert!(matches!(end(&world, ticket), End::Paid(_)));
    world.settle().unwrap();
}

#[test]
fn a_pin_that_was_entered_without_an_amount_pays_for_nothing() {
    let mut world = shop_with(CardKind::NeedsPin);
    doubt(&mut world, Fault::TearBeforeExecute);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| world.pad_asks(0).is_some());
    assert_eq!(world.pad_asks(0).unwrap().amount, None);
    world.type_pin(0, true);
    run_until(&mut world, |world| is_called(world, CommandName::Verify));
    world.shops[0].devices[0].stalled = 1_000;
    let ticket = begin(&mut world);
    run_dry(&mut world);
    // The rule about PINs is checked when the card is debited.
    world.rest().unwrap();
    assert!(matches!(end(&world, ticket), End::Paid(_)));
    assert_eq!(
        world.shops[0].pins_given, 3,
        "one for each sale, one for the earlier payment"
    );
    world.settle().unwrap();
}

#[test]
fn a_forgotten_card_does_not_pay_again_because_its_insertion_is_told_twice() {
    let mut world = shop_with(CardKind::PinFree);
    begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    world.shops[0].devices[0].event(DeviceEvent::CardInserted);
    let second = begin(&mut world);
    world.rest().unwrap();
    assert_eq!(
        world.shops[0].pos.tickets[second].progress,
        Some(Progress::TakeCardOut)
    );
    assert_eq!(world.debits.len(), 1);
    world.settle().unwrap();
}

#[test]
fn a_forgotten_card_does_not_pay_again_because_its_reader_or_driver_came_back() {
    for failure in [CallFailure::DriverLost, CallFailure::DeviceGone] {
        let mut world = shop_with(CardKind::PinFree);
        begin(&mut world);
        world.insert(0, 0, 0);
        world.rest().unwrap();
        world.unplug(0, 0, failure);
        world.shops[0].devices[0].arrive();
        let second = begin(&mut world);
        world.rest().unwrap();
        let progress = world.shops[0].pos.tickets[second].progress.clone();
        assert_eq!(progress, Some(Progress::TakeCardOut), "{failure:?}");
        assert_eq!(world.debits.len(), 1, "{failure:?}");
        world.remove(0);
        world.insert(0, 0, 0);
        world.rest().unwrap();
        assert!(matches!(end(&world, second), End::Paid(_)), "{failure:?}");
        world.settle().unwrap();
    }
}

#[test]
fn a_card_whose_debit_was_lost_with_its_driver_is_asked_and_pays_for_no_other_sale() {
    let mut world = shop_with(CardKind::PinFree);
    let first = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| is_called(world, CommandName::Debit));
    world.shops[0].devices[0].loses_answer = true;
    world.take(Step::Device(0, 0)).unwrap();
    assert_eq!(world.debits.len(), 1, "the card has executed it");
    world.unplug(0, 0, CallFailure::DriverLost);
    world.shops[0].devices[0].arrive();
    let second = begin(&mut world);
    world.rest().unwrap();
    let progress = world.shops[0].pos.tickets[second].progress.clone();
    assert_eq!(progress, Some(Progress::TakeCardOut));
    assert_eq!(world.debits.len(), 1);
    world.settle().unwrap();
    assert!(matches!(end(&world, first), End::Paid(_)));
}

#[test]
fn two_debits_of_one_terminal_never_carry_the_same_time_across_a_restart() {
    let mut world = shop_with(CardKind::PinFree);
    for _ in 0..3 {
        begin(&mut world);
        world.insert(0, 0, 0);
        world.rest().unwrap();
        world.remove(0);
        world.crash(0);
        world.restart(0).unwrap();
        world.rest().unwrap();
    }
    let intended = world.shops[0]
        .store
        .operations()
        .iter()
        .map(|it| it.intended.as_ref().unwrap());
    let mut times: Vec<_> = intended
        .map(|it| Attempt::decode(it.attempt.bytes()).unwrap().time)
        .collect();
    times.dedup();
    assert_eq!(times.len(), 3, "{times:?}");
    world.settle().unwrap();
}

#[test]
fn an_older_debit_of_the_same_amount_is_not_taken_for_one_that_was_torn() {
    let mut world = shop_with(CardKind::PinFree);
    for _ in 0..2 {
        begin(&mut world);
        world.insert(0, 0, 0);
        world.rest().unwrap();
        world.remove(0);
        world.crash(0);
        world.restart(0).unwrap();
    }
    let torn = doubt(&mut world, Fault::TearBeforeExecute);
    assert!(world.cards[0].pay_elsewhere(10) && world.cards[0].pay_elsewhere(10));
    world.is_dirty = true;
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(end(&world, torn), End::Queried(QueryReason::CardMovedOn));
    world.settle().unwrap();
}

/// A card that was debited, paid elsewhere since, and refuses its log this many times.
fn refuse_log(world: &mut World, times: u32) -> usize {
    let torn = doubt(world, Fault::TearAfterExecute);
    assert!(world.cards[0].pay_elsewhere(10));
    world.is_dirty = true;
    for _ in 0..times {
        let refused = Fault::StatusBeforeExecute(StatusWord(0x6985));
        let at_log = ScriptedFault::next(instruction::READ_RECORD, refused);
        world.cards[0].card.script(at_log);
    }
    world.insert(0, 0, 0);
    world.rest().unwrap();
    torn
}

#[test]
fn a_card_that_refuses_its_log_with_its_pin_and_without_it_is_told_as_one_that_refuses() {
    let mut world = shop_with(CardKind::NeedsPin);
    let torn = refuse_log(&mut world, 2);
    assert_eq!(end(&world, torn), End::Queried(QueryReason::CardRefuses));
    world.settle().unwrap();
}

#[test]
fn a_card_that_refuses_its_log_for_once_is_asked_again_when_it_returns() {
    let mut world = shop_with(CardKind::PinFree);
    let torn = refuse_log(&mut world, 1);
    assert_eq!(end(&world, torn), End::InDoubt(DoubtReason::AnswerLost));
    world.remove(0);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert!(matches!(end(&world, torn), End::Paid(_)));
    world.settle().unwrap();
}

#[test]
fn a_card_that_has_just_paid_is_left_alone_while_its_proof_is_recorded() {
    let mut world = shop_with(CardKind::PinFree);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| is_called(world, CommandName::Debit));
    world.take(Step::Device(0, 0)).unwrap();
    // The disk is slow: the card is disconnected long before the proof is recorded.
    world.shops[0].journal_stalled = 1_000;
    run_dry(&mut world);
    world.rest().unwrap();
    assert!(matches!(end(&world, ticket), End::Paid(_)));
    assert_eq!(world.shops[0].devices[0].connections(), 1);
    assert_eq!(world.shops[0].store.appends, 2);
    assert!(matches!(
        world.shops[0].store.operations()[0].standing,
        Standing::Paid(_)
    ));
}

#[test]
fn a_card_that_moves_to_another_reader_in_the_middle_of_its_debit_is_resolved_there() {
    let mut world = shop_with(CardKind::PinFree);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| is_called(world, CommandName::Debit));
    world.shops[0].devices[0].stalled = 1_000;
    world.remove(0);
    world.insert(0, 0, 1);
    run_dry(&mut world);
    world.rest().unwrap();
    assert!(matches!(end(&world, ticket), End::NotDebited(_)));
    world.settle().unwrap();
}

#[test]
fn a_pin_that_was_given_for_one_card_never_goes_to_the_next_one() {
    let mut world = shop_with(CardKind::NeedsPin);
    let kit = world.kit.clone();
    world
        .cards
        .push(Plastic::new(&kit, CardKind::NeedsPin, 1, 5_000, 7));
    let ticket = world.new_ticket(0, PRICE);
    world.shops[0].pos.tickets[ticket].through_api = true;
    world.begin(0, ticket);
    run_dry(&mut world);
    world.insert(0, 0, 0);
    run_dry(&mut world);
    assert_eq!(world.waits_for_api_pin(0), Some(ticket));
    let seen = world.shops[0].pos.tickets[ticket].presentation;
    world.remove(0);
    world.insert(1, 0, 0);
    run_dry(&mut world);
    // The POS has not heard yet that another card is there.
    world.shops[0].pos.tickets[ticket].presentation = seen;
    let verifies = world.shops[0].verifies_sent;
    world.provide_pin(0, ticket, true);
    run_dry(&mut world);
    assert_eq!(world.shops[0].verifies_sent, verifies);
    assert!(world.debits.is_empty());
    // Told anew, it gives the PIN of the card that is there.
    world.attach(0, ticket);
    run_dry(&mut world);
    world.provide_pin(0, ticket, true);
    run_dry(&mut world);
    assert!(matches!(end(&world, ticket), End::Paid(_)));
    world.settle().unwrap();
}
