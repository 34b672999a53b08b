use purser_lab::card::{
    CardReply, Fault, Minor, OtherShop, PurseKind, ScriptedFault, StatusWord, instruction,
};

use crate::shop::*;

#[test]
fn a_debit_torn_before_it_executes_changes_nothing() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 7);
    let before = card.state().clone();
    card.script(ScriptedFault::next(instruction::DEBIT, Fault::TearBeforeExecute));
    assert_eq!(card.process(&bytes(&sale.debit)), CardReply::Torn);
    assert_eq!(card.state(), &before);
    assert_eq!(
        card.process(&bytes(SELECT)),
        CardReply::Torn,
        "it is away until power_on"
    );
    card.power_on();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, &sale.prove(2)), "9406");
    assert_eq!(send(&mut card, &initialize(2, 0)), "6982", "the PIN is forgotten");
}

#[test]
fn a_debit_torn_after_it_executed_is_proven_by_the_next_counter_value() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 7);
    card.script(ScriptedFault::next(instruction::DEBIT, Fault::TearAfterExecute));
    assert_eq!(card.process(&bytes(&sale.debit)), CardReply::Torn);
    assert_eq!((card.money(), card.state().ep.offline_sn), (1700, 1));
    card.power_on();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, &sale.prove(2)), sale.proof());
    assert!(send(&mut card, "00B201C417").contains("0000012C06112233445566"));
}

#[test]
fn a_pin_try_that_is_torn_after_execution_stays_used() {
    let mut card = card();
    send(&mut card, SELECT);
    card.script(ScriptedFault::next(instruction::VERIFY, Fault::TearAfterExecute));
    assert_eq!(card.process(&bytes("0020000003999999")), CardReply::Torn);
    assert_eq!(card.state().pin_tries_left, 2);
}

#[test]
fn a_counterfeit_card_takes_any_mac1_and_its_mac2_is_wrong_everywhere() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 7);
    card.script(ScriptedFault::next(instruction::DEBIT, Fault::WrongMac2));
    let mut debit = bytes(&sale.debit);
    debit[18] ^= 0x55;
    let answer = send(&mut card, &hex::encode(debit));
    assert!(answer.ends_with("9000") && answer.len() == 20);
    assert_ne!(answer[8..16], sale.mac2);
    let proof = send(&mut card, &sale.prove(2));
    assert_eq!(proof[..8], answer[8..16], "it stays by its lie");
}

#[test]
fn status_words_and_noise_are_told_with_and_without_execution() {
    let failed = StatusWord(0x6581);
    for (fault, expected, money) in [
        (Fault::StatusBeforeExecute(failed), "6581", 2000),
        (Fault::StatusAfterExecute(failed), "6581", 1700),
        (Fault::GarbageAnswer, "5AA53C", 1700),
    ] {
        let mut card = card();
        open(&mut card);
        let sale = Sale::begin(&mut card, 2, 300, 7);
        card.script(ScriptedFault::next(instruction::DEBIT, fault));
        assert_eq!(
            (send(&mut card, &sale.debit).as_str(), card.money()),
            (expected, money)
        );
    }
}

#[test]
fn a_mute_card_wakes_at_reset_with_its_money() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 7);
    card.script(ScriptedFault::next(instruction::DEBIT, Fault::MuteUntilReset));
    assert_eq!(card.process(&bytes(&sale.debit)), CardReply::Mute);
    assert_eq!(card.process(&bytes(SELECT)), CardReply::Mute);
    card.reset();
    open(&mut card);
    assert_eq!(card.money(), 2000);
}

#[test]
fn every_command_can_be_torn_on_both_sides() {
    for fault in [Fault::TearBeforeExecute, Fault::TearAfterExecute] {
        for skip in 0..4 {
            let mut card = card();
            card.script(ScriptedFault {
                instruction: None,
                skip,
                fault,
            });
            let mut answered = 0;
            for command in [SELECT, VERIFY, "805C000204", "00B095001E"] {
                match card.process(&bytes(command)) {
                    CardReply::Answer(_) => answered += 1,
                    reply => {
                        assert_eq!(reply, CardReply::Torn);
                        break;
                    }
                }
            }
            assert_eq!((answered, card.faults_waiting()), (skip, 0));
        }
    }
}

#[test]
fn faults_do_not_strike_in_other_shops_and_can_be_taken_back() {
    let mut card = card();
    card.script(ScriptedFault::next(instruction::DEBIT, Fault::TearBeforeExecute));
    card.pay_elsewhere(PurseKind::Ep, Minor(10), &OtherShop::default())
        .unwrap();
    assert_eq!((card.faults_waiting(), card.money()), (1, 1990));
    card.clear_script();
    assert_eq!(card.faults_waiting(), 0);
}
