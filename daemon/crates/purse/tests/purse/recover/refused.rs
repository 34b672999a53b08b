//! The rows in which the card refuses, the ends of the counter, and the stories of the rule.

use purser_purse::pboc::*;
use purser_purse::{CardError, CommandName, Protocol, StatusWord};

use super::*;
use crate::support::{attempt, play};

#[test]
fn the_smallest_unit_is_tried_where_the_card_refuses_nothing() {
    let pin = PinState::NotVerified;
    let verdict = |proof: &str, refusal: &str, sn| {
        let (mac2, initialize, log) = (expected(), &[refusal, &*counter(sn)], &[]);
        Case {
            mac2,
            pin,
            proof,
            initialize,
            log,
        }
        .verdict()
    };
    assert_eq!(verdict(OUR_PROOF, "6A80", 8), mac2_verified());
    assert_eq!(verdict(NO_PROOF, "9401", 7), Verdict::DidNotHappen);
}

#[test]
fn no_counter_and_our_mac2_happened() {
    assert_eq!(refused(expected(), OUR_PROOF, &[]), mac2_verified());
}

#[test]
fn no_counter_and_our_record_in_the_log_happened() {
    let log = [ANOTHERS, LOAD, OURS];
    assert_eq!(refused(expected(), NO_PROOF, &log), by_log_alone());
    assert_eq!(refused(expected(), ANOTHERS_PROOF, &log), by_log_alone());
    assert_eq!(refused(Mac2Check::NotCheckable, OUR_PROOF, &log), unchecked());
}

#[test]
fn no_counter_and_both_proof_and_log_are_anothers_did_not_happen() {
    assert_eq!(
        refused(expected(), ANOTHERS_PROOF, &[ANOTHERS, END]),
        Verdict::AnotherHappened
    );
}

#[test]
fn no_counter_and_neither_proof_nor_log_decide_is_in_doubt() {
    assert_eq!(refused(expected(), NO_PROOF, &[ANOTHERS, END]), in_doubt(EMPTIED));
    assert_eq!(
        refused(Mac2Check::NotCheckable, OUR_PROOF, &[END]),
        in_doubt(EMPTIED)
    );
    for (mac2, proof) in [
        (expected(), NO_PROOF),
        (expected(), ANOTHERS_PROOF),
        (Mac2Check::NotCheckable, OUR_PROOF),
    ] {
        assert_eq!(refused(mac2, proof, &["6A82"]), in_doubt(EMPTIED));
    }
    assert!(!EMPTIED.card_misbehaved());
}

#[test]
fn a_card_that_wants_its_pin_gets_it_only_where_nothing_else_decides() {
    let case = |pin, proof, log| Case {
        mac2: expected(),
        pin,
        proof,
        initialize: &["6982"],
        log,
    };
    let without = PinState::NotVerified;
    assert_eq!(case(without, OUR_PROOF, &[]).verdict(), mac2_verified());
    assert_eq!(case(without, NO_PROOF, &[OURS]).verdict(), by_log_alone());
    assert_eq!(
        case(without, ANOTHERS_PROOF, &[END]).verdict(),
        Verdict::AnotherHappened
    );
    assert_eq!(case(without, NO_PROOF, &[END]).verdict(), Verdict::PinNeeded);
    assert_eq!(case(without, NO_PROOF, &["6982"]).verdict(), Verdict::PinNeeded);
    let status = StatusWord::PIN_NEEDED;
    let verdict = case(PinState::Verified, NO_PROOF, &[END]).verdict();
    assert_eq!(verdict, in_doubt(DoubtReason::CounterNotReadable { status }));
}

