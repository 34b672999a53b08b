//! Cards and drivers that would be told as paid without the PSAM's check, or put the PSAM out of service for everybody.

use purser_engine::{CallFailure, DeviceEvent, End, PsamFault, PsamState};
use purser_lab::card::{Fault, ScriptedFault, instruction};
use purser_ledger::{CloseReason, DoubtReason, PaidProof, QueryReason, VoidProof};
use purser_purse::CommandName;
use purser_purse::pboc::PsamError;

use crate::kit::CardKind;
use crate::plastic::Plastic;
use crate::psam::Oddity;
use crate::psam_stories::{is_next, paid_by, psam, psam_state, sale_until, shop, wait_for_end};
use crate::regressions::{PRICE, begin, doubt, end, is_called, run_dry, run_until};
use crate::world::{PSAM, Step, World};

/// A card that executes every debit, and whose MAC2 is wrong.
fn make_counterfeit(world: &mut World, card: usize) {
    let wrong = ScriptedFault::next(instruction::DEBIT, Fault::WrongMac2);
    world.cards[card].card.script(wrong);
    world.cards[card].is_counterfeit = true;
}

fn add_card(world: &mut World) -> usize {
    let kit = world.kit.clone();
    let card = Plastic::new(&kit, CardKind::PinFree, 1, 5_000, 7);
    world.cards.push(card);
    world.cards.len() - 1
}

/// A sale with this card, which is in the reader for it only.
fn sale_with(world: &mut World, card: usize) -> End {
    let ticket = begin(world);
    world.insert(card, 0, 0);
    world.rest().unwrap();
    let end = wait_for_end(world, ticket);
    world.remove(card);
    world.rest().unwrap();
    end
}

/// What the till is told first. A card that stays in its reader is asked again at once.
fn first_end(world: &mut World, ticket: usize) -> End {
    run_until(world, |world| world.shops[0].pos.tickets[ticket].told.is_some());
    end(world, ticket)
}

/// Lets the PSAM come back from its reset.
fn wait_for_psam(world: &mut World) {
    for _ in 0..4 {
        if psam_state(world).0 == PsamState::Ready {
            break;
        }
        world.pass_to_timeout(0);
        world.rest().unwrap();
    }
    assert_eq!(psam_state(world).0, PsamState::Ready);
}

/// A sale whose check the PSAM does not answer so; the card is back in its holder's hand.
fn unanswered(world: &mut World, oddity: Oddity) -> usize {
    let ticket = sale_until(world, PSAM, CommandName::CreditSam);
    psam(world).oddity = Some(oddity);
    assert_eq!(
        first_end(world, ticket),
        End::InDoubt(DoubtReason::Mac2Unanswered),
        "{oddity:?}"
    );
    let operation = world.shops[0].store.operations().last().unwrap();
    assert!(operation.unproven_answer.is_some(), "the provider gets the TAC");
    world.remove(0);
    world.rest().unwrap();
    ticket
}

#[test]
fn a_check_that_has_no_answer_while_the_psam_has_power_ends_in_doubt_and_no_word_of_the_card_makes_it_paid() {
    for failure in [
        CallFailure::TimedOut,
        CallFailure::DriverLost,
        CallFailure::DeviceGone,
        CallFailure::CardMute,
        CallFailure::Unsupported,
    ] {
        for is_genuine in [true, false] {
            let mut world = shop();
            if !is_genuine {
                make_counterfeit(&mut world, 0);
            }
            let ticket = unanswered(&mut world, Oddity::HeldUp(failure));
            world.insert(0, 0, 0);
            world.rest().unwrap();
            let queried = End::Queried(QueryReason::Mac2Unproven);
            assert_eq!(end(&world, ticket), queried, "{failure:?}");
            world.settle().unwrap();
        }
    }
}

#[test]
fn a_torn_card_whose_proof_the_psam_does_not_answer_about_is_not_believed_at_its_next_visit() {
    for oddity in [Oddity::HeldUp(CallFailure::TimedOut), Oddity::Refuses(0x6F00)] {
        let mut world = shop();
        let ticket = doubt(&mut world, Fault::TearAfterExecute);
        world.insert(0, 0, 0);
        run_until(&mut world, |world| is_next(world, PSAM, CommandName::CreditSam));
        psam(&mut world).oddity = Some(oddity);
        world.rest().unwrap();
        let queried = End::Queried(QueryReason::Mac2Unproven);
        for _ in 0..2 {
            assert_eq!(end(&world, ticket), queried, "{oddity:?}");
            world.remove(0);
            world.rest().unwrap();
            world.insert(0, 0, 0);
            world.rest().unwrap();
        }
        world.settle().unwrap();
    }
}

