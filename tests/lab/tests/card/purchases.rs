use purser_lab::card::{
    Asn, CardDate, CardTime, Life, Mac, Minor, Opening, Purchase, PurseKind, Purses, TerminalSn,
};
use purser_lab::issuer::{Masters, verify_purchase_tac};

use crate::shop::*;

#[test]
fn a_purchase_moves_the_money_and_its_tac_and_mac2_are_those_of_the_formulas() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 0xABCD_0017);
    assert_eq!((sale.old_balance, sale.sn), (1000, 0));
    assert_eq!(send(&mut card, &sale.debit), sale.answer());
    assert_eq!(send(&mut card, "805C000204"), "000002BC9000");
    assert_eq!(card.money(), 1700);
}

#[test]
fn the_issuer_accepts_the_tac_of_the_purchase_and_of_no_other() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 7);
    send(&mut card, &sale.debit);
    let tac: Mac = sale.tac.parse().unwrap();
    let asn: Asn = ASN.parse().unwrap();
    let purchase = Purchase {
        purse: PurseKind::Ep,
        amount: Minor(300),
        terminal: TERMINAL.parse().unwrap(),
        terminal_sn: TerminalSn(7),
        date: CardDate([0x20, 0x26, 0x11, 0x02]),
        time: CardTime([0x15, 0x30, 0x00]),
    };
    let masters = Masters::public_lab();
    assert!(verify_purchase_tac(&masters, asn, &purchase, tac));
    for other in [
        Purchase {
            amount: Minor(301),
            ..purchase
        },
        Purchase {
            purse: PurseKind::Ed,
            ..purchase
        },
        Purchase {
            terminal_sn: TerminalSn(8),
            ..purchase
        },
        Purchase {
            time: CardTime([0x15, 0x30, 0x01]),
            ..purchase
        },
    ] {
        assert!(!verify_purchase_tac(&masters, asn, &other, tac), "{other:?}");
    }
    assert!(
        !verify_purchase_tac(&masters, Asn([0; 8]), &purchase, tac),
        "another card"
    );
}

#[test]
fn both_purses_count_apart() {
    let mut card = card();
    for (purse, terminal_sn) in [(1, 1), (2, 2), (2, 3)] {
        open(&mut card);
        let sale = Sale::begin(&mut card, purse, 100, terminal_sn);
        assert_eq!(send(&mut card, &sale.debit), sale.answer());
    }
    assert_eq!((card.state().ed.offline_sn, card.state().ep.offline_sn), (1, 2));
    assert_eq!(
        (card.balance(PurseKind::Ed), card.balance(PurseKind::Ep)),
        (Minor(900), Minor(800))
    );
}

#[test]
fn initialize_may_be_repeated_and_only_the_last_challenge_counts() {
    let mut card = card();
    open(&mut card);
    let first = Sale::begin(&mut card, 2, 100, 1);
    let second = Sale::begin(&mut card, 2, 100, 1);
    assert_ne!(first.debit, second.debit);
    assert_eq!(send(&mut card, &first.debit), "9302");
    let third = Sale::begin(&mut card, 2, 100, 1);
    assert_eq!(third.sn, 0);
    assert_eq!(send(&mut card, &third.debit), third.answer());
}

#[test]
fn a_wrong_mac1_is_9302_and_changes_nothing() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 100, 1);
    let before = card.state().clone();
    let mut wrong = bytes(&sale.debit);
    wrong[19] ^= 1;
    assert_eq!(send(&mut card, &hex::encode(wrong)), "9302");
    assert_eq!(card.state(), &before);
}

#[test]
fn a_debit_that_is_sent_again_is_6985() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 100, 1);
    assert_eq!(send(&mut card, &sale.debit), sale.answer());
    assert_eq!(send(&mut card, &sale.debit), "6985");
    assert_eq!(card.money(), 1900);
}

#[test]
fn any_command_between_initialize_and_debit_forgets_the_purchase() {
    for between in ["805C000204", "00B095001E", "0084000004", "00FF000000", "80A4"] {
        let mut card = card();
        open(&mut card);
        let sale = Sale::begin(&mut card, 2, 100, 1);
        send(&mut card, between);
        // Two bytes are no command: they are refused before anything is forgotten.
        let expected = if between == "80A4" {
            sale.answer()
        } else {
            "6985".to_owned()
        };
        assert_eq!(send(&mut card, &sale.debit), expected, "after {between}");
    }
}

