//! The commands of a load, byte by byte (epurse facts §1.5), what is stored of one, and the lab's published values.

use purser_purse::pboc::*;
use purser_purse::{CardError, CommandName, Protocol, Turn};

use crate::support::{array, h, play};

const INITIALIZE: &str = "80500002 0B 01 0000012C 001122334455";
const ANSWER: &str = "000003E8 0007 03 00 A1B2C3D4 2988AE5A 9000";
const CREDIT: &str = "80520000 0B 20111221 214822 3A845BF0";
const PROVE: &str = "805A0002 02 0008";

fn initialize(protocol: Protocol) -> InitializeLoad {
    let terminal_number = PsamTerminalNumber::new(array("001122334455"));
    InitializeLoad::new(
        &Profile::default(),
        PurseAmount::new(300),
        terminal_number,
        protocol,
    )
}

fn init() -> InitLoadAnswer {
    InitLoadAnswer {
        old_balance: PurseAmount::new(1000),
        online_sn: OnlineSn::new(7),
        key_version: KeyVersion(3),
        algorithm_id: AlgorithmId(0),
        random: CardRandom::new(array("A1B2C3D4")),
        mac1: LoadMac1::new(array("2988AE5A")),
    }
}

fn credit(protocol: Protocol) -> CreditLoad {
    // The published load of 2011-12-21 21:48:22.
    let release = LoadRelease::new(array("20111221214822"), array("3A845BF0")).unwrap();
    CreditLoad::new(&release, protocol)
}

fn prove(protocol: Protocol) -> ProveLoad {
    ProveLoad::new(PurseKind::Ep, OnlineSn::new(7), protocol).unwrap()
}

#[test]
fn initialize_sends_key_index_amount_and_terminal_and_reads_the_challenge_and_mac1() {
    let with_le = format!("{INITIALIZE} 10");
    for protocol in [Protocol::T1, Protocol::TCl] {
        assert_eq!(play(initialize(protocol), &[(&with_le, ANSWER)]), Ok(init()));
    }
    let script = [(INITIALIZE, "6110"), ("00C00000 10", ANSWER)];
    assert_eq!(play(initialize(Protocol::T0), &script), Ok(init()));
}

#[test]
fn initialize_for_load_of_a_deposit_names_the_deposit() {
    let profile = Profile {
        purse: PurseKind::Ed,
        ..Profile::default()
    };
    let over = PsamTerminalNumber::new(array("0A0B0C0D0E0F"));
    let dialogue = InitializeLoad::new(&profile, PurseAmount::new(300), over, Protocol::TCl);
    let script = [("80500001 0B 01 0000012C 0A0B0C0D0E0F 10", ANSWER)];
    assert_eq!(play(dialogue, &script), Ok(init()));
    let prove = ProveLoad::new(PurseKind::Ed, OnlineSn::new(7), Protocol::TCl).unwrap();
    let script = [("805A0001 02 0008 04", "01020304 9000")];
    assert_eq!(play(prove, &script), Ok(LoadTac::new(array("01020304"))));
}

#[test]
fn what_a_card_refuses_a_load_with_is_told_apart() {
    let command = format!("{INITIALIZE} 10");
    for (status, error) in [
        ("6982", CardError::PinNeeded),
        ("6985", CardError::ConditionsNotSatisfied),
        ("9402", CardError::CounterExhausted),
        ("9403", CardError::KeyIndexNotSupported),
    ] {
        assert_eq!(play(initialize(Protocol::TCl), &[(&command, status)]), Err(error));
    }
    for (status, error) in [
        ("9302", CardError::MacInvalid),
        ("6985", CardError::ConditionsNotSatisfied),
        ("6901", CardError::CommandNotAccepted),
    ] {
        let command = format!("{CREDIT} 04");
        assert_eq!(play(credit(Protocol::TCl), &[(&command, status)]), Err(error));
    }
    let command = format!("{PROVE} 04");
    let refused = play(prove(Protocol::TCl), &[(&command, "9406")]);
    assert_eq!(refused, Err(CardError::ProofNotAvailable));
}

#[test]
fn credit_sends_date_time_and_mac2_and_reads_the_tac() {
    let tac = Ok(LoadTac::new(array("422E9358")));
    let with_le = format!("{CREDIT} 04");
    assert_eq!(play(credit(Protocol::TCl), &[(&with_le, "422E9358 9000")]), tac);
    let script = [(CREDIT, "6104"), ("00C00000 04", "422E9358 9000")];
    assert_eq!(play(credit(Protocol::T0), &script), tac);
}

