//! Cards that come back, times that come back, and numbers that come back, with a software SAM.

use purser_engine::{End, Progress};
use purser_lab::card::{Fault, ScriptedFault, StatusWord, instruction};
use purser_ledger::{CloseReason, DoubtReason, PaidProof, QueryReason};
use purser_purse::CommandName;
use purser_purse::pboc::Attempt;

use crate::kit::CardKind;
use crate::regressions::{begin, doubt, end, is_called, run_until, shop_with};
use crate::world::World;

/// The local times that the debits carry, oldest first.
fn times(world: &World) -> Vec<String> {
    let operations = world.shops[0].store.operations().iter();
    let intended = operations.filter_map(|it| it.intended.as_ref());
    intended
        .map(|it| format!("{:?}", Attempt::decode(it.attempt.bytes()).unwrap().time))
        .collect()
}

#[test]
fn a_card_that_names_another_shop_for_its_only_debit_since_initialize_is_in_doubt_and_its_answer_is_kept() {
    let mut world = shop_with(CardKind::PinFree);
    world.cards[0].is_counterfeit = true;
    let refused = Fault::StatusBeforeExecute(StatusWord(0x6985));
    for (at, fault) in [
        (instruction::DEBIT, Fault::WrongMac2),
        (instruction::READ_RECORD, refused),
        (instruction::READ_RECORD, refused),
    ] {
        world.cards[0].card.script(ScriptedFault::next(at, fault));
    }
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| {
        world.shops[0].pos.tickets[ticket].told.is_some()
    });
    assert_eq!(end(&world, ticket), End::InDoubt(DoubtReason::AnswerInvalid));
    let operation = &world.shops[0].store.operations()[0];
    assert!(operation.unproven_answer.is_some(), "the provider gets the TAC");
    world.remove(0);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(end(&world, ticket), End::Queried(QueryReason::CardContradicts));
    world.settle().unwrap();
}

#[test]
fn a_serial_number_that_the_journal_has_already_is_refused_by_name_and_the_next_sale_has_the_next_one() {
    let mut world = shop_with(CardKind::PinFree);
    let first = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert!(matches!(end(&world, first), End::Paid(_)));
    world.remove(0);
    // A journal that knows its debits and has lost the highest number of them.
    world.shops[0].store.hides_terminal_sn = true;
    world.crash(0);
    world.restart(0).unwrap();
    let second = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    let repeated = End::Closed(CloseReason::TerminalSnRepeated);
    assert_eq!(end(&world, second), repeated);
    assert_eq!(world.debits.len(), 1);
    world.remove(0);
    let third = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert!(matches!(end(&world, third), End::Paid(_)));
    world.settle().unwrap();
}

#[test]
fn a_card_that_its_reader_has_found_gone_may_pay_again_when_it_is_put_in() {
    let mut world = shop_with(CardKind::PinFree);
    begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    // It is taken out, and the reader does not tell; somebody asks for its balance.
    world.shops[0].devices[0].misses_removal = true;
    world.remove(0);
    world.read_purse(0);
    world.rest().unwrap();
    let second = begin(&mut world);
    world.rest().unwrap();
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert!(matches!(end(&world, second), End::Paid(_)));
    assert_eq!(world.debits.len(), 2);
    world.settle().unwrap();
}

#[test]
fn a_card_that_is_seen_to_leave_before_its_debit_is_sent_is_asked_nothing() {
    let mut world = shop_with(CardKind::PinFree);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| {
        is_called(world, CommandName::InitializePurchase)
    });
    world.take(crate::world::Step::Device(0, 0)).unwrap();
    let told = std::mem::take(&mut world.shops[0].devices[0].done);
    world.remove(0);
    world.shops[0].devices[0].done.extend(told);
    world.rest().unwrap();
    let is_intent = |operation: &purser_ledger::Operation| operation.intended.is_some();
    assert!(!world.shops[0].store.operations().iter().any(is_intent));
    let progress = world.shops[0].pos.tickets[ticket].progress;
    assert_eq!(progress, Some(Progress::WaitingForCard));
    world.settle().unwrap();
}

/// Local time goes back by an hour, as at the end of summer time: an hour passes, and the clock shows what it showed before.
fn repeat_hour(world: &mut World) {
    let clock = &mut world.shops[0].clock;
    clock.wall_ms += 3_600_000;
    clock.monotonic_ms += 3_600_000;
    clock.offset_seconds -= 3_600;
}

#[test]
fn no_two_debits_carry_one_local_time_in_the_hour_that_summer_time_repeats() {
    for is_restarted in [false, true] {
        let mut world = shop_with(CardKind::PinFree);
        for _ in 0..3 {
            // The wall stands still for each sale, so that without more they would meet.
            let wall_ms = world.shops[0].clock.wall_ms;
            begin(&mut world);
            world.insert(0, 0, 0);
            world.rest().unwrap();
            world.remove(0);
            world.rest().unwrap();
            world.shops[0].clock.wall_ms = wall_ms;
            repeat_hour(&mut world);
            if is_restarted {
                world.crash(0);
                world.restart(0).unwrap();
                world.rest().unwrap();
            }
        }
        let mut told = times(&world);
        assert!(told.is_sorted(), "{told:?}");
        told.dedup();
        assert_eq!(told.len(), 3, "{told:?}");
        // The moments are the true ones.
        let entries = world.shops[0].store.operations().iter();
        let moments: Vec<_> = entries.map(|it| it.opened_at.unix_seconds).collect();
        assert!(moments[2] - moments[0] >= 7_200, "{moments:?}");
        assert!(moments[2] - moments[0] < 7_260, "{moments:?}");
        world.settle().unwrap();
    }
}

#[test]
fn a_debit_of_the_hour_before_is_not_taken_for_one_that_was_torn_in_the_hour_that_is_repeated() {
    let mut world = shop_with(CardKind::PinFree);
    let wall_ms = world.shops[0].clock.wall_ms;
    begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    world.remove(0);
    world.rest().unwrap();
    world.shops[0].clock.wall_ms = wall_ms;
    repeat_hour(&mut world);
    let torn = doubt(&mut world, Fault::TearBeforeExecute);
    assert!(world.cards[0].pay_elsewhere(10) && world.cards[0].pay_elsewhere(10));
    world.is_dirty = true;
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(end(&world, torn), End::Queried(QueryReason::CardMovedOn));
    world.settle().unwrap();
}

#[test]
fn a_zone_that_no_place_on_earth_has_moves_no_debit_s_time() {
    let mut world = shop_with(CardKind::PinFree);
    world.shops[0].clock.offset_seconds = 40 * 3_600;
    begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    world.remove(0);
    world.shops[0].clock.offset_seconds = 0;
    let second = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    let End::Paid(slip) = end(&world, second) else {
        panic!("it is paid")
    };
    assert_eq!(slip.proof, PaidProof::Answer);
    let paid = world.shops[0].store.operations().last().unwrap();
    assert_eq!(paid.opened_at.utc_offset_seconds, 0);
    assert!(!matches!(paid.standing, purser_ledger::Standing::Closed(_)));
}