#[test]
fn a_check_that_the_driver_had_no_time_for_is_made_when_the_card_comes_back() {
    let mut world = shop();
    let ticket = unanswered(&mut world, Oddity::HeldUp(CallFailure::Busy));
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::Prove));
    world.settle().unwrap();

    let mut world = shop();
    make_counterfeit(&mut world, 0);
    let ticket = unanswered(&mut world, Oddity::HeldUp(CallFailure::Busy));
    world.insert(0, 0, 0);
    world.rest().unwrap();
    let queried = End::Queried(QueryReason::CardContradicts);
    assert_eq!(end(&world, ticket), queried);
    world.settle().unwrap();
}

#[test]
fn a_check_that_waited_behind_a_slow_card_and_failed_then_ends_in_doubt() {
    let mut world = shop();
    make_counterfeit(&mut world, 0);
    let ticket = sale_until(&mut world, PSAM, CommandName::CreditSam);
    psam(&mut world).oddity = Some(Oddity::HeldUp(CallFailure::OutcomeUnknown));
    world.pass_ms(0, 6_000);
    assert_eq!(
        first_end(&mut world, ticket),
        End::InDoubt(DoubtReason::Mac2Unanswered)
    );
    world.settle().unwrap();
}

#[test]
fn a_check_that_waits_behind_a_slow_card_for_seconds_is_made_all_the_same() {
    let mut world = shop();
    let ticket = sale_until(&mut world, PSAM, CommandName::CreditSam);
    world.shops[0].devices[PSAM].stalled = 1_000;
    world.pass_ms(0, 14_000);
    run_dry(&mut world);
    assert_eq!(
        paid_by(&wait_for_end(&mut world, ticket)),
        Some(PaidProof::Answer)
    );
    world.settle().unwrap();
}

#[test]
fn a_driver_that_never_answers_a_check_leaves_the_sale_in_doubt() {
    let mut world = shop();
    make_counterfeit(&mut world, 0);
    let ticket = sale_until(&mut world, PSAM, CommandName::CreditSam);
    world.shops[0].devices[PSAM].stalled = 100_000;
    world.pass_ms(0, 31_000);
    let in_doubt = End::InDoubt(DoubtReason::Mac2Unanswered);
    assert_eq!(first_end(&mut world, ticket), in_doubt);
    world.settle().unwrap();
}

#[test]
fn a_psam_whose_driver_dies_between_8070_and_8072_leaves_the_sale_in_doubt() {
    let mut world = shop();
    make_counterfeit(&mut world, 0);
    let ticket = sale_until(&mut world, 0, CommandName::Debit);
    world.unplug(0, PSAM, CallFailure::DriverLost);
    run_until(&mut world, |world| {
        world.shops[0].devices[PSAM].done.is_empty() && world.shops[0].pos.tickets[ticket].told.is_some()
    });
    assert_eq!(end(&world, ticket), End::InDoubt(DoubtReason::Mac2Unanswered));
    world.shops[0].devices[PSAM].arrive();
    world.settle().unwrap();
}

#[test]
fn a_psam_whose_reader_leaves_while_it_checks_leaves_the_sale_in_doubt_and_serves_again_when_it_is_back() {
    for failure in [CallFailure::DriverLost, CallFailure::DeviceGone] {
        let mut world = shop();
        let other = add_card(&mut world);
        make_counterfeit(&mut world, 0);
        let ticket = sale_until(&mut world, PSAM, CommandName::CreditSam);
        world.unplug(0, PSAM, failure);
        let in_doubt = End::InDoubt(DoubtReason::Mac2Unanswered);
        assert_eq!(first_end(&mut world, ticket), in_doubt, "{failure:?}");
        world.shops[0].devices[PSAM].arrive();
        world.rest().unwrap();
        world.remove(0);
        world.rest().unwrap();
        let next = sale_with(&mut world, other);
        assert_eq!(paid_by(&next), Some(PaidProof::Answer), "{failure:?}");
        world.settle().unwrap();
    }
}

#[test]
fn a_refusal_to_check_mac2_ends_in_doubt_and_the_next_card_is_served() {
    for status in [
        0x6581, 0x6700, 0x6A80, 0x6A81, 0x6A82, 0x6A88, 0x6D00, 0x6F00, 0x9303, 0x9402, 0x63C0,
    ] {
        let mut world = shop();
        let other = add_card(&mut world);
        make_counterfeit(&mut world, 0);
        unanswered(&mut world, Oddity::Refuses(status));
        let next = sale_with(&mut world, other);
        assert_eq!(paid_by(&next), Some(PaidProof::Answer), "{status:04X}");
        assert_eq!(psam_state(&world), (PsamState::Ready, None));
        world.settle().unwrap();
    }
}