#[test]
fn prove_asks_for_the_next_counter_and_may_be_repeated() {
    let tac = Ok(LoadTac::new(array("422E9358")));
    let with_le = format!("{PROVE} 04");
    assert_eq!(play(prove(Protocol::TCl), &[(&with_le, "422E9358 9000")]), tac);
    let script = [(PROVE, "6C04"), (&with_le, "422E9358 9000")];
    assert_eq!(play(prove(Protocol::T0), &script), tac);
    assert!(ProveLoad::new(PurseKind::Ep, OnlineSn::new(u16::MAX), Protocol::TCl).is_none());
}

#[test]
fn credit_is_never_sent_twice_whatever_the_card_answers() {
    for status in 0..=u16::MAX {
        if let Turn::Transmit(next) =
            purser_purse::Dialogue::handle_response(credit(Protocol::TCl), &status.to_be_bytes())
        {
            let name = purser_purse::Dialogue::command(&next).name();
            assert_eq!(name, CommandName::GetResponse, "{status:04X}");
        }
    }
    let again = play(credit(Protocol::TCl), &[(&format!("{CREDIT} 04"), "6C04")]);
    assert_eq!(again, Err(CardError::WrongExpectedLength { available: 4 }));
}

#[test]
fn an_answer_that_is_too_short_or_too_long_is_refused_at_every_length() {
    fn refused<D: purser_purse::Dialogue>(dialogue: D, length: usize) -> CardError {
        let mut response = vec![0x11; length];
        response.extend(h("9000"));
        match dialogue.handle_response(&response) {
            Turn::Done(Err(error)) => error,
            _ => panic!("{length} bytes were accepted"),
        }
    }
    let wrong = |command, expected, found| CardError::WrongAnswerLength {
        command,
        expected,
        found,
    };
    for length in (0..40).filter(|&length| length != 16) {
        let error = refused(initialize(Protocol::TCl), length);
        assert_eq!(error, wrong(CommandName::InitializeLoad, 16, length));
    }
    for length in (0..40).filter(|&length| length != 4) {
        let error = refused(credit(Protocol::TCl), length);
        assert_eq!(error, wrong(CommandName::CreditLoad, 4, length));
        let error = refused(prove(Protocol::TCl), length);
        assert_eq!(error, wrong(CommandName::Prove, 4, length));
    }
}

fn attempt() -> LoadAttempt {
    LoadAttempt {
        issuer_id: IssuerId::new(array("1111222233334444")),
        serial: SerialNumber::new(array("00016225880012345678")),
        purse: PurseKind::Ep,
        key_index: 1,
        terminal_number: PsamTerminalNumber::new(array("001122334455")),
        amount: PurseAmount::new(300),
        init: init(),
    }
}

const ATTEMPT: &str = "4C01 1111222233334444 00016225880012345678 02 01 001122334455 0000012C \
                       000003E8 0007 03 00 A1B2C3D4 2988AE5A";

#[test]
fn an_attempt_to_load_has_its_golden_bytes() {
    assert_eq!(attempt().encode(), h(ATTEMPT));
    assert_eq!(h(ATTEMPT).len(), LOAD_ATTEMPT_LENGTH);
    assert_eq!(LoadAttempt::decode(&h(ATTEMPT)), Ok(attempt()));
    assert_eq!(attempt().new_balance(), Some(PurseAmount::new(1300)));
}

#[test]
fn an_attempt_to_load_is_refused_cut_at_every_byte_and_of_another_kind_or_purse() {
    let bytes = h(ATTEMPT);
    for length in 0..bytes.len() {
        assert!(LoadAttempt::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(
        LoadAttempt::decode(&longer),
        Err(DecodeError::Length { .. })
    ));
    for (index, byte) in [(0, 0x01), (1, 0x02)] {
        let mut other = bytes.clone();
        other[index] = byte;
        assert_eq!(LoadAttempt::decode(&other), Err(DecodeError::Version));
    }
    let mut other = bytes;
    other[20] = 0x07;
    let field = "the purse";
    assert_eq!(LoadAttempt::decode(&other), Err(DecodeError::Field { field }));
}

#[test]
fn an_attempt_to_load_and_one_to_debit_are_not_taken_for_each_other() {
    assert!(Attempt::decode(&h(ATTEMPT)).is_err());
    assert!(LoadAttempt::decode(&crate::support::attempt().encode()).is_err());
}

#[test]
fn a_release_whose_date_or_time_is_none_is_not_sent_to_a_card() {
    for (digits, field) in [("20261323093015", "the date"), ("20261123246000", "the time")] {
        let release = LoadRelease::new(array(digits), array("00000000"));
        assert_eq!(release, Err(DecodeError::Field { field }));
    }
}

#[test]
fn mac2_is_not_shown() {
    let release = LoadRelease::new(array("20261123093015"), array("3A845BF0")).unwrap();
    assert!(!format!("{release:?}").contains("3A845BF0"));
    assert!(format!("{release:?}").contains("LoadMac2(****)"));
}
