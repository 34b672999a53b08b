//! PIN and VERIFY.

use purser_purse::pboc::*;
use purser_purse::{CardError, Protocol};

use crate::support::play;

fn verify(digits: &str, command: &str, status: &str) -> Result<(), CardError> {
    let profile = Profile {
        pin_kid: 0x07,
        ..Profile::default()
    };
    let pin = Pin::from_digits(&mut digits.as_bytes().to_vec()).unwrap();
    play(VerifyPin::new(&profile, pin, Protocol::TCl), &[(command, status)])
}

#[test]
fn the_pin_goes_as_packed_digits_and_an_odd_one_is_filled_with_f() {
    for (digits, command) in [
        ("1234", "00200007 02 1234"),
        ("12345", "00200007 03 12345F"),
        ("123456", "00200007 03 123456"),
        ("09876543210", "00200007 06 09876543210F"),
        ("098765432109", "00200007 06 098765432109"),
    ] {
        assert_eq!(verify(digits, command, "9000"), Ok(()));
    }
}

#[test]
fn the_card_tells_how_many_tries_are_left_until_it_blocks_the_pin() {
    let answer = |status| verify("1234", "00200007 02 1234", status);
    assert_eq!(answer("63C2"), Err(CardError::WrongPin { tries_left: 2 }));
    assert_eq!(answer("63CF"), Err(CardError::WrongPin { tries_left: 15 }));
    assert_eq!(answer("63C0"), Err(CardError::PinBlocked));
    assert_eq!(answer("6983"), Err(CardError::PinBlocked));
}

#[test]
fn what_is_no_pin_is_refused_and_the_digits_are_wiped_either_way() {
    for (digits, expected) in [
        ("123", Some(PinError::Length)),
        ("1234567890123", Some(PinError::Length)),
        ("", Some(PinError::Length)),
        ("12a4", Some(PinError::NotADigit)),
        ("12 4", Some(PinError::NotADigit)),
        ("1234", None),
    ] {
        let mut entered = digits.as_bytes().to_vec();
        assert_eq!(Pin::from_digits(&mut entered).err(), expected, "{digits}");
        assert!(entered.iter().all(|&digit| digit == 0));
    }
}

#[test]
fn debug_shows_nothing_of_a_pin() {
    let pin = Pin::from_digits(&mut b"1234".to_vec()).unwrap();
    assert_eq!(format!("{pin:?}"), "Pin(****)");
    let verify = VerifyPin::new(&Profile::default(), pin, Protocol::TCl);
    let shown = format!("{verify:?}");
    assert!(!shown.contains("1234") && !shown.contains("18, 52"), "{shown}");
}