#[test]
fn a_psam_that_refuses_one_card_serves_every_other_at_once_and_that_one_is_told_so() {
    for status in [
        0x6581, 0x6A81, 0x6A82, 0x6A83, 0x6985, 0x6F00, 0x9303, 0x9302, 0x9402,
    ] {
        let mut world = shop();
        let other = add_card(&mut world);
        psam(&mut world).oddity = Some(Oddity::RefusesCard(1, status));
        for _ in 0..8 {
            let refused = sale_with(&mut world, 0);
            assert_eq!(refused, End::Closed(CloseReason::PsamRefuses), "{status:04X}");
            assert!(matches!(psam_state(&world).1, Some(PsamFault::RefusedCard(_))));
        }
        let before = world.shops[0].clock.monotonic_ms;
        let served = sale_with(&mut world, other);
        assert_eq!(paid_by(&served), Some(PaidProof::Answer), "{status:04X}");
        let took = world.shops[0].clock.monotonic_ms - before;
        assert!(took < 1_000, "{took} ms after {status:04X}");
        assert_eq!(psam_state(&world), (PsamState::Ready, None));
        world.settle().unwrap();
    }
}

#[test]
fn a_card_with_a_key_that_the_psam_does_not_have_is_told_so_without_a_reset() {
    for (status, reason) in [
        (0x6A88, CloseReason::KeyMissing),
        (0x9403, CloseReason::KeyMissing),
        (0x6A80, CloseReason::PsamMismatch),
    ] {
        let mut world = shop();
        psam(&mut world).oddity = Some(Oddity::RefusesCard(1, status));
        let connections = world.shops[0].devices[PSAM].connections();
        assert_eq!(sale_with(&mut world, 0), End::Closed(reason));
        assert_eq!(world.shops[0].devices[PSAM].connections(), connections);
        assert_eq!(psam_state(&world).0, PsamState::Ready);
        world.settle().unwrap();
    }
}

#[test]
fn a_card_that_the_psam_refuses_waits_behind_the_others_before_it_is_asked_about_again() {
    let mut world = shop();
    let other = add_card(&mut world);
    psam(&mut world).oddity = Some(Oddity::RefusesCard(1, 0x6581));
    let kit = world.kit.clone();
    let tickets = [0, 1].map(|reader| {
        let ticket = world.new_ticket(0, PRICE);
        world.shops[0].pos.tickets[ticket].reader = Some(kit.readers[reader].clone());
        world.begin(0, ticket);
        ticket
    });
    world.rest().unwrap();
    world.shops[0].devices[PSAM].stalled = 100_000;
    world.insert(0, 0, 0);
    run_dry(&mut world);
    world.insert(other, 0, 1);
    run_dry(&mut world);
    world.shops[0].devices[PSAM].stalled = 0;
    let is_told = |world: &World, ticket: usize| world.shops[0].pos.tickets[ticket].told.is_some();
    let mut steps = Vec::new();
    while !is_told(&world, tickets[0]) && !is_told(&world, tickets[1]) {
        world.steps(&mut steps);
        match steps.first() {
            Some(step) => world.take(*step).unwrap(),
            None => assert!(world.pass_to_timeout(0), "the sales stand still"),
        }
    }
    assert!(is_told(&world, tickets[1]), "it had its turn first");
    let served = wait_for_end(&mut world, tickets[1]);
    assert_eq!(paid_by(&served), Some(PaidProof::Answer));
    assert_eq!(
        wait_for_end(&mut world, tickets[0]),
        End::Closed(CloseReason::PsamRefuses)
    );
    // The first one's, the second one's with its check, and the first one's again.
    assert_eq!(psam(&mut world).heard, [0x70, 0x72]);
    world.settle().unwrap();
}

#[test]
fn a_counterfeit_card_cannot_lock_the_psam_and_is_taken_again_after_an_hour() {
    let mut world = shop();
    let other = add_card(&mut world);
    for _ in 0..2 {
        make_counterfeit(&mut world, 0);
        let found = sale_with(&mut world, 0);
        assert_eq!(found, End::Queried(QueryReason::CardContradicts));
    }
    let view = world.shops[0].engine.as_ref().unwrap().psam().unwrap();
    assert_eq!(view.wrong_in_a_row, 2);
    make_counterfeit(&mut world, 0);
    assert_eq!(sale_with(&mut world, 0), End::Closed(CloseReason::CardSuspect));
    assert!(!psam(&mut world).is_locked);
    assert_eq!(paid_by(&sale_with(&mut world, other)), Some(PaidProof::Answer));
    let view = world.shops[0].engine.as_ref().unwrap().psam().unwrap();
    assert_eq!(view.wrong_in_a_row, 0);
    world.cards[0].card.clear_script();
    world.pass_ms(0, 3_600_000);
    assert_eq!(paid_by(&sale_with(&mut world, 0)), Some(PaidProof::Answer));
}

