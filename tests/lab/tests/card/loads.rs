use purser_lab::card::{Card, Minor, OtherShop, PurseKind, TerminalSn};
use purser_lab::issuer::{Masters, verify_purchase_tac};

use crate::shop::*;

/// Begins a load and answers CREDIT's APDU with the TAC that the card owes for it.
fn begin_load(card: &mut Card, purse: u8, amount: u32) -> (String, String) {
    let answer = send(card, &initialize_load(purse, amount));
    assert!(answer.ends_with("9000") && answer.len() == 36, "{answer}");
    let (balance, sn, rnd, mac1) = (&answer[..8], &answer[8..12], &answer[16..24], &answer[24..32]);
    let session = tdes(&diversify(LOAD_MASTER), &format!("{rnd}{sn}8000"));
    assert_eq!(
        mac1,
        mac(&session, &format!("{balance}{amount:08X}{purse:02X}{TERMINAL}"))
    );
    let mac2 = mac(&session, &format!("{amount:08X}{purse:02X}{TERMINAL}{DATE_TIME}"));
    let new = u32::from_str_radix(balance, 16).unwrap() + amount;
    let tac = mac(
        &tac_key(),
        &format!("{new:08X}{sn}{amount:08X}{purse:02X}{TERMINAL}{DATE_TIME}"),
    );
    (format!("805200000B{DATE_TIME}{mac2}04"), tac)
}

#[test]
fn a_load_moves_the_money_and_its_mac1_and_tac_are_those_of_the_formulas() {
    for purse in [1, 2] {
        let mut card = card();
        open(&mut card);
        let (credit, tac) = begin_load(&mut card, purse, 500);
        assert_eq!(send(&mut card, &credit), format!("{tac}9000"));
        assert_eq!(card.money(), 2500);
        assert_eq!(
            send(&mut card, &format!("805A00{purse:02X}020001")),
            format!("{tac}9000")
        );
        assert_eq!(
            send(&mut card, &initialize_load(purse, 1)),
            "6982",
            "the PIN is forgotten after a load"
        );
    }
}

#[test]
fn a_wrong_mac2_is_9302_and_changes_nothing() {
    let mut card = card();
    open(&mut card);
    let (credit, _) = begin_load(&mut card, 2, 500);
    let before = card.state().clone();
    let mut wrong = bytes(&credit);
    wrong[15] ^= 1;
    assert_eq!(send(&mut card, &hex::encode(wrong)), "9302");
    assert_eq!(card.state(), &before);
}

#[test]
fn a_purse_takes_its_maximum_and_no_more() {
    let mut card = card_with(|fixed| fixed.balance_max = Minor(1500));
    open(&mut card);
    assert_eq!(send(&mut card, &initialize_load(2, 501)), "6985");
    assert_eq!(send(&mut card, &initialize_load(2, u32::MAX)), "6985");
    let (credit, tac) = begin_load(&mut card, 2, 500);
    assert_eq!(send(&mut card, &credit), format!("{tac}9000"));
}

#[test]
fn a_payment_elsewhere_changes_counter_log_and_stored_proof_like_any_other() {
    let mut card = card();
    open(&mut card);
    let ours = Sale::begin(&mut card, 2, 300, 7);
    send(&mut card, &ours.debit);
    let shop = OtherShop {
        terminal_sn: TerminalSn(41),
        ..OtherShop::default()
    };
    let theirs = card.pay_elsewhere(PurseKind::Ep, Minor(50), &shop).unwrap();
    assert_eq!((theirs.offline_sn, card.money()), (2, 1650));
    let asn = card.personalisation().serial.asn();
    assert!(verify_purchase_tac(
        &Masters::public_lab(),
        asn,
        &theirs.purchase,
        theirs.tac
    ));

    card.power_on();
    open(&mut card);
    assert_eq!(
        send(&mut card, &ours.prove(2)),
        "9406",
        "our proof is overwritten"
    );
    assert!(send(&mut card, "805A0006020002").ends_with(&format!("{}9000", theirs.tac)));
    assert_eq!(
        send(&mut card, "00B201C417"),
        "00010000000000003206999999000001202611021200009000"
    );
}

#[test]
fn a_load_elsewhere_hides_the_debit_from_the_balance_and_keeps_its_proof() {
    let mut card = card();
    open(&mut card);
    let ours = Sale::begin(&mut card, 2, 300, 7);
    send(&mut card, &ours.debit);
    let loaded = card
        .load_elsewhere(PurseKind::Ep, Minor(300), &OtherShop::default())
        .unwrap();
    assert_eq!(loaded.online_sn, 1);
    card.power_on();
    open(&mut card);
    assert_eq!(send(&mut card, "805C000204"), "000003E89000");
    assert_eq!(send(&mut card, &ours.prove(2)), ours.proof());
    assert_eq!(send(&mut card, "805A0002020001"), format!("{}9000", loaded.tac));
}

#[test]
fn another_shop_is_refused_as_we_would_be() {
    let mut card = card();
    let refused = card.pay_elsewhere(PurseKind::Ep, Minor(1001), &OtherShop::default());
    assert_eq!(refused.unwrap_err().to_string(), "9401");
    assert_eq!(card.money(), 2000);
}
