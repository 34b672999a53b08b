//! What becomes of a sale when its PSAM is lost, locked, wrong or slow, told step by step.

use purser_engine::{CallFailure, DeviceEvent, End, Progress, PsamFault, PsamState};
use purser_lab::card::{Fault, ScriptedFault, instruction};
use purser_ledger::{CloseReason, DoubtReason, PaidProof, QueryReason, VoidProof};
use purser_purse::CommandName;
use purser_purse::pboc::PsamError;

use crate::device::Call;
use crate::kit::CardKind;
use crate::plastic::Plastic;
use crate::psam::{Oddity, SimPsam};
use crate::regressions::{PRICE, begin, closed_shop_with, doubt, end, run_dry, run_until};
use crate::world::{PSAM, Step, World};

pub(crate) fn shop() -> World {
    let mut world = closed_shop_with(CardKind::PinFree);
    world.give_psam(0);
    world.restart(0).unwrap();
    world.rest().unwrap();
    world
}

pub(crate) fn psam(world: &mut World) -> &mut SimPsam {
    world.shops[0].psam.as_mut().unwrap()
}

pub(crate) fn psam_state(world: &World) -> (PsamState, Option<PsamFault>) {
    let view = world.shops[0].engine.as_ref().unwrap().psam().unwrap();
    (view.state, view.fault)
}

/// A sale whose card is put in; it goes on until the device is to get this command.
pub(crate) fn sale_until(world: &mut World, d: usize, name: CommandName) -> usize {
    let ticket = begin(world);
    world.insert(0, 0, 0);
    run_until(world, |world| is_next(world, d, name));
    ticket
}

pub(crate) fn is_next(world: &World, d: usize, name: CommandName) -> bool {
    let front = world.shops[0].devices[d].calls.front();
    matches!(front, Some((_, Call::Transmit { command, .. })) if command.name() == name)
}

/// Lets time limits pass until the sale has its end.
pub(crate) fn wait_for_end(world: &mut World, ticket: usize) -> End {
    for _ in 0..20 {
        world.rest().unwrap();
        if world.shops[0].pos.tickets[ticket].told.is_some() {
            break;
        }
        world.pass_to_timeout(0);
    }
    end(world, ticket)
}

pub(crate) fn paid_by(end: &End) -> Option<PaidProof> {
    match end {
        End::Paid(slip) => Some(slip.proof),
        _ => None,
    }
}

#[test]
fn an_undisturbed_sale_is_checked_by_the_psam_and_takes_two_commits() {
    let mut world = shop();
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::Answer));
    assert_eq!(psam(&mut world).heard, [0x70, 0x72]);
    assert_eq!(world.shops[0].store.appends, 2);
    world.settle().unwrap();
}

#[test]
fn without_a_psam_a_sale_waits_and_ends_by_that_name_before_anything_moved() {
    let mut world = shop();
    world.remove_psam(0);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    let progress = world.shops[0].pos.tickets[ticket].progress;
    assert_eq!(progress, Some(Progress::WaitingForSam));
    assert_eq!(
        wait_for_end(&mut world, ticket),
        End::Closed(CloseReason::PsamNotReady)
    );
    assert_eq!(psam_state(&world).0, PsamState::Absent);
    assert!(world.debits.is_empty());
    world.settle().unwrap();
}

#[test]
fn a_psam_that_comes_in_time_serves_the_sale_that_waits_for_it() {
    let mut world = shop();
    world.remove_psam(0);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    world.insert_psam(0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::Answer));
    world.settle().unwrap();
}

#[test]
fn a_card_that_is_pulled_while_it_waits_for_the_psam_may_come_back() {
    let mut world = shop();
    world.remove_psam(0);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    world.remove(0);
    world.rest().unwrap();
    let progress = world.shops[0].pos.tickets[ticket].progress;
    assert_eq!(progress, Some(Progress::WaitingForCard));
    world.insert_psam(0);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::Answer));
    world.settle().unwrap();
}

