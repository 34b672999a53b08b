//! Attempts and evidence as stored bytes: golden, round trip, cut at every byte, every byte changed.

use proptest::prelude::*;
use purser_purse::pboc::*;

use crate::support::{array, attempt, h};

const ATTEMPT: &str = "01 1111222233334444 6225880012345678 02 01 001122334455 0000002A 0007 A1B2C3D4 01 00 \
                       000003E8 0000012C 20261123 093015";

fn answer() -> DebitAnswer {
    DebitAnswer {
        tac: Tac::new(array("01020304")),
        mac2: Mac2::new(array("8234E085")),
    }
}

#[test]
fn an_attempt_has_its_golden_bytes() {
    assert_eq!(attempt().encode(), h(ATTEMPT));
    assert_eq!(h(ATTEMPT).len(), ATTEMPT_LENGTH);
    assert_eq!(Attempt::decode(&h(ATTEMPT)), Ok(attempt()));
}

#[test]
fn evidence_has_its_golden_bytes_for_each_proof() {
    for (proof, answer, front) in [
        (
            Proof::Mac2Verified,
            Some(answer()),
            "5001 01 01 01020304 8234E085",
        ),
        (
            Proof::Mac2NotCheckable,
            Some(answer()),
            "5001 02 01 01020304 8234E085",
        ),
        (Proof::LogRecord, Some(answer()), "5001 03 01 01020304 8234E085"),
        (Proof::LogRecord, None, "5001 03 00"),
        (Proof::Provider, Some(answer()), "5001 04 01 01020304 8234E085"),
        (Proof::Provider, None, "5001 04 00"),
    ] {
        let evidence = ClaimEvidence::new(attempt(), answer, proof).unwrap();
        let bytes = h(&format!("{front}{ATTEMPT}"));
        assert_eq!(evidence.encode(), bytes);
        assert_eq!(ClaimEvidence::decode(&bytes), Ok(evidence.clone()));
        assert_eq!(
            (evidence.attempt(), evidence.answer(), evidence.proof()),
            (&attempt(), answer, proof)
        );
    }
}

#[test]
fn a_proof_by_mac2_cannot_be_without_the_cards_answer() {
    for proof in [Proof::Mac2Verified, Proof::Mac2NotCheckable] {
        assert_eq!(ClaimEvidence::new(attempt(), None, proof), Err(AnswerMissing));
    }
    for code in ["01", "02"] {
        let bytes = h(&format!("5001 {code} 00 {ATTEMPT}"));
        let field = "the proof";
        assert_eq!(ClaimEvidence::decode(&bytes), Err(DecodeError::Field { field }));
    }
}

#[test]
fn stored_bytes_that_are_cut_or_too_long_are_refused_at_every_length() {
    let mut bytes = attempt().encode();
    bytes.extend([0; 4]);
    for length in (0..bytes.len()).filter(|&length| length != ATTEMPT_LENGTH) {
        let expected = DecodeError::Length {
            expected: ATTEMPT_LENGTH,
            found: length,
        };
        assert_eq!(Attempt::decode(&bytes[..length]), Err(expected));
    }
    for answer in [Some(answer()), None] {
        let mut bytes = ClaimEvidence::new(attempt(), answer, Proof::LogRecord)
            .unwrap()
            .encode();
        let whole = bytes.len();
        bytes.extend([0; 4]);
        for length in (0..bytes.len()).filter(|&length| length != whole) {
            let error = ClaimEvidence::decode(&bytes[..length]);
            assert!(
                matches!(error, Err(DecodeError::Length { .. })),
                "{length}: {error:?}"
            );
        }
    }
}

#[test]
fn another_version_or_technology_is_told_apart_from_damage() {
    let mut bytes = attempt().encode();
    bytes[0] = 0x02;
    assert_eq!(Attempt::decode(&bytes), Err(DecodeError::Version));
    assert_eq!(Attempt::decode(&bytes[..7]), Err(DecodeError::Version));
    for index in [0, 1] {
        let mut bytes = h(&format!("5001 03 00 {ATTEMPT}"));
        bytes[index] ^= 0x40;
        assert_eq!(ClaimEvidence::decode(&bytes), Err(DecodeError::Version));
    }
}