#[test]
fn a_psam_that_is_seen_to_leave_while_it_authorises_gets_no_debit_and_its_sale_waits_for_it() {
    let mut world = shop();
    let ticket = sale_until(&mut world, PSAM, CommandName::InitSam);
    world.take(Step::Device(0, PSAM)).unwrap();
    // Its answer is on its way, and the engine hears of its removal first.
    let told = std::mem::take(&mut world.shops[0].devices[PSAM].done);
    world.remove_psam(0);
    world.shops[0].devices[PSAM].done.extend(told);
    world.rest().unwrap();
    assert!(world.debits.is_empty() && world.shops[0].debits_sent.is_empty());
    assert!(world.shops[0].pos.tickets[ticket].told.is_none(), "it waits");
    world.insert_psam(0);
    world.rest().unwrap();
    let End::Paid(slip) = end(&world, ticket) else {
        panic!("it is paid when the PSAM is back")
    };
    assert_eq!(slip.terminal_sn, 2, "the first number is used up");
    world.settle().unwrap();
}

#[test]
fn a_card_that_is_known_to_have_left_costs_the_psam_no_number() {
    let mut world = shop();
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| {
        is_called(world, CommandName::InitializePurchase)
    });
    world.take(Step::Device(0, 0)).unwrap();
    let told = std::mem::take(&mut world.shops[0].devices[0].done);
    world.remove(0);
    world.shops[0].devices[0].done.extend(told);
    world.rest().unwrap();
    assert_eq!(psam(&mut world).counter, 0);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::Answer));
    world.settle().unwrap();
}

#[test]
fn a_card_that_is_seen_to_leave_before_its_debit_is_sent_is_not_in_doubt() {
    let mut world = shop();
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| !world.shops[0].store.operations().is_empty());
    // The intent is on the disk, and the engine hears of the card first.
    world.remove(0);
    world.take(Step::Event(0, 0)).unwrap();
    world.rest().unwrap();
    assert_eq!(end(&world, ticket), End::NotDebited(VoidProof::NotSent));
    assert!(world.shops[0].debits_sent.is_empty());
    world.settle().unwrap();
}

#[test]
fn an_old_answer_about_an_empty_slot_says_nothing_of_a_psam_whose_driver_was_reloaded_since() {
    let mut world = crate::regressions::closed_shop_with(CardKind::PinFree);
    world.give_psam(0);
    world.restart(0).unwrap();
    run_until(&mut world, |world| !world.shops[0].devices[PSAM].calls.is_empty());
    let device = &mut world.shops[0].devices[PSAM];
    let (id, _) = device.calls.pop_front().unwrap();
    // The driver is reloaded, and finds the PSAM; the answer to what the one before was asked comes last.
    device.event(DeviceEvent::Left);
    device.arrive();
    device.answer(id, Err(CallFailure::NoCard));
    world.rest().unwrap();
    wait_for_psam(&mut world);
    world.settle().unwrap();
}

#[test]
fn the_psam_s_reader_is_in_use_from_before_8070_until_mac2_is_checked_and_never_without_a_sale() {
    let in_use = |world: &World| {
        let engine = world.shops[0].engine.as_ref().unwrap();
        engine
            .served_devices()
            .any(|device| *device == world.kit.psam_reader)
    };
    let mut world = shop();
    assert!(!in_use(&world));
    sale_until(&mut world, PSAM, CommandName::InitSam);
    let mut steps = Vec::new();
    while psam(&mut world).heard != [0x70, 0x72] {
        assert!(in_use(&world));
        world.steps(&mut steps);
        world.take(steps[0]).unwrap();
    }
    world.rest().unwrap();
    assert!(!in_use(&world));
    // The check of an earlier payment counts too.
    world.remove(0);
    let torn = doubt(&mut world, Fault::TearAfterExecute);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| !world.shops[0].devices[PSAM].calls.is_empty());
    assert!(in_use(&world));
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, torn)), Some(PaidProof::Prove));
    world.remove(0);
    // A sale that gave up waiting leaves nothing behind in the line.
    world.remove_psam(0);
    let late = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert!(in_use(&world));
    assert_eq!(
        wait_for_end(&mut world, late),
        End::Closed(CloseReason::PsamNotReady)
    );
    assert!(!in_use(&world));
    world.settle().unwrap();
}

#[test]
fn a_psam_that_is_locked_says_so_after_its_reset_and_the_sale_that_waits_is_told_so() {
    let mut world = shop();
    psam(&mut world).is_locked = true;
    assert_eq!(sale_with(&mut world, 0), End::Closed(CloseReason::PsamLocked));
    let fault = PsamFault::Error(PsamError::Locked);
    assert_eq!(psam_state(&world), (PsamState::Refused, Some(fault)));
    world.settle().unwrap();
}
