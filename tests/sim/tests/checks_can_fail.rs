//! Each rule is worth something: a part of the world that breaks it is found out, with a seed and a story.

use sim::{Flaw, Rule, seeded};

/// Schedules that may pass before a flaw shows.
const SCHEDULES: u64 = 3_000;

#[allow(clippy::panic, reason = "a test that finds nothing fails")]
fn caught(flaw: Flaw) -> Rule {
    let plan = seeded::Plan {
        kind: seeded::Kind::Sales,
        from: 1,
        schedules: SCHEDULES,
        threads: 1,
        flaw,
    };
    match seeded::run(plan) {
        Ok(_) => panic!("{SCHEDULES} schedules found nothing wrong with {flaw:?}"),
        Err(failure) => {
            assert!(failure.name.starts_with("seed "), "{}", failure.name);
            assert!(!failure.lines.is_empty(), "{flaw:?} has no story");
            failure.violation.rule
        }
    }
}

#[test]
fn a_store_that_answers_before_it_has_synced_is_caught() {
    assert_eq!(caught(Flaw::StoreAnswersBeforeSync), Rule::ToldIsDurable);
}

#[test]
fn a_store_that_forgets_sales_that_are_over_is_caught() {
    let rule = caught(Flaw::StoreForgetsSales);
    assert!(
        matches!(rule, Rule::ReferenceIsOneSale | Rule::ToldIsTrue),
        "{rule:?}"
    );
}

#[test]
fn a_store_that_forgets_the_highest_terminal_serial_number_is_caught() {
    let rule = caught(Flaw::StoreForgetsTerminalSn);
    assert!(
        matches!(rule, Rule::ClaimHasItsDebit | Rule::SentOnce),
        "{rule:?}"
    );
}

#[test]
fn a_store_that_keeps_claims_out_of_its_books_is_caught() {
    assert_eq!(caught(Flaw::StoreMiscounts), Rule::BooksBalance);
}

#[test]
fn a_store_that_keeps_other_evidence_is_caught() {
    assert_eq!(caught(Flaw::StoreSpoilsEvidence), Rule::EvidenceVerifies);
}

#[test]
fn a_reader_that_repeats_debit_is_caught() {
    assert_eq!(caught(Flaw::ReaderRepeatsDebit), Rule::SentOnce);
}

#[test]
fn a_reader_that_repeats_verify_is_caught() {
    assert_eq!(caught(Flaw::ReaderRepeatsVerify), Rule::SentOnce);
}

#[test]
fn a_reader_that_leaves_a_card_its_power_is_caught() {
    assert_eq!(caught(Flaw::ReaderKeepsPower), Rule::PurseIsLocked);
}

#[test]
fn a_reader_that_hides_cards_is_caught() {
    assert_eq!(caught(Flaw::ReaderHidesCards), Rule::NeverHangs);
}

#[test]
fn a_reader_that_swallows_answers_is_caught() {
    let rule = caught(Flaw::ReaderSwallowsAnswers);
    assert!(matches!(rule, Rule::NeverHangs | Rule::Resolved), "{rule:?}");
}

#[test]
fn a_card_that_loses_money_is_caught() {
    let rule = caught(Flaw::CardLosesMoney);
    assert!(
        matches!(rule, Rule::Conservation | Rule::EvidenceVerifies),
        "{rule:?}"
    );
}

#[test]
fn a_door_that_guesses_is_caught() {
    let rule = caught(Flaw::DoorGuesses);
    assert!(
        matches!(rule, Rule::ToldIsTrue | Rule::NoDebitIsDenied),
        "{rule:?}"
    );
}

#[test]
fn a_door_that_drops_answers_is_caught() {
    assert_eq!(caught(Flaw::DoorDropsAnswers), Rule::AnsweredOnce);
}

#[test]
fn a_psam_that_repeats_terminal_serial_numbers_is_caught() {
    let rule = caught(Flaw::PsamRepeatsNumbers);
    assert!(
        matches!(
            rule,
            Rule::SentOnce | Rule::ClaimHasItsDebit | Rule::ReferenceIsOneSale
        ),
        "{rule:?}"
    );
}

#[test]
fn a_sale_that_is_paid_without_the_psam_s_check_is_caught() {
    assert_eq!(caught(Flaw::PsamAcceptsAnyMac2), Rule::Mac2WasChecked);
}

#[test]
fn a_reader_that_lies_about_the_psam_s_power_is_caught_by_the_claim_that_nobody_checked() {
    assert_eq!(caught(Flaw::PsamReaderLies), Rule::Mac2WasChecked);
}

#[test]
fn every_flaw_is_caught_within_its_schedules() {
    for flaw in Flaw::ALL {
        caught(flaw);
    }
}