#[test]
fn noise_silence_or_another_state_at_init_sam_cost_a_reset_and_no_sale() {
    for oddity in [Oddity::Garbage, Oddity::AnswerLost, Oddity::WrongState] {
        let mut world = shop();
        let ticket = sale_until(&mut world, PSAM, CommandName::InitSam);
        psam(&mut world).oddity = Some(oddity);
        assert_eq!(
            paid_by(&wait_for_end(&mut world, ticket)),
            Some(PaidProof::Answer),
            "{oddity:?}"
        );
        assert_eq!(psam_state(&world), (PsamState::Ready, None));
        world.settle().unwrap();
    }
}

#[test]
fn a_psam_that_never_answers_is_given_up_and_the_sale_ends_by_that_name() {
    let mut world = shop();
    let ticket = sale_until(&mut world, PSAM, CommandName::InitSam);
    world.shops[0].devices[PSAM].stalled = 100_000;
    for _ in 0..4 {
        run_dry(&mut world);
        world.pass_to_timeout(0);
    }
    run_dry(&mut world);
    assert_eq!(end(&world, ticket), End::Closed(CloseReason::PsamNotReady));
    assert_eq!(psam_state(&world), (PsamState::Starting, Some(PsamFault::Silent)));
    world.settle().unwrap();
}

#[test]
fn a_psam_that_is_seen_to_leave_before_the_debit_is_sent_voids_the_sale() {
    let mut world = shop();
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| !world.shops[0].store.operations().is_empty());
    // The intent is on the disk, and the engine hears of the PSAM first.
    world.remove_psam(0);
    world.take(Step::Event(0, PSAM)).unwrap();
    world.rest().unwrap();
    assert_eq!(end(&world, ticket), End::NotDebited(VoidProof::NotSent));
    assert!(world.debits.is_empty());
    world.insert_psam(0);
    world.rest().unwrap();
    world.remove(0);
    let again = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    let End::Paid(slip) = end(&world, again) else {
        panic!("the next sale is paid");
    };
    assert_eq!(slip.terminal_sn, 2, "the first number is used up");
    world.settle().unwrap();
}

#[test]
fn a_debit_whose_psam_was_lost_is_proven_by_counter_and_log_and_the_claim_says_that_mac2_was_not_checked() {
    for oddity in [None, Some(Oddity::AnswerLost), Some(Oddity::WrongState)] {
        let mut world = shop();
        let ticket = sale_until(&mut world, PSAM, CommandName::CreditSam);
        match oddity {
            None => world.cut_psam(0),
            oddity => psam(&mut world).oddity = oddity,
        }
        assert_eq!(
            paid_by(&wait_for_end(&mut world, ticket)),
            Some(PaidProof::ProveNotCheckable),
            "{oddity:?}"
        );
        world.settle().unwrap();
    }
}

#[test]
fn an_answer_that_nobody_could_check_is_kept_until_the_card_comes_back_without_its_proof() {
    let mut world = shop();
    let ticket = sale_until(&mut world, PSAM, CommandName::CreditSam);
    world.cut_psam(0);
    world.remove(0);
    world.rest().unwrap();
    assert_eq!(end(&world, ticket), End::InDoubt(DoubtReason::Mac2NotChecked));
    // The card's own copy of the proof is gone for good.
    assert!(world.cards[0].pay_elsewhere(10));
    world.is_dirty = true;
    world.insert(0, 0, 0);
    world.rest().unwrap();
    // That the issuer accepts the evidence is checked with every claim.
    assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::ProveNotCheckable));
    world.settle().unwrap();
}

#[test]
fn a_card_with_a_wrong_mac2_is_in_dispute_and_never_becomes_a_payment() {
    let mut world = shop();
    let wrong = ScriptedFault::next(instruction::DEBIT, Fault::WrongMac2);
    world.cards[0].card.script(wrong);
    world.cards[0].is_counterfeit = true;
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_until(&mut world, |world| {
        world.shops[0].pos.tickets[ticket].told.is_some()
    });
    assert_eq!(end(&world, ticket), End::InDoubt(DoubtReason::Mac2Refused));
    let operation = &world.shops[0].store.operations()[0];
    assert!(operation.unproven_answer.is_some(), "the provider gets the TAC");
    let fault = PsamFault::RefusedCard(PsamError::Mac2Wrong);
    assert_eq!(psam_state(&world), (PsamState::Ready, Some(fault)));
    world.remove(0);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(end(&world, ticket), End::Queried(QueryReason::CardContradicts));
    world.settle().unwrap();
}

