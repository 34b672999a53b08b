//! The virtual PSAM when something goes wrong.

use purser_lab::card::{CardReply, ScriptedFault, StatusWord, TerminalSn};
use purser_lab::chip::Chip;
use purser_lab::psam::{Psam, PsamFault, instruction};

use crate::psam::{ADF, begin, initialize_sam, macs, psam};
use crate::shop::*;

fn struck(instruction: u8, fault: PsamFault) -> Psam {
    let mut psam = psam();
    send(&mut psam, ADF);
    psam.script(ScriptedFault::next(instruction, fault));
    psam
}

#[test]
fn power_lost_at_8070_uses_up_a_terminal_sn_only_where_it_was_executed() {
    for (fault, last) in [(PsamFault::LosePowerBefore, 41), (PsamFault::LosePowerAfter, 42)] {
        let mut psam = struck(instruction::INITIALIZE, fault);
        assert_eq!(psam.process(&bytes(&initialize_sam())), CardReply::Torn);
        assert_eq!(
            psam.process(&bytes(ADF)),
            CardReply::Torn,
            "it is away until power_on"
        );
        assert_eq!(psam.state().terminal_sn, TerminalSn(last));
        psam.power_on(1);
        assert_eq!(begin(&mut psam).0, last + 1);
    }
}

#[test]
fn power_lost_at_8072_keeps_the_count_of_wrong_mac2() {
    for (fault, left) in [(PsamFault::LosePowerBefore, 3), (PsamFault::LosePowerAfter, 2)] {
        let mut psam = struck(instruction::CREDIT, fault);
        begin(&mut psam);
        assert_eq!(psam.process(&bytes("807200000400000000")), CardReply::Torn);
        assert_eq!(psam.state().mac_tries_left, left);
        psam.power_on(1);
        send(&mut psam, ADF);
        assert_eq!(send(&mut psam, "807200000400000000"), "6901");
    }
}

#[test]
fn power_lost_once_8070_is_answered_leaves_a_terminal_sn_and_nothing_to_check_a_mac2_by() {
    let mut psam = struck(instruction::INITIALIZE, PsamFault::LosePowerOnceAnswered);
    let (mac1, mac2) = macs(42, &[ASN]);
    let answer = bytes(&format!("0000002A{mac1}9000"));
    assert_eq!(
        psam.process(&bytes(&initialize_sam())),
        CardReply::LastAnswer(answer)
    );
    assert_eq!(psam.process(&bytes(ADF)), CardReply::Torn);
    psam.power_on(1);
    send(&mut psam, ADF);
    assert_eq!(send(&mut psam, &format!("8072000004{mac2}")), "6901");
}

#[test]
fn a_wrong_mac1_is_wrong_and_mac2_is_still_checked() {
    let mut psam = struck(instruction::INITIALIZE, PsamFault::WrongMac1);
    let answer = send(&mut psam, &initialize_sam());
    let (mac1, mac2) = macs(42, &[ASN]);
    assert!(answer.starts_with("0000002A") && answer.ends_with("9000"));
    assert_ne!(answer[8..16], mac1);
    assert_eq!(send(&mut psam, &format!("8072000004{mac2}")), "9000");
}

#[test]
fn a_lying_psam_gives_its_last_terminal_sn_again_with_a_mac1_that_fits() {
    let mut psam = psam();
    assert_eq!(begin(&mut psam).0, 42);
    psam.script(ScriptedFault::next(
        instruction::INITIALIZE,
        PsamFault::RepeatTerminalSn,
    ));
    assert_eq!(begin(&mut psam).0, 42);
    assert_eq!(begin(&mut psam).0, 43, "it lies once");
}

#[test]
fn status_words_and_noise_are_told_with_and_without_execution() {
    let failed = StatusWord(0x6581);
    for (fault, answer, last) in [
        (PsamFault::StatusBefore(failed), "6581", 41),
        (PsamFault::StatusAfter(failed), "6581", 42),
        (PsamFault::GarbageAnswer, "5AA53C", 42),
    ] {
        let mut psam = struck(instruction::INITIALIZE, fault);
        assert_eq!(send(&mut psam, &initialize_sam()), answer);
        assert_eq!(psam.state().terminal_sn, TerminalSn(last));
    }
}

#[test]
fn a_mute_psam_wakes_at_reset_and_faults_can_be_taken_back() {
    let mut psam = struck(instruction::INITIALIZE, PsamFault::MuteUntilReset);
    assert_eq!(psam.process(&bytes(&initialize_sam())), CardReply::Mute);
    assert_eq!(psam.process(&bytes(ADF)), CardReply::Mute);
    Chip::reset(&mut psam);
    assert_eq!(begin(&mut psam).0, 42);
    psam.script(ScriptedFault::next(instruction::CREDIT, PsamFault::GarbageAnswer));
    assert_eq!(psam.faults_waiting(), 1);
    psam.clear_script();
    assert_eq!(psam.faults_waiting(), 0);
}