#[test]
fn damaged_fields_are_named() {
    for (offset, field) in [(17, "the purse"), (45, "the date"), (49, "the time")] {
        let mut bytes = h(ATTEMPT);
        bytes[offset] = 0xAA;
        assert_eq!(Attempt::decode(&bytes), Err(DecodeError::Field { field }));
    }
    for (offset, field) in [(2, "the proof"), (3, "the mark of the card's answer")] {
        let mut bytes = h(&format!("5001 03 00 {ATTEMPT}"));
        bytes[offset] = 0x07;
        assert_eq!(ClaimEvidence::decode(&bytes), Err(DecodeError::Field { field }));
    }
}

#[test]
fn no_changed_byte_decodes_to_the_same_attempt() {
    for index in 0..ATTEMPT_LENGTH {
        for value in 0..=u8::MAX {
            let mut bytes = h(ATTEMPT);
            if std::mem::replace(&mut bytes[index], value) != value {
                assert_ne!(Attempt::decode(&bytes), Ok(attempt()), "byte {index}");
            }
        }
    }
}

#[test]
fn logs_show_only_the_end_of_a_cards_number() {
    let shown = format!("{:?}", attempt());
    assert!(
        shown.contains("Asn(*5678)") && !shown.contains("62258800"),
        "{shown}"
    );
}

#[test]
fn ids_are_hex_digits_in_configuration_files() {
    let number: PsamTerminalNumber = serde_json::from_str("\"001122aabbCC\"").unwrap();
    assert_eq!(serde_json::to_string(&number).unwrap(), "\"001122AABBCC\"");
    let error = "00112233".parse::<PsamTerminalNumber>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "a PSAM terminal number is written as 12 hex digits"
    );
    assert_eq!(
        serde_json::to_string(&Profile::default().aid).unwrap(),
        "\"A00000000386980701\""
    );
    assert!(serde_json::from_str::<Aid>("\"A0000000\"").is_err());
    assert!(serde_json::from_str::<Aid>(&format!("\"{}\"", "A0".repeat(17))).is_err());
    assert_eq!(
        serde_json::from_str::<PurseKind>("\"ed\"").unwrap(),
        PurseKind::Ed
    );
}

#[test]
fn amounts_cross_from_the_ledger_where_a_purse_can_hold_them() {
    let currency = "JPY".parse().unwrap();
    let amount = purser_ledger::Amount::new(u64::from(u32::MAX), currency).unwrap();
    assert_eq!(PurseAmount::try_from(amount), Ok(PurseAmount::new(u32::MAX)));
    assert_eq!(PurseAmount::new(u32::MAX).in_currency(currency), amount);
    let larger = purser_ledger::Amount::new(u64::from(u32::MAX) + 1, currency).unwrap();
    assert_eq!(PurseAmount::try_from(larger), Err(AmountTooLarge));
}

proptest! {
    #[test]
    fn every_attempt_survives_storing(
        ids in any::<([u8; 8], [u8; 8], [u8; 6], [u8; 4])>(),
        numbers in any::<(u32, u16, u8, u8, u8, u32, u32)>(),
        is_deposit in any::<bool>(),
        seconds in 0..253_402_300_799_i64,
    ) {
        let (issuer_id, asn, terminal_number, random) = ids;
        let (terminal_sn, offline_sn, key_index, key_version, algorithm_id, old_balance, amount) = numbers;
        let attempt = Attempt {
            issuer_id: IssuerId::new(issuer_id),
            asn: Asn::new(asn),
            purse: if is_deposit { PurseKind::Ed } else { PurseKind::Ep },
            key_index,
            terminal_number: PsamTerminalNumber::new(terminal_number),
            terminal_sn: TerminalSn::new(terminal_sn),
            offline_sn: OfflineSn::new(offline_sn),
            random: CardRandom::new(random),
            key_version: KeyVersion(key_version),
            algorithm_id: AlgorithmId(algorithm_id),
            old_balance: PurseAmount::new(old_balance),
            amount: PurseAmount::new(amount),
            time: TerminalTime::from_local(seconds).unwrap(),
        };
        prop_assert_eq!(Attempt::decode(&attempt.encode()), Ok(attempt));
    }
}
