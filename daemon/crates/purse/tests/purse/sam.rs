//! The software SAM against values that OpenSSL computed.

use purser_purse::pboc::*;

use crate::support::{CREDENTIAL, MAC1, MAC2, array, attempt};

fn sam() -> SoftwareSam {
    SoftwareSam::from_credential(CREDENTIAL.as_bytes()).unwrap()
}

#[test]
fn mac1_and_mac2_are_those_of_an_independent_computation() {
    let attempt = attempt();
    assert_eq!(sam().mac1(&attempt), Ok(Mac1::new(array(MAC1))));
    assert_eq!(sam().check_mac2(&attempt, Mac2::new(array(MAC2))), Ok(true));
    assert_eq!(
        sam().mac2_check(&attempt),
        Mac2Check::Expected(Mac2::new(array(MAC2)))
    );
}

#[test]
fn a_mac2_with_any_bit_changed_is_not_accepted() {
    for bit in 0..32 {
        let wrong = u32::from_be_bytes(array(MAC2)) ^ (1 << bit);
        assert_eq!(
            sam().check_mac2(&attempt(), Mac2::new(wrong.to_be_bytes())),
            Ok(false)
        );
    }
}

#[test]
fn an_attempt_that_was_stored_and_read_again_gives_the_same_macs() {
    let restored = Attempt::decode(&attempt().encode()).unwrap();
    assert_eq!(sam().mac1(&restored), sam().mac1(&attempt()));
    assert_eq!(sam().check_mac2(&restored, Mac2::new(array(MAC2))), Ok(true));
}

#[test]
fn every_field_that_a_mac_is_made_of_changes_mac1() {
    let mac1 = sam().mac1(&attempt()).unwrap();
    let changes: [fn(&mut Attempt); 9] = [
        |attempt| attempt.issuer_id = IssuerId::new([0; 8]),
        |attempt| attempt.asn = Asn::new([0; 8]),
        |attempt| attempt.purse = PurseKind::Ed,
        |attempt| attempt.terminal_number = PsamTerminalNumber::new([0; 6]),
        |attempt| attempt.terminal_sn = TerminalSn::new(0x2B),
        |attempt| attempt.offline_sn = OfflineSn::new(8),
        |attempt| attempt.random = CardRandom::new([0; 4]),
        |attempt| attempt.amount = PurseAmount::new(301),
        |attempt| attempt.time = TerminalTime::from_local(0).unwrap(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut other = attempt();
        change(&mut other);
        assert_ne!(sam().mac1(&other), Ok(mac1), "change {index}");
    }
}

#[test]
fn a_card_with_another_key_version_or_algorithm_cannot_pay_here() {
    let version = KeyVersion(2);
    let other = Attempt {
        key_version: version,
        ..attempt()
    };
    assert_eq!(sam().mac1(&other), Err(SamError::UnknownKeyVersion { version }));
    assert_eq!(sam().mac2_check(&other), Mac2Check::NotCheckable);
    let algorithm = AlgorithmId(0x01);
    let other = Attempt {
        algorithm_id: algorithm,
        ..attempt()
    };
    assert_eq!(
        sam().mac1(&other),
        Err(SamError::UnsupportedAlgorithm { algorithm })
    );
}

#[test]
fn each_key_version_has_its_own_key_and_levels() {
    let second = "[[purchase_key]]\nversion = 2\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\n";
    let text = format!("{CREDENTIAL}{second}");
    let sam = SoftwareSam::from_credential(text.as_bytes()).unwrap();
    assert_eq!(sam.mac1(&attempt()), Ok(Mac1::new(array(MAC1))));
    let other = Attempt {
        key_version: KeyVersion(2),
        ..attempt()
    };
    let alone = SoftwareSam::from_credential(second.as_bytes()).unwrap();
    assert_eq!(sam.mac1(&other), alone.mac1(&other));
    assert_ne!(sam.mac1(&other), sam.mac1(&attempt()));
}

#[test]
fn debug_shows_versions_and_nothing_of_a_key() {
    assert_eq!(format!("{:?}", sam()), "[1]");
    assert_eq!(format!("{:?}", sam().mac1(&attempt()).unwrap()), "Mac1(****)");
}
