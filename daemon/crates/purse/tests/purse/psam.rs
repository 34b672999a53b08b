//! The PSAM's dialogues: the bytes that are sent, what each answer means, and what is cut off at any byte.
//!
//! The commands are written out from the published layout (epurse facts §1.7); MAC1 and MAC2 are those of OpenSSL.

use purser_purse::pboc::psam::{
    CreditSamForPurchase, IdentifyPsam, InitSamForPurchase, PsamError, SamAnswer, SamRequest,
};
use purser_purse::pboc::*;
use purser_purse::{CardError, CommandName, Dialogue, Protocol, Turn};

use crate::support::{MAC1, MAC2, array, attempt, h, play};

const INFORMATION: &str = "0102030405060708090A 01 00 AABB 9000";

fn profile(adf: &str, levels: &[&str], factor_order: FactorOrder) -> PsamProfile {
    PsamProfile {
        adf: adf.to_owned().try_into().unwrap(),
        levels: levels
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap(),
        factor_order,
    }
}

fn card() -> CardFacts {
    CardFacts {
        issuer_id: attempt().issuer_id,
        app_type: 3,
        app_version: 1,
        serial: SerialNumber::new(array("00006225880012345678")),
        asn: attempt().asn,
        start: BcdDate::new(array("20250101")).unwrap(),
        expiry: BcdDate::new(array("20991231")).unwrap(),
    }
}

fn init_sam(profile: &PsamProfile, protocol: Protocol) -> InitSamForPurchase {
    let attempt = attempt();
    let init = InitAnswer {
        old_balance: attempt.old_balance,
        offline_sn: attempt.offline_sn,
        overdraft_limit: PurseAmount::ZERO,
        key_version: attempt.key_version,
        algorithm_id: attempt.algorithm_id,
        random: attempt.random,
    };
    let request = SamRequest {
        card: &card(),
        init: &init,
        purse: attempt.purse,
        amount: attempt.amount,
        time: attempt.time,
    };
    InitSamForPurchase::new(profile, request, protocol)
}

/// INIT_SAM's data before the factors: challenge, offline SN, amount, TT, date, time, key version, algorithm.
const BEFORE_FACTORS: &str = "A1B2C3D4 0007 0000012C 06 20261123 093015 01 00";
const ASN: &str = "6225880012345678";
const ISSUER: &str = "1111222233334444";

fn init_command(length: &str, factors: &str, le: &str) -> String {
    format!("80700000 {length} {BEFORE_FACTORS} {factors} {le}")
}

#[test]
fn a_psam_is_read_from_its_reset_to_its_purchase_application() {
    for (adf, select) in [
        ("DF01", "00A40000 02 DF01 00"),
        ("A00000000386980701", "00A40400 09 A00000000386980701 00"),
    ] {
        let dialogue = IdentifyPsam::new(&profile(adf, &["asn"], FactorOrder::AsnFirst), Protocol::T1);
        let script = [
            ("00B09500 0E", INFORMATION),
            ("00B09600 06", "112233445501 9000"),
            (select, "6F00 9000"),
        ];
        let facts = play(dialogue, &script).unwrap();
        assert_eq!(
            facts.terminal_number,
            PsamTerminalNumber::new(array("112233445501"))
        );
        assert_eq!(facts.serial, SerialNumber::new(array("0102030405060708090A")));
        assert_eq!(facts.version, 1);
    }
}

#[test]
fn factors_go_in_the_vendor_s_order_and_as_many_as_there_are_levels() {
    let city = "A1A2A3A4A5A6A7A8";
    let cases = [
        (&["asn"][..], FactorOrder::AsnFirst, "1C", ASN.to_owned()),
        (&["asn"], FactorOrder::UpperFirst, "1C", ASN.to_owned()),
        (
            &["issuer", "asn"],
            FactorOrder::AsnFirst,
            "24",
            format!("{ASN}{ISSUER}"),
        ),
        (
            &["issuer", "asn"],
            FactorOrder::UpperFirst,
            "24",
            format!("{ISSUER}{ASN}"),
        ),
        (
            &[city, "issuer", "asn"],
            FactorOrder::AsnFirst,
            "2C",
            format!("{ASN}{ISSUER}{city}"),
        ),
        (
            &[city, "issuer", "asn"],
            FactorOrder::UpperFirst,
            "2C",
            format!("{city}{ISSUER}{ASN}"),
        ),
    ];
    for (levels, order, length, factors) in cases {
        let profile = profile("DF01", levels, order);
        let answer = format!("0000002A {MAC1} 9000");
        let script = [(&*init_command(length, &factors, "08"), &*answer)];
        let expected = SamAnswer {
            terminal_sn: TerminalSn::new(0x2A),
            mac1: Mac1::new(array(MAC1)),
        };
        assert_eq!(
            play(init_sam(&profile, Protocol::T1), &script),
            Ok(expected),
            "{levels:?} {order:?}"
        );
    }
}

