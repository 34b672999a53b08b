//! Golden APDUs: each command byte by byte (epurse facts §1.5), and what its answer means.

use purser_purse::pboc::*;
use purser_purse::{CardError, CommandName, Protocol};

use crate::support::{MAC1, array, attempt, h, play};

const SELECT: &str = "00A40400 09 A00000000386980701 00";
const READ_0015: &str = "00B09500 1E";
const FILE_0015: &str = "1111222233334444 02 07 00016225880012345678 20250101 20991231 55AA 9000";

fn identify(script: &[(&str, &str)]) -> Result<CardFacts, CardError> {
    play(Identify::new(&Profile::default(), Protocol::TCl), script)
}

#[test]
fn identify_selects_the_application_and_reads_file_0015() {
    let facts = identify(&[(SELECT, "6F00 9000"), (READ_0015, FILE_0015)]).unwrap();
    assert_eq!(facts.issuer_id.to_hex(), "1111222233334444");
    assert_eq!((facts.app_type, facts.app_version), (0x02, 0x07));
    assert_eq!(facts.serial.to_hex(), "00016225880012345678");
    assert_eq!(facts.asn.to_hex(), "6225880012345678");
    assert_eq!(facts.start.to_string(), "2025-01-01");
    assert_eq!(facts.expiry.to_string(), "2099-12-31");
    assert!(attempt().is_of(&facts));
}

#[test]
fn a_card_without_the_application_or_its_file_is_a_foreign_card() {
    for status in ["6A82", "6D00", "6E00"] {
        assert_eq!(identify(&[(SELECT, status)]), Err(CardError::ForeignCard));
    }
    for status in ["6A82", "6981", "6986", "6B00"] {
        let script = [(SELECT, "9000"), (READ_0015, status)];
        assert_eq!(identify(&script), Err(CardError::ForeignCard));
    }
}

#[test]
fn a_blocked_application_is_told_apart_from_a_foreign_one() {
    assert_eq!(
        identify(&[(SELECT, "6F00 6283")]),
        Err(CardError::ApplicationBlocked)
    );
    assert_eq!(
        identify(&[(SELECT, "9303")]),
        Err(CardError::ApplicationPermanentlyBlocked)
    );
}

#[test]
fn a_validity_that_is_no_date_is_the_issuers_fault() {
    let file = FILE_0015.replace("20991231", "20991331");
    assert_eq!(
        identify(&[(SELECT, "9000"), (READ_0015, &file)]),
        Err(CardError::BadDate)
    );
}

#[test]
fn get_balance_reads_four_bytes() {
    let balance = play(
        GetBalance::new(PurseKind::Ep, Protocol::T1),
        &[("805C0002 04", "FFFFFFFE 9000")],
    );
    assert_eq!(balance, Ok(PurseAmount::new(u32::MAX - 1)));
    let balance = play(
        GetBalance::new(PurseKind::Ed, Protocol::T1),
        &[("805C0001 04", "00000000 9000")],
    );
    assert_eq!(balance, Ok(PurseAmount::ZERO));
}

fn initialize(protocol: Protocol) -> InitializePurchase {
    let terminal_number = PsamTerminalNumber::new(array("001122334455"));
    InitializePurchase::new(
        &Profile::default(),
        PurseAmount::new(300),
        terminal_number,
        protocol,
    )
}

#[test]
fn initialize_sends_key_index_amount_and_terminal_and_reads_the_challenge() {
    let script = [(
        "80500102 0B 01 0000012C 001122334455 0F",
        "000003E8 0007 000102 03 00 A1B2C3D4 9000",
    )];
    assert_eq!(
        play(initialize(Protocol::TCl), &script),
        Ok(InitAnswer {
            old_balance: PurseAmount::new(1000),
            offline_sn: OfflineSn::new(7),
            overdraft_limit: PurseAmount::new(0x0102),
            key_version: KeyVersion(3),
            algorithm_id: AlgorithmId(0),
            random: CardRandom::new(array("A1B2C3D4")),
        })
    );
}

#[test]
fn initialize_tells_a_missing_pin_from_missing_money() {
    let command = "80500102 0B 01 0000012C 001122334455 0F";
    for (status, error) in [
        ("9401", CardError::InsufficientFunds),
        ("6982", CardError::PinNeeded),
        ("9402", CardError::CounterExhausted),
        ("9403", CardError::KeyIndexNotSupported),
    ] {
        assert_eq!(play(initialize(Protocol::TCl), &[(command, status)]), Err(error));
    }
}

#[test]
fn the_deposit_of_a_card_is_used_where_it_is_configured() {
    let profile = Profile {
        purse: PurseKind::Ed,
        key_index: 2,
        ..Profile::default()
    };
    let terminal_number = PsamTerminalNumber::new(array("001122334455"));
    let initialize = InitializePurchase::new(&profile, PurseAmount::SMALLEST, terminal_number, Protocol::T0);
    let script = [("80500101 0B 02 00000001 001122334455", "6985")];
    assert_eq!(play(initialize, &script), Err(CardError::ConditionsNotSatisfied));
    let attempt = Attempt {
        purse: PurseKind::Ed,
        ..attempt()
    };
    let prove = Prove::new(&attempt, Protocol::T1).unwrap();
    assert_eq!(
        play(prove, &[("805A0005 02 0008 08", "9406")]),
        Err(CardError::ProofNotAvailable)
    );
}