#[test]
fn a_psam_that_locked_itself_refuses_sales_by_that_name_until_it_was_unlocked() {
    let mut world = shop();
    psam(&mut world).is_locked = true;
    let first = begin(&mut world);
    world.insert(0, 0, 0);
    assert_eq!(
        wait_for_end(&mut world, first),
        End::Closed(CloseReason::PsamLocked)
    );
    let fault = PsamFault::Error(PsamError::Locked);
    assert_eq!(psam_state(&world), (PsamState::Refused, Some(fault)));
    world.remove(0);
    let second = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(
        end(&world, second),
        End::Closed(CloseReason::PsamLocked),
        "at once"
    );
    world.repair_psam(0);
    world.remove(0);
    let third = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, third)), Some(PaidProof::Answer));
    world.settle().unwrap();
}

#[test]
fn another_terminal_s_psam_is_refused_with_both_numbers_and_no_pin_is_asked_for() {
    let mut world = closed_shop_with(CardKind::NeedsPin);
    world.give_psam(0);
    psam(&mut world).is_foreign = true;
    world.restart(0).unwrap();
    world.rest().unwrap();
    let (state, fault) = psam_state(&world);
    assert_eq!(state, PsamState::Refused);
    let said = fault.unwrap().to_string();
    assert!(said.contains("103344") || said.contains("10223344"), "{said}");
    assert!(said.contains("11223344"), "{said}");
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    run_dry(&mut world);
    assert_eq!(end(&world, ticket), End::Closed(CloseReason::PsamMismatch));
    assert_eq!(world.shops[0].pins_given, 0);
    world.settle().unwrap();
}

#[test]
fn a_number_that_the_psam_gives_out_again_is_refused_by_name_before_the_debit_is_sent() {
    let mut world = shop();
    let kit = world.kit.clone();
    world
        .cards
        .push(Plastic::new(&kit, CardKind::PinFree, 1, 5_000, 7));
    begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    world.remove(0);
    psam(&mut world).counter = 0;
    // Another card: the same pair of terminal and number is enough.
    let again = begin(&mut world);
    world.insert(1, 0, 0);
    world.rest().unwrap();
    assert_eq!(end(&world, again), End::Closed(CloseReason::TerminalSnRepeated));
    assert_eq!((world.debits.len(), world.shops[0].debits_sent.len()), (1, 1));
    assert_eq!(psam_state(&world).1, Some(PsamFault::RepeatsNumbers));
    world.settle().unwrap();
}

/// Two sales, each at its own reader; the second one's card waits for the PSAM while the first one's debit is recorded.
fn two_sales(world: &mut World) -> [usize; 2] {
    let kit = world.kit.clone();
    world
        .cards
        .push(Plastic::new(&kit, CardKind::PinFree, 1, 5_000, 7));
    let tickets = [0, 1].map(|reader| {
        let ticket = world.new_ticket(0, PRICE);
        world.shops[0].pos.tickets[ticket].reader = Some(kit.readers[reader].clone());
        world.begin(0, ticket);
        ticket
    });
    world.rest().unwrap();
    world.insert(0, 0, 0);
    run_until(world, |world| {
        world.shops[0]
            .jobs
            .iter()
            .any(|job| matches!(job, crate::shop::Job::Commit(_)))
    });
    world.shops[0].journal_stalled = 100_000;
    world.insert(1, 0, 1);
    run_dry(world);
    tickets
}

#[test]
fn a_second_sale_waits_until_the_first_one_s_mac2_is_checked() {
    let mut world = shop();
    let [first, second] = two_sales(&mut world);
    assert_eq!(psam(&mut world).heard, [0x70]);
    let progress = world.shops[0].pos.tickets[second].progress;
    assert_eq!(progress, Some(Progress::WaitingForSam));
    world.rest().unwrap();
    for ticket in [first, second] {
        assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::Answer));
    }
    assert_eq!(psam(&mut world).heard, [0x70, 0x72, 0x70, 0x72]);
    world.settle().unwrap();
}

