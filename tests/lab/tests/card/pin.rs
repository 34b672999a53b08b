use crate::shop::*;

const WRONG: &str = "0020000003999999";

#[test]
fn a_wrong_pin_counts_down_to_blocked_and_the_right_one_does_not_help_then() {
    let mut card = card();
    send(&mut card, SELECT);
    for answer in ["63C2", "63C1", "63C0", "6983"] {
        assert_eq!(send(&mut card, WRONG), answer);
    }
    assert_eq!(send(&mut card, VERIFY), "6983");
    card.power_off();
    card.power_on();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, VERIFY), "6983", "power does not unblock");
    assert_eq!(send(&mut card, &initialize(2, 1)), "6982");
}

#[test]
fn the_right_pin_gives_all_tries_back() {
    let mut card = card();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, WRONG), "63C2");
    assert_eq!(send(&mut card, WRONG), "63C1");
    assert_eq!(send(&mut card, VERIFY), "9000");
    assert_eq!(send(&mut card, WRONG), "63C2");
}

#[test]
fn a_wrong_pin_after_the_right_one_forgets_it() {
    let mut card = card();
    open(&mut card);
    send(&mut card, WRONG);
    assert_eq!(send(&mut card, &initialize(2, 1)), "6982");
}

#[test]
fn the_wallet_needs_the_pin_where_the_issuer_says_so_and_the_passbook_always() {
    let mut card = card_with(|fixed| fixed.ep_purchase_needs_pin = false);
    send(&mut card, SELECT);
    assert!(send(&mut card, &initialize(2, 1)).ends_with("9000"));
    assert_eq!(send(&mut card, &initialize(1, 1)), "6982");
    assert_eq!(send(&mut card, &initialize_load(2, 1)), "6982");

    let mut card = crate::shop::card();
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, &initialize(2, 1)), "6982");
}

#[test]
fn the_balance_is_behind_the_pin_where_the_issuer_says_so() {
    let mut card = card_with(|fixed| fixed.balance_needs_pin = true);
    send(&mut card, SELECT);
    assert_eq!(send(&mut card, "805C000204"), "6982");
    open(&mut card);
    assert_eq!(send(&mut card, "805C000204"), "000003E89000");
}

#[test]
fn whatever_ends_a_sale_locks_the_purse() {
    type End = fn(&mut purser_lab::card::Card);
    let ends: [(&str, End); 5] = [
        ("a completed purchase", |card| {
            let sale = Sale::begin(card, 2, 1, 1);
            assert_eq!(send(card, &sale.debit), sale.answer());
        }),
        ("reset", |card| {
            card.reset();
            send(card, SELECT);
        }),
        ("power", |card| {
            card.power_off();
            card.power_on();
            send(card, SELECT);
        }),
        ("selecting again", |card| drop(send(card, SELECT))),
        ("leaving for the MF", |card| {
            send(card, "00A40000023F00");
            send(card, "00A40000023F01");
        }),
    ];
    for (name, end) in ends {
        let mut card = card();
        open(&mut card);
        end(&mut card);
        assert_eq!(send(&mut card, &initialize(2, 1)), "6982", "after {name}");
    }
}

#[test]
fn pins_of_four_to_twelve_digits_are_verified_and_other_lengths_are_6700() {
    for digits in ["1234", "1234567890", "123456789012"] {
        let mut card = card_with(|fixed| fixed.pin = digits.parse().unwrap());
        send(&mut card, SELECT);
        assert_eq!(
            send(&mut card, &format!("00200000{:02X}{digits}", digits.len() / 2)),
            "9000"
        );
        assert_eq!(
            send(&mut card, "00200000021111"),
            "63C2",
            "a prefix or another PIN is wrong"
        );
    }
    let mut card = card();
    send(&mut card, SELECT);
    for wrong_length in [
        "0020000001AA",
        "00200000071234561234561A",
        "00200000",
        "0020000000",
    ] {
        assert_eq!(send(&mut card, wrong_length), "6700");
    }
    assert_eq!(card.state().pin_tries_left, 3);
}

#[test]
fn a_pin_is_four_to_twelve_digits_and_never_shows_them() {
    for wrong in ["", "12", "123", "12345", "12345678901234", "12x4", "12３４"] {
        assert!(wrong.parse::<purser_lab::card::Pin>().is_err(), "{wrong}");
    }
    let pin: purser_lab::card::Pin = "1234".parse().unwrap();
    assert_eq!(format!("{pin:?}"), "Pin(..)");
}