#[test]
fn a_log_that_wants_the_pin_asks_for_it_and_other_refusals_do_not() {
    let status = StatusWord::PIN_NEEDED;
    for sn in [8, 9] {
        let verdict = |pin, log: &[&str]| {
            let (mac2, proof, initialize) = (expected(), NO_PROOF, &[&*counter(sn)]);
            Case {
                mac2,
                pin,
                proof,
                initialize,
                log,
            }
            .verdict()
        };
        assert_eq!(verdict(PinState::NotVerified, &["6982"]), Verdict::PinNeeded);
        let reason = DoubtReason::LogNotReadable { status };
        assert_eq!(verdict(PinState::Verified, &["6982"]), in_doubt(reason));
        assert_eq!(verdict(PinState::NotVerified, &["6A82"]), in_doubt(FILE_GONE));
    }
}

#[test]
fn a_counter_at_its_end_allowed_no_debit_so_there_is_no_proof_to_ask_for() {
    let attempt = Attempt {
        offline_sn: OfflineSn::new(u16::MAX),
        ..attempt()
    };
    let recover = Recover::new(attempt, expected(), PinState::NotVerified, Protocol::TCl);
    let verdict = play(recover, &[(INITIALIZE_ZERO, &counter(u16::MAX))]);
    assert_eq!(verdict, Ok(Verdict::DidNotHappen));
}

#[test]
fn the_last_debit_of_a_card_is_proven_although_initialize_is_refused_from_then_on() {
    let attempt = Attempt {
        offline_sn: OfflineSn::new(u16::MAX - 1),
        ..attempt()
    };
    let recover = Recover::new(attempt, expected(), PinState::NotVerified, Protocol::TCl);
    let script = [
        ("805A0006 02 FFFF 08", OUR_PROOF),
        (INITIALIZE_ZERO, "9402"),
        (INITIALIZE_SMALLEST, "9402"),
    ];
    assert_eq!(play(recover, &script), Ok(mac2_verified()));
}

#[test]
fn an_answer_that_is_none_leaves_the_attempt_in_doubt_without_a_verdict() {
    let case = |proof, initialize: Option<&str>, log: &[&str]| {
        let (mac2, pin, initialize) = (expected(), PinState::Verified, initialize.as_slice());
        Case {
            mac2,
            pin,
            proof,
            initialize,
            log,
        }
        .result()
    };
    let wrong = |command, expected, found| {
        Err(CardError::WrongAnswerLength {
            command,
            expected,
            found,
        })
    };
    assert_eq!(case("8234E085 9000", None, &[]), wrong(CommandName::Prove, 8, 4));
    let initialize = CommandName::InitializePurchase;
    assert_eq!(
        case(NO_PROOF, Some("000003E8 9000"), &[]),
        wrong(initialize, 15, 4)
    );
    assert_eq!(
        case(NO_PROOF, Some(&counter(8)), &["9000"]),
        wrong(CommandName::ReadRecord, 23, 0)
    );
    let command = CommandName::Prove;
    assert_eq!(case("", None, &[]), Err(CardError::NoStatusWord { command }));
}

#[test]
fn recovery_under_t0_fetches_each_answer() {
    let recover = Recover::new(attempt(), expected(), PinState::NotVerified, Protocol::T0);
    let script = [
        ("805A0006 02 0008", "6108"),
        ("00C00000 08", OUR_PROOF),
        ("80500102 0B 01 00000000 001122334455", "610F"),
        ("00C00000 0F", &*counter(8)),
    ];
    assert_eq!(play(recover, &script), Ok(mac2_verified()));
}

/// The story of rule P1: 300 torn here, 300 loaded elsewhere, the balance looks untouched.
#[test]
fn a_load_that_restores_the_balance_does_not_cost_the_merchant_its_money() {
    let initialize = "000003E8 0008 000000 01 00 55667788 9000";
    assert_eq!(told(expected(), OUR_PROOF, initialize, &[]), mac2_verified());
    assert_eq!(
        told(expected(), NO_PROOF, initialize, &[LOAD, OURS]),
        by_log_alone()
    );
}

/// The story of rule P1: torn before execution here, a purchase at another shop, the card returns at SN + 1.
#[test]
fn anothers_purchase_does_not_count_as_ours() {
    assert_eq!(
        told(expected(), ANOTHERS_PROOF, &counter(8), &[ANOTHERS]),
        Verdict::AnotherHappened
    );
}