#[test]
fn a_debit_while_a_load_is_begun_is_6901_and_a_credit_in_a_purchase_too() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 100, 1);
    send(&mut card, &initialize_load(2, 100));
    assert_eq!(send(&mut card, &sale.debit), "6901");
    send(&mut card, &initialize(2, 100));
    assert_eq!(send(&mut card, "805200000B202611021530000000000004"), "6901");
    assert_eq!(send(&mut card, "805200000B202611021530000000000004"), "6985");
}

#[test]
fn the_balance_pays_to_its_last_unit_and_not_beyond() {
    let mut card = card();
    open(&mut card);
    assert_eq!(send(&mut card, &initialize(2, 1001)), "9401");
    let sale = Sale::begin(&mut card, 2, 1000, 1);
    assert_eq!(send(&mut card, &sale.debit), sale.answer());
    open(&mut card);
    assert_eq!(send(&mut card, &initialize(2, 1)), "9401");
    assert!(send(&mut card, &initialize(2, 0)).ends_with("9000"));
}

#[test]
fn amount_zero_is_a_setting_of_the_card() {
    let mut card = card_with(|fixed| fixed.zero_amount_accepted = false);
    open(&mut card);
    assert_eq!(send(&mut card, &initialize(2, 0)), "6A80");
    assert!(send(&mut card, &initialize(2, 1)).ends_with("9000"));
}

#[test]
fn an_unknown_key_index_is_9403() {
    let mut card = card();
    open(&mut card);
    assert_eq!(
        send(&mut card, &format!("805001020B0200000064{TERMINAL}")),
        "9403"
    );
    assert_eq!(
        send(&mut card, &format!("805000020B0200000064{TERMINAL}")),
        "9403"
    );
}

#[test]
fn the_counter_ends_at_ffff() {
    let fixed = Masters::public_lab().personalise(purser_lab::issuer::LAB_SERIAL);
    let opening = Opening {
        ed: Minor(0),
        ep: Minor(10),
        sn: 0xFFFE,
    };
    let mut card = purser_lab::card::Card::new(fixed.into(), opening);
    card.power_on();
    open(&mut card);
    let last = Sale::begin(&mut card, 2, 1, 1);
    assert_eq!(send(&mut card, &last.debit), last.answer());
    assert_eq!(send(&mut card, &last.prove(2)), last.proof());
    open(&mut card);
    assert_eq!(send(&mut card, &initialize(2, 1)), "9402");
    assert!(
        send(&mut card, &initialize_load(2, 1)).ends_with("9000"),
        "the other counter goes on"
    );
}

#[test]
fn a_purse_that_the_card_does_not_have_is_6a82() {
    let mut card = card_with(|fixed| fixed.purses = Purses::EpOnly);
    open(&mut card);
    for command in ["805C000104", &initialize(1, 1), &initialize_load(1, 1)] {
        assert_eq!(send(&mut card, command), "6A82");
    }
    let mut card = card_with(|fixed| fixed.purses = Purses::EdOnly);
    open(&mut card);
    assert_eq!(send(&mut card, "805C000204"), "6A82");
    assert_eq!(send(&mut card, "805C000104"), "000003E89000");
}

#[test]
fn a_blocked_application_answers_6283_then_6a81_and_a_dead_one_9303() {
    let mut card = card();
    card.set_life(Life::Blocked);
    assert!(send(&mut card, SELECT).ends_with("6283"));
    let commands = [
        VERIFY,
        "805C000204",
        &initialize(2, 1),
        &initialize_load(2, 1),
        "805A0006020001",
    ];
    for command in commands {
        assert_eq!(send(&mut card, command), "6A81", "{command}");
    }
    assert!(
        send(&mut card, "00B095001E").ends_with("9000"),
        "who it is may still be read"
    );
    card.set_life(Life::Dead);
    for command in commands.iter().chain(&[SELECT]) {
        assert_eq!(send(&mut card, command), "9303", "{command}");
    }
}

#[test]
fn a_card_that_dies_between_initialize_and_debit_keeps_the_money() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 100, 1);
    card.set_life(Life::Dead);
    assert_eq!(send(&mut card, &sale.debit), "9303");
    assert_eq!(card.money(), 2000);
}