fn debit(protocol: Protocol) -> Debit {
    Debit::new(&attempt(), &Mac1::new(array(MAC1)), protocol)
}

const DEBIT: &str = "80540100 0F 0000002A 20261123 093015 EE033EAC";

fn answer() -> DebitAnswer {
    DebitAnswer {
        tac: Tac::new(array("01020304")),
        mac2: Mac2::new(array("8234E085")),
    }
}

#[test]
fn debit_sends_terminal_sn_time_and_mac1_and_reads_tac_before_mac2() {
    let with_le = format!("{DEBIT} 08");
    for protocol in [Protocol::T1, Protocol::TCl] {
        let script = [(&*with_le, "01020304 8234E085 9000")];
        assert_eq!(play(debit(protocol), &script), Ok(answer()));
    }
    let script = [(DEBIT, "6108"), ("00C00000 08", "01020304 8234E085 9000")];
    assert_eq!(play(debit(Protocol::T0), &script), Ok(answer()));
}

#[test]
fn the_proof_has_mac2_before_tac() {
    let prove = Prove::new(&attempt(), Protocol::TCl).unwrap();
    let script = [("805A0006 02 0008 08", "8234E085 01020304 9000")];
    assert_eq!(play(prove, &script), Ok(answer()));
}

#[test]
fn there_is_no_proof_to_ask_for_beyond_the_end_of_the_counter() {
    let attempt = Attempt {
        offline_sn: OfflineSn::new(u16::MAX),
        ..attempt()
    };
    assert!(Prove::new(&attempt, Protocol::TCl).is_none());
}

const RECORD: &str = "0008 000000 0000012C 06 001122334455 20261123 093015 9000";

#[test]
fn the_log_is_read_from_the_newest_record_to_the_first_that_is_not_there() {
    let script = [
        ("00B201C4 17", RECORD),
        (
            "00B202C4 17",
            "0002 000000 000003E8 02 998877665544 FFFFFFFF FFFFFF 9000",
        ),
        ("00B203C4 17", "6A83"),
    ];
    let records = play(ReadLog::new(Protocol::TCl), &script).unwrap();
    let [ours, load] = records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        ours,
        LogRecord {
            sn: 8,
            overdraft_limit: PurseAmount::ZERO,
            amount: PurseAmount::new(300),
            kind: 6,
            terminal_number: PsamTerminalNumber::new(array("001122334455")),
            date: array("20261123"),
            time: array("093015"),
        }
    );
    assert!(ours.names(&attempt()));
    assert!(!load.names(&attempt()));
    assert_eq!((load.kind, load.amount), (2, PurseAmount::new(1000)));
}

#[test]
fn a_place_of_the_log_that_was_never_written_is_its_end() {
    for filler in ["00", "FF"] {
        let blank = format!("{}9000", filler.repeat(23));
        let script = [("00B201C4 17", RECORD), ("00B202C4 17", &*blank)];
        assert_eq!(play(ReadLog::new(Protocol::TCl), &script).unwrap().len(), 1);
    }
}

#[test]
fn a_log_without_end_is_not_read_without_end() {
    let commands: Vec<_> = (1..=LOG_RECORDS_MAX)
        .map(|number| format!("00B2{number:02X}C4 17"))
        .collect();
    let script: Vec<_> = commands.iter().map(|command| (&**command, RECORD)).collect();
    let records = play(ReadLog::new(Protocol::TCl), &script).unwrap();
    assert_eq!(records.len(), usize::from(LOG_RECORDS_MAX));
}

#[test]
fn an_answer_that_is_too_short_or_too_long_is_refused_at_every_length() {
    fn refused<D: purser_purse::Dialogue>(dialogue: D, length: usize) -> CardError {
        let mut response = vec![0x11; length];
        response.extend(h("9000"));
        match dialogue.handle_response(&response) {
            purser_purse::Turn::Done(Err(error)) => error,
            _ => panic!("{length} bytes were accepted"),
        }
    }
    let wrong = |command, expected, found| CardError::WrongAnswerLength {
        command,
        expected,
        found,
    };
    for length in (0..40).filter(|&length| length != 4) {
        let error = refused(GetBalance::new(PurseKind::Ep, Protocol::TCl), length);
        assert_eq!(error, wrong(CommandName::GetBalance, 4, length));
    }
    for length in (0..40).filter(|&length| length != 8) {
        let error = refused(debit(Protocol::TCl), length);
        assert_eq!(error, wrong(CommandName::Debit, 8, length));
        let error = refused(Prove::new(&attempt(), Protocol::TCl).unwrap(), length);
        assert_eq!(error, wrong(CommandName::Prove, 8, length));
    }
    for length in (0..40).filter(|&length| length != 15) {
        let error = refused(initialize(Protocol::TCl), length);
        assert_eq!(error, wrong(CommandName::InitializePurchase, 15, length));
    }
    for length in (0..40).filter(|&length| length != 23) {
        let error = refused(ReadLog::new(Protocol::TCl), length);
        assert_eq!(error, wrong(CommandName::ReadRecord, 23, length));
    }
    let file = h(FILE_0015);
    for length in 0..30 {
        let response = format!("{}9000", hex::encode(&file[..length]));
        let error = identify(&[(SELECT, "9000"), (READ_0015, &response)]);
        assert_eq!(error, Err(wrong(CommandName::ReadBinary, 30, length)));
    }
}
