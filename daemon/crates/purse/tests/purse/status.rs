//! Every status word of the scheme is an error of its own, and every error says what to do.

use std::collections::HashSet;

use purser_purse::{CardError, CommandName, Fault, StatusWord};

/// Epurse facts §1.10, with one value for each `x`.
const STATUS_WORDS: [u16; 34] = [
    0x6281, 0x6283, 0x63C3, 0x6581, 0x6700, 0x6901, 0x6981, 0x6982, 0x6983, 0x6984, 0x6985, 0x6986, 0x6987,
    0x6988, 0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A84, 0x6A86, 0x6A88, 0x6B00, 0x6C08, 0x6D00, 0x6E00, 0x9302,
    0x9303, 0x9401, 0x9402, 0x9403, 0x9406, 0x9501, 0x6F00, 0x61FF,
];

fn error(status: u16) -> CardError {
    StatusWord::new(status).error().unwrap()
}

#[test]
fn every_status_word_of_the_scheme_has_an_error_that_leads_back_to_it() {
    let mut texts = HashSet::new();
    for status in STATUS_WORDS {
        let error = error(status);
        assert_eq!(error.status_word(), Some(StatusWord::new(status)), "{error}");
        assert!(texts.insert(error.to_string()), "two errors say: {error}");
    }
    assert_eq!(StatusWord::OK.error(), None);
}

#[test]
fn what_the_scheme_does_not_define_is_told_as_it_came() {
    let defined: HashSet<u16> = STATUS_WORDS.into_iter().collect();
    for status in (0..=u16::MAX).filter(|&status| status != 0x9000) {
        let unknown = matches!(error(status), CardError::UnknownStatus { .. });
        let by_pattern =
            matches!(status >> 8, 0x6C) || (0x63C0..=0x63CF).contains(&status) || status == 0x9301;
        let expected =
            !by_pattern && (!defined.contains(&status) || matches!(status, 0x9501 | 0x6F00 | 0x61FF));
        assert_eq!(unknown, expected, "{status:04X}");
    }
}

#[test]
fn two_words_for_one_thing_are_one_error() {
    assert_eq!(error(0x9301), error(0x9401));
    assert_eq!(error(0x63C0), error(0x6983));
}

#[test]
fn the_buyer_is_told_what_a_buyer_can_change() {
    for status in [0x63C1, 0x6982, 0x9401] {
        assert_eq!(error(status).fault(), Fault::Buyer, "{status:04X}");
    }
    for status in [0x6983, 0x6283, 0x9303, 0x9402] {
        assert_eq!(error(status).fault(), Fault::Issuer, "{status:04X}");
    }
    assert_eq!(error(0x9302).fault(), Fault::Terminal);
    assert_eq!(error(0x6581).fault(), Fault::Card);
}

#[test]
fn only_what_passes_by_itself_is_transient() {
    for status in [0x6581, 0x6985, 0x6901, 0x6281, 0x6986] {
        assert!(error(status).is_transient(), "{status:04X}");
    }
    for status in [0x63C1, 0x6983, 0x9401, 0x9402, 0x9302, 0x6A82, 0x6C08, 0x6F00] {
        assert!(!error(status).is_transient(), "{status:04X}");
    }
    let command = CommandName::Prove;
    assert!(CardError::NoStatusWord { command }.is_transient());
    assert_eq!(CardError::NoStatusWord { command }.status_word(), None);
}
