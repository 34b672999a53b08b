//! A card that answers by a script, and the attempt that the tests are about.

use purser_purse::pboc::*;
use purser_purse::{CardError, Dialogue, Turn};

/// Bytes from hex digits; spaces are for the reader.
pub(crate) fn h(digits: &str) -> Vec<u8> {
    hex::decode(digits.replace(' ', "")).unwrap()
}

/// Bytes of a fixed length from hex digits.
pub(crate) fn array<const N: usize>(digits: &str) -> [u8; N] {
    h(digits).try_into().unwrap()
}

/// Plays the script of (command that must be sent, response) and returns how the dialogue ended.
///
/// The dialogue must end with the last response and not before.
pub(crate) fn play<D: Dialogue>(mut dialogue: D, script: &[(&str, &str)]) -> Result<D::Done, CardError> {
    let (last, before) = script.split_last().unwrap();
    for (command, response) in before {
        assert_eq!(
            hex::encode_upper(dialogue.command().as_bytes()),
            command.replace(' ', "")
        );
        dialogue = match dialogue.handle_response(&h(response)) {
            Turn::Transmit(dialogue) => dialogue,
            Turn::Done(_) => panic!("the dialogue ended at {command}"),
        };
    }
    let (command, response) = last;
    assert_eq!(
        hex::encode_upper(dialogue.command().as_bytes()),
        command.replace(' ', "")
    );
    match dialogue.handle_response(&h(response)) {
        Turn::Transmit(dialogue) => panic!("the dialogue goes on with {:?}", dialogue.command()),
        Turn::Done(result) => result,
    }
}

/// Master key, levels issuer and ASN: for [`attempt`] it gives [`MAC1`] and [`MAC2`].
pub(crate) const CREDENTIAL: &str = r#"
# the laboratory's region
[[purchase_key]]
version = 1
algorithm = 0
key = "8C1B5E9A37D2604FB3E8A15C72964D0B"
levels = ["issuer", "asn"]
"#;

/// Computed with OpenSSL 3.0 (`enc -des-ede`), not with this crate.
pub(crate) const MAC1: &str = "EE033EAC";
/// Computed with OpenSSL 3.0 (`enc -des-ede`), not with this crate.
pub(crate) const MAC2: &str = "8234E085";

pub(crate) fn attempt() -> Attempt {
    Attempt {
        issuer_id: IssuerId::new(array("1111222233334444")),
        asn: Asn::new(array("6225880012345678")),
        purse: PurseKind::Ep,
        key_index: 1,
        terminal_number: PsamTerminalNumber::new(array("001122334455")),
        terminal_sn: TerminalSn::new(0x2A),
        offline_sn: OfflineSn::new(7),
        random: CardRandom::new(array("A1B2C3D4")),
        key_version: KeyVersion(1),
        algorithm_id: AlgorithmId::TRIPLE_DES,
        old_balance: PurseAmount::new(1000),
        amount: PurseAmount::new(300),
        time: TerminalTime {
            date: BcdDate::new(array("20261123")).unwrap(),
            time: BcdTime::new(array("093015")).unwrap(),
        },
    }
}
