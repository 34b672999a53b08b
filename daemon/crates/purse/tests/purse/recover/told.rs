//! The rows in which the card tells its counter.

use purser_purse::pboc::*;

use super::*;

#[test]
fn counter_unchanged_and_no_proof_did_not_happen() {
    for status in ["9406", "6985", "6581", "6D00", "6982"] {
        assert_eq!(told(expected(), status, &counter(7), &[]), Verdict::DidNotHappen);
        assert_eq!(
            told(Mac2Check::NotCheckable, status, &counter(7), &[]),
            Verdict::DidNotHappen
        );
    }
}

#[test]
fn counter_unchanged_and_a_proof_that_is_wrong_did_not_happen() {
    assert_eq!(
        told(expected(), ANOTHERS_PROOF, &counter(7), &[]),
        Verdict::DidNotHappen
    );
}

#[test]
fn counter_unchanged_and_a_proof_that_may_be_right_is_a_card_that_misbehaves() {
    let contradiction = in_doubt(DoubtReason::ProofWithoutDebit);
    assert_eq!(told(expected(), OUR_PROOF, &counter(7), &[]), contradiction);
    assert_eq!(
        told(Mac2Check::NotCheckable, OUR_PROOF, &counter(7), &[]),
        contradiction
    );
    assert!(DoubtReason::ProofWithoutDebit.card_misbehaved());
}

#[test]
fn next_counter_and_our_mac2_happened() {
    assert_eq!(told(expected(), OUR_PROOF, &counter(8), &[]), mac2_verified());
}

#[test]
fn next_counter_and_an_unchecked_proof_happened_where_the_log_names_ours() {
    assert_eq!(
        told(Mac2Check::NotCheckable, OUR_PROOF, &counter(8), &[OURS]),
        unchecked()
    );
}

#[test]
fn next_counter_and_no_good_proof_happened_by_the_log_where_it_names_ours() {
    assert_eq!(told(expected(), NO_PROOF, &counter(8), &[OURS]), by_log_alone());
    let with_tac = happened(Some("DEADBEEF"), Proof::LogRecord);
    assert_eq!(told(expected(), ANOTHERS_PROOF, &counter(8), &[OURS]), with_tac);
}

#[test]
fn next_counter_and_anothers_debit_in_the_log_did_not_happen() {
    for (mac2, proof) in [
        (expected(), NO_PROOF),
        (expected(), ANOTHERS_PROOF),
        (Mac2Check::NotCheckable, OUR_PROOF),
    ] {
        assert_eq!(
            told(mac2, proof, &counter(8), &[ANOTHERS]),
            Verdict::AnotherHappened
        );
    }
}

#[test]
fn next_counter_and_a_load_after_it_does_not_hide_our_debit() {
    assert_eq!(
        told(expected(), NO_PROOF, &counter(8), &[LOAD, DEPOSIT, OURS]),
        by_log_alone()
    );
    assert_eq!(
        told(expected(), NO_PROOF, &counter(8), &[LOAD, ANOTHERS]),
        Verdict::AnotherHappened
    );
}

#[test]
fn next_counter_and_a_wrong_proof_did_not_happen_where_the_log_is_silent() {
    for log in [&[END][..], &["6A82"], &["6982"], &[LOAD, END]] {
        assert_eq!(
            told(expected(), ANOTHERS_PROOF, &counter(8), log),
            Verdict::AnotherHappened
        );
    }
}

#[test]
fn next_counter_and_nothing_that_tells_whose_debit_it_was_is_in_doubt() {
    for (mac2, proof) in [(expected(), NO_PROOF), (Mac2Check::NotCheckable, OUR_PROOF)] {
        assert_eq!(
            told(mac2, proof, &counter(8), &[LOAD, END]),
            in_doubt(DoubtReason::NotInLog)
        );
        assert_eq!(told(mac2, proof, &counter(8), &["6A82"]), in_doubt(FILE_GONE));
    }
}

#[test]
fn more_debits_and_our_mac2_happened() {
    assert_eq!(told(expected(), OUR_PROOF, &counter(9), &[]), mac2_verified());
}

#[test]
fn more_debits_and_our_record_anywhere_in_the_log_happened() {
    for sn in [9, 12, u16::MAX] {
        let log = [ANOTHERS, LOAD, ANOTHERS, OURS];
        assert_eq!(told(expected(), NO_PROOF, &counter(sn), &log), by_log_alone());
        assert_eq!(
            told(expected(), ANOTHERS_PROOF, &counter(sn), &log),
            by_log_alone()
        );
        assert_eq!(
            told(Mac2Check::NotCheckable, OUR_PROOF, &counter(sn), &log),
            unchecked()
        );
    }
}

#[test]
fn more_debits_and_no_record_of_ours_is_in_doubt() {
    for (mac2, proof) in [
        (expected(), NO_PROOF),
        (expected(), ANOTHERS_PROOF),
        (Mac2Check::NotCheckable, OUR_PROOF),
    ] {
        let log = [ANOTHERS, ANOTHERS, END];
        assert_eq!(
            told(mac2, proof, &counter(9), &log),
            in_doubt(DoubtReason::NotInLog)
        );
        assert_eq!(
            told(mac2, proof, &counter(9), &[ANOTHERS, "6A82"]),
            in_doubt(FILE_GONE)
        );
    }
    let endless = [ANOTHERS; 30];
    assert_eq!(
        told(expected(), NO_PROOF, &counter(9), &endless),
        in_doubt(DoubtReason::NotInLog)
    );
}

#[test]
fn a_record_that_differs_in_one_of_the_four_fields_is_not_ours_and_the_sn_does_not_count() {
    for (of_ours, of_another) in [
        ("001122334455", "001122334456"),
        ("20261123", "20261124"),
        ("093015", "093016"),
        ("0000012C", "0000012D"),
    ] {
        let record = OURS.replace(of_ours, of_another);
        let doubt = in_doubt(DoubtReason::NotInLog);
        assert_eq!(
            told(expected(), NO_PROOF, &counter(9), &[&record, END]),
            doubt,
            "{record}"
        );
        assert_eq!(
            told(expected(), NO_PROOF, &counter(8), &[&record]),
            Verdict::AnotherHappened
        );
    }
    for sn in ["0000", "0007", "0009", "FFFF"] {
        let record = OURS.replace("0008", sn);
        assert_eq!(
            told(expected(), NO_PROOF, &counter(8), &[&record]),
            by_log_alone()
        );
    }
}

#[test]
fn a_counter_that_went_down_is_a_card_that_misbehaves() {
    for proof in [OUR_PROOF, ANOTHERS_PROOF, NO_PROOF] {
        for sn in [6, 0] {
            let verdict = told(expected(), proof, &counter(sn), &[]);
            assert_eq!(verdict, in_doubt(DoubtReason::CounterWentDown));
        }
    }
    assert!(DoubtReason::CounterWentDown.card_misbehaved());
}
