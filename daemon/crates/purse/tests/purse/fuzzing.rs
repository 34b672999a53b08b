//! The fuzzers' entry points over a small corpus, and over what proptest makes of it.

use proptest::prelude::*;
use purser_purse::fuzz;

use crate::support::{CREDENTIAL, attempt, h};

/// Rows of responses, each with its length before it.
fn corpus() -> Vec<Vec<u8>> {
    let rows = [
        vec![
            "9000",
            "1111222233334444020700016225880012345678202501012099123155AA9000",
        ],
        vec!["9406", "000003E8 0008 000000 01 00 55667788 9000", "6A83"],
        vec!["4D414332 01020304 9000", "6A80", "9401"],
        vec![
            "6108",
            "6C08",
            "4D414332 01020304 9000",
            "610F",
            "000003E8 0009 000000 01 00 55667788 9000",
        ],
        vec!["6C08", "6C08", "6C08", "6C08", "6C08", "6C08"],
        vec!["6100", "6100", "6100", "6100", "6100", "6100"],
        vec!["0008 000000 0000012C 06 545454545454 20261123 093015 9000"; 40],
        vec!["000003E8 0007 03 00 A1B2C3D4 2988AE5A 9000"],
        vec!["422E9358 9000"],
        vec!["63C2"],
        vec!["", "90", "00"],
        vec![
            "0102030405060708090A 01 00 AABB 9000",
            "112233445501 9000",
            "6F00 9000",
        ],
    ];
    let row = |responses: Vec<&'static str>| {
        responses.into_iter().flat_map(|response| {
            let response = h(response);
            [vec![u8::try_from(response.len()).unwrap()], response].concat()
        })
    };
    rows.into_iter()
        .map(|responses| row(responses).collect())
        .collect()
}

#[test]
fn the_corpus_of_responses_breaks_nothing() {
    for row in corpus() {
        for length in 0..=row.len() {
            fuzz::responses(&row[..length]);
            fuzz::psam_responses(&row[..length]);
        }
    }
}

#[test]
fn the_corpus_of_stored_bytes_and_credentials_breaks_nothing() {
    fuzz::stored_attempt(&attempt().encode());
    fuzz::stored_evidence(&[&h("50010300"), &attempt().encode()[..]].concat());
    fuzz::credential(CREDENTIAL.as_bytes());
    fuzz::credential(&CREDENTIAL.as_bytes()[..40]);
    for entry in [fuzz::stored_attempt, fuzz::stored_evidence, fuzz::credential] {
        entry(b"");
        entry(b"\x50\x01");
        entry(&[0xFF; 300]);
    }
}

/// Responses that look like a card's: some length, often a status word that a dialogue goes on after.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop::sample::select(vec![0_usize, 1, 4, 8, 15, 23, 30, 60]);
    let status = prop_oneof![
        3 => Just([0x90, 0x00]),
        1 => Just([0x61, 0x08]),
        1 => Just([0x6C, 0x17]),
        1 => Just([0x69, 0x82]),
        1 => Just([0x94, 0x06]),
        1 => any::<[u8; 2]>(),
    ];
    (
        lengths.prop_flat_map(|length| prop::collection::vec(any::<u8>(), length)),
        status,
    )
        .prop_map(|(data, status)| {
            let response = [data, status.to_vec()].concat();
            [vec![u8::try_from(response.len()).unwrap()], response].concat()
        })
}

proptest! {
    #[test]
    fn no_row_of_responses_panics(row in prop::collection::vec(response(), 0..12)) {
        fuzz::responses(&row.concat());
        fuzz::psam_responses(&row.concat());
    }

    #[test]
    fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::responses(&data);
        fuzz::psam_responses(&data);
        fuzz::stored_answer(&data);
        fuzz::stored_attempt(&data);
        fuzz::stored_load(&data);
        fuzz::stored_evidence(&data);
        fuzz::credential(&data);
    }

    #[test]
    fn no_stored_attempt_with_changed_bytes_panics(changes in prop::collection::vec(any::<(u8, u8)>(), 1..4)) {
        let mut data = [&h("50010300"), &attempt().encode()[..]].concat();
        for (index, value) in changes {
            let index = usize::from(index) % data.len();
            data[index] = value;
        }
        fuzz::stored_evidence(&data);
        fuzz::stored_attempt(&data[4..]);
    }

    #[test]
    fn no_credential_with_changed_bytes_panics(changes in prop::collection::vec(any::<(u8, u8)>(), 1..4)) {
        let mut data = CREDENTIAL.as_bytes().to_vec();
        for (index, value) in changes {
            let index = usize::from(index) % data.len();
            data[index] = value;
        }
        fuzz::credential(&data);
    }
}