#[test]
fn under_t0_a_psam_s_answer_is_fetched_and_a_wrong_length_corrected() {
    let profile = PsamProfile::default();
    let answer = format!("0000002A {MAC1} 9000");
    let fetched = [
        (&*init_command("1C", ASN, ""), "6108"),
        ("00C00000 08", "6C08"),
        ("00C00000 08", &*answer),
    ];
    assert!(play(init_sam(&profile, Protocol::T0), &fetched).is_ok());
    let corrected = [
        (&*init_command("1C", ASN, "08"), "6C08"),
        (&*init_command("1C", ASN, "08"), &*answer),
    ];
    assert!(play(init_sam(&profile, Protocol::T1), &corrected).is_ok());
}

#[test]
fn a_mac2_is_checked_by_one_command_that_nothing_repeats() {
    let check = || CreditSamForPurchase::new(Mac2::new(array(MAC2)), Protocol::T1);
    let command = format!("80720000 04 {MAC2}");
    assert_eq!(play(check(), &[(&command, "9000")]), Ok(()));
    assert_eq!(play(check(), &[(&command, "9302")]), Err(CardError::MacInvalid));
    for status in 0..=u16::MAX {
        if let Turn::Transmit(next) = check().handle_response(&status.to_be_bytes()) {
            assert_eq!(next.command().name(), CommandName::GetResponse, "{status:04X}");
        }
    }
}

#[test]
fn each_status_word_has_its_meaning_for_a_psam() {
    let cases = [
        ("9302", PsamError::Mac2Wrong, false),
        ("9303", PsamError::Locked, false),
        ("6283", PsamError::Locked, false),
        ("6A81", PsamError::Locked, false),
        ("6983", PsamError::Locked, false),
        ("9402", PsamError::CounterExhausted, false),
        ("6A88", PsamError::KeyMissing, false),
        ("9403", PsamError::KeyMissing, false),
        ("6700", PsamError::DataRefused, false),
        ("6A80", PsamError::DataRefused, false),
        ("6A82", PsamError::NotAPsam, false),
        ("6D00", PsamError::NotAPsam, false),
        ("6E00", PsamError::NotAPsam, false),
        ("6985", PsamError::WrongState, true),
        ("6901", PsamError::WrongState, true),
        ("6581", PsamError::Misbehaved(CardError::WriteFailed), true),
    ];
    for (status, meaning, is_transient) in cases {
        let command = format!("80720000 04 {MAC2}");
        let dialogue = CreditSamForPurchase::new(Mac2::new(array(MAC2)), Protocol::T1);
        let error = play(dialogue, &[(&command, status)]).unwrap_err();
        assert_eq!(PsamError::from(error), meaning, "{status}");
        assert_eq!(meaning.is_transient(), is_transient, "{status}");
        assert!(!meaning.to_string().is_empty());
    }
}

#[test]
fn an_answer_that_is_cut_off_at_any_byte_is_an_error() {
    let whole = h(&format!("0000002A {MAC1}"));
    for length in 0..whole.len() {
        let cut = [&whole[..length], &[0x90, 0x00]].concat();
        let Turn::Done(result) = init_sam(&PsamProfile::default(), Protocol::T1).handle_response(&cut) else {
            panic!("an answer with 9000 ends the dialogue");
        };
        let wrong = CardError::WrongAnswerLength {
            command: CommandName::InitSam,
            expected: 8,
            found: length,
        };
        assert_eq!(result, Err(wrong));
    }
    let information = h(INFORMATION);
    for length in 0..information.len() - 2 {
        let cut = [&information[..length], &[0x90, 0x00]].concat();
        let dialogue = IdentifyPsam::new(&PsamProfile::default(), Protocol::T1);
        assert!(
            matches!(
                dialogue.handle_response(&cut),
                Turn::Done(Err(CardError::WrongAnswerLength { .. }))
            ),
            "{length}"
        );
    }
}

#[test]
fn the_answer_to_a_debit_is_stored_and_read_back_and_nothing_else_is_read() {
    let answer = DebitAnswer {
        tac: Tac::new(array("01020304")),
        mac2: Mac2::new(array(MAC2)),
    };
    let stored = answer.encode();
    assert_eq!(hex::encode_upper(&stored), format!("0101020304{MAC2}"));
    assert_eq!(DebitAnswer::decode(&stored), Ok(answer));
    for length in 0..stored.len() {
        assert!(DebitAnswer::decode(&stored[..length]).is_err());
    }
    assert!(DebitAnswer::decode(&[&stored[..], &[0]].concat()).is_err());
    assert!(DebitAnswer::decode(&[&[2], &stored[1..]].concat()).is_err());
}