#[test]
fn a_sale_that_waits_too_long_for_another_one_ends_by_that_name_and_the_other_is_paid() {
    let mut world = shop();
    let [first, second] = two_sales(&mut world);
    world.pass_ms(0, 11_000);
    world.rest().unwrap();
    assert_eq!(end(&world, second), End::Closed(CloseReason::PsamBusy));
    assert_eq!(paid_by(&end(&world, first)), Some(PaidProof::Answer));
    world.settle().unwrap();
}

#[test]
fn a_card_that_comes_back_before_the_next_sale_still_has_its_mac2_checked() {
    let mut world = shop();
    let torn = doubt(&mut world, Fault::TearAfterExecute);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, torn)), Some(PaidProof::Prove));
    assert_eq!(psam(&mut world).heard, [0x70, 0x72]);
    world.settle().unwrap();
}

#[test]
fn a_card_that_comes_back_after_the_next_sale_is_proven_without_its_mac2() {
    let mut world = shop();
    let kit = world.kit.clone();
    world
        .cards
        .push(Plastic::new(&kit, CardKind::PinFree, 1, 5_000, 7));
    let torn = doubt(&mut world, Fault::TearAfterExecute);
    begin(&mut world);
    world.insert(1, 0, 0);
    world.rest().unwrap();
    world.remove(1);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, torn)), Some(PaidProof::ProveNotCheckable));
    world.settle().unwrap();
}

#[test]
fn a_garbled_answer_to_the_debit_is_made_good_by_prove_and_the_psam() {
    let mut world = shop();
    let garbled = ScriptedFault::next(instruction::DEBIT, Fault::GarbageAnswer);
    world.cards[0].card.script(garbled);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    world.rest().unwrap();
    assert_eq!(paid_by(&end(&world, ticket)), Some(PaidProof::Prove));
    world.settle().unwrap();
}

#[test]
fn the_psam_s_reader_serves_no_sale_and_reads_no_purse() {
    let mut world = shop();
    let ticket = world.new_ticket(0, PRICE);
    let reader = world.kit.psam_reader.clone();
    world.shops[0].pos.tickets[ticket].reader = Some(reader);
    world.begin(0, ticket);
    world.rest().unwrap();
    let it = &world.shops[0].pos.tickets[ticket];
    assert!(it.progress.is_none() && it.told.is_none(), "{it:?}");
    world.read_purse(0);
    world.rest().unwrap();
    assert!(psam(&mut world).heard.is_empty());
}

#[test]
fn a_psam_whose_reader_is_unplugged_and_comes_back_serves_again() {
    for failure in [CallFailure::DriverLost, CallFailure::DeviceGone] {
        let mut world = shop();
        world.unplug(0, PSAM, failure);
        world.rest().unwrap();
        assert_eq!(psam_state(&world).0, PsamState::Absent);
        world.shops[0].devices[PSAM].arrive();
        let ticket = begin(&mut world);
        world.insert(0, 0, 0);
        assert_eq!(
            paid_by(&wait_for_end(&mut world, ticket)),
            Some(PaidProof::Answer),
            "{failure:?}"
        );
        world.settle().unwrap();
    }
}

#[test]
fn a_psam_that_is_put_in_before_the_answer_about_its_absence_is_looked_at() {
    let mut world = closed_shop_with(CardKind::PinFree);
    world.give_psam(0);
    world.restart(0).unwrap();
    // Connect is on its way when the PSAM goes and comes.
    run_until(&mut world, |world| !world.shops[0].devices[PSAM].calls.is_empty());
    world.shops[0].devices[PSAM].holds_psam = false;
    world.take(Step::Device(0, PSAM)).unwrap();
    world.shops[0].devices[PSAM].holds_psam = true;
    let told = std::mem::take(&mut world.shops[0].devices[PSAM].done);
    world.shops[0].devices[PSAM].event(DeviceEvent::CardRemoved);
    world.shops[0].devices[PSAM].event(DeviceEvent::CardInserted);
    world.shops[0].devices[PSAM].done.extend(told);
    let ticket = begin(&mut world);
    world.insert(0, 0, 0);
    assert_eq!(
        paid_by(&wait_for_end(&mut world, ticket)),
        Some(PaidProof::Answer)
    );
    world.settle().unwrap();
}
