//! `61xx` and `6Cxx`: what is fetched, what is repeated, and what never is (rule P2).

use purser_purse::pboc::*;
use purser_purse::{CardError, CommandName, Dialogue, Protocol, Turn};

use crate::support::{MAC1, array, attempt, h, play};

fn balance(script: &[(&str, &str)]) -> Result<PurseAmount, CardError> {
    play(GetBalance::new(PurseKind::Ep, Protocol::T0), script)
}

fn prove(script: &[(&str, &str)]) -> Result<DebitAnswer, CardError> {
    play(Prove::new(&attempt(), Protocol::T0).unwrap(), script)
}

const PROOF: &str = "8234E085 01020304 9000";

#[test]
fn a_wrong_le_is_corrected_once_the_card_tells_the_right_one() {
    assert_eq!(
        balance(&[
            ("805C0002 04", "6C05"),
            ("805C0002 05", "6C04"),
            ("805C0002 04", "0000000A 9000")
        ]),
        Ok(PurseAmount::new(10))
    );
    let with_le = [("805A0006 02 0008", "6C08"), ("805A0006 02 0008 08", PROOF)];
    assert!(prove(&with_le).is_ok());
}

#[test]
fn data_that_waits_in_the_card_is_fetched_also_in_two_pieces() {
    assert!(prove(&[("805A0006 02 0008", "6108"), ("00C00000 08", PROOF)]).is_ok());
    let in_pieces = [
        ("805A0006 02 0008", "6108"),
        ("00C00000 08", "6C04"),
        ("00C00000 04", "8234E085 6104"),
        ("00C00000 04", "01020304 9000"),
    ];
    assert!(prove(&in_pieces).is_ok());
}

#[test]
fn a_card_that_always_wants_one_more_round_is_given_up() {
    let more = ("00C00000 08", "6108");
    let script = [("805A0006 02 0008", "6108"), more, more, more, more];
    let command = CommandName::Prove;
    assert_eq!(prove(&script), Err(CardError::TooManyRounds { command }));
    let again = ("805C0002 04", "6C04");
    let command = CommandName::GetBalance;
    assert_eq!(balance(&[again; 5]), Err(CardError::TooManyRounds { command }));
}

#[test]
fn debit_is_never_sent_twice_whatever_the_card_answers() {
    for status in 0..=u16::MAX {
        let debit = Debit::new(&attempt(), &Mac1::new(array(MAC1)), Protocol::TCl);
        if let Turn::Transmit(next) = debit.handle_response(&status.to_be_bytes()) {
            assert_eq!(next.command().name(), CommandName::GetResponse, "{status:04X}");
            let again = next.handle_response(&h("6C08"));
            let Turn::Transmit(next) = again else {
                panic!("GET RESPONSE may be repeated")
            };
            assert_eq!(next.command().as_bytes(), h("00C0000008"));
        }
    }
}

#[test]
fn verify_is_never_sent_twice_whatever_the_card_answers() {
    for status in 0..=u16::MAX {
        let pin = Pin::from_digits(&mut b"123456".to_vec()).unwrap();
        let verify = VerifyPin::new(&Profile::default(), pin, Protocol::T0);
        if let Turn::Transmit(next) = verify.handle_response(&status.to_be_bytes()) {
            assert_eq!(next.command().name(), CommandName::GetResponse, "{status:04X}");
        }
    }
}

#[test]
fn another_length_for_debit_is_an_error_and_no_reason_to_send_it_again() {
    let debit = Debit::new(&attempt(), &Mac1::new(array(MAC1)), Protocol::TCl);
    let script = [("80540100 0F 0000002A 20261123 093015 EE033EAC 08", "6C08")];
    assert_eq!(
        play(debit, &script),
        Err(CardError::WrongExpectedLength { available: 8 })
    );
}

#[test]
fn an_answer_without_status_word_is_an_error() {
    let command = CommandName::GetBalance;
    for response in ["", "90"] {
        let error = balance(&[("805C0002 04", response)]);
        assert_eq!(error, Err(CardError::NoStatusWord { command }));
    }
}
