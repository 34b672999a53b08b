use purser_lab::card::{Card, Interface};

use crate::shop::*;

fn t0_card() -> Card {
    card_with(|fixed| fixed.interface = Interface::T0)
}

#[test]
fn an_answer_to_a_command_with_data_waits_for_get_response() {
    let mut card = t0_card();
    assert_eq!(send(&mut card, &format!("{SELECT}00")), "6134");
    assert_eq!(send(&mut card, "00C0000010"), "6C34");
    assert_eq!(send(&mut card, "00C0000000"), "6C34");
    assert!(send(&mut card, "00C0000034").starts_with("6F328409A00000000386980701"));
    assert_eq!(send(&mut card, "00C0000034"), "6985", "it is given once");
    assert_eq!(send(&mut card, VERIFY), "9000", "no data, no 61xx");
}

#[test]
fn a_wrong_le_is_6c_with_the_right_one() {
    let mut card = t0_card();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, "805C000200"), "6C04");
    assert_eq!(send(&mut card, "805C000205"), "6C04");
    assert_eq!(send(&mut card, "805C000204"), "000003E89000");
    assert_eq!(send(&mut card, "00B0950000"), "6C1E");
    assert_eq!(send(&mut card, "00B09500FF"), "6C1E");
    assert_eq!(send(&mut card, "00B0950C08"), format!("{ASN}9000"));
}

#[test]
fn a_debit_is_executed_when_61_is_said_and_get_response_does_not_forget_a_purchase() {
    let mut card = t0_card();
    send(&mut card, SELECT);
    send(&mut card, VERIFY);
    assert_eq!(send(&mut card, &initialize(2, 100)), "610F");
    let answer = send(&mut card, "00C000000F");
    assert_eq!(&answer[..12], "000003E80000");
    let session = tdes(
        &diversify(PURCHASE_MASTER),
        &format!("{}00000001", &answer[22..30]),
    );
    let mac1 = mac(&session, &format!("0000006406{TERMINAL}{DATE_TIME}"));
    assert_eq!(
        send(&mut card, &format!("805401000F00000001{DATE_TIME}{mac1}08")),
        "6108"
    );
    assert_eq!(card.money(), 1900);
    let tac = mac(&tac_key(), &format!("0000006406{TERMINAL}00000001{DATE_TIME}"));
    let mac2 = mac(&session, "00000064");
    assert_eq!(send(&mut card, "00C0000008"), format!("{tac}{mac2}9000"));
    assert_eq!(send(&mut card, "805A000602000108"), "6108");
    assert_eq!(send(&mut card, "00C0000008"), format!("{mac2}{tac}9000"));
}

#[test]
fn another_command_discards_the_answer_that_waits() {
    let mut card = t0_card();
    send(&mut card, SELECT);
    send(&mut card, "805C000204");
    assert_eq!(send(&mut card, "00C0000034"), "6985");
}
