//! L1 to L3: released against proof, tried again with a new attempt, void only with fresh proof.

use purser_provider_rules::Evidence;
use purser_provider_rules::load::{
    Answer, Initialized, Known, LoadId, LoadRecord, Phase, Refusal, VoidChallenge,
};

use crate::support::{card, digest, yen};

const ID: LoadId = LoadId([1; 16]);
const CHALLENGE: VoidChallenge = VoidChallenge([5; 6]);

fn open() -> LoadRecord {
    LoadRecord::open(None, ID, yen(300), Evidence::Valid).unwrap()
}

fn initialized(online_sn: u16, content: u8) -> Initialized {
    Initialized {
        card: card(1),
        online_sn,
        mac1: Evidence::Valid,
        content: digest(content),
    }
}

fn released(record: &LoadRecord, number: u8, it: &Initialized) -> LoadRecord {
    match record.attempt(number, it, &Known::default()) {
        Ok(Answer::Release(record)) => record,
        other => panic!("attempt {number}: {other:?}"),
    }
}

/// A stolen provider terminal asks for loads.
#[test]
fn nothing_is_opened_without_the_banks_proof() {
    for evidence in Evidence::ALL {
        let opened = LoadRecord::open(None, ID, yen(300), evidence);
        assert_eq!(opened.is_ok(), evidence == Evidence::Valid);
    }
    assert_eq!(
        LoadRecord::open(Some(&open()), ID, yen(300), Evidence::Missing),
        Ok(open())
    );
    let other = LoadRecord::open(Some(&open()), ID, yen(301), Evidence::Valid);
    assert_eq!(other, Err(Refusal::OtherContent));
}

/// Tear, insert again: must not be refused as "other content".
#[test]
fn after_a_tear_the_next_attempt_is_answered() {
    let first = released(&open(), 1, &initialized(7, 1));
    assert_eq!(
        first.attempt(1, &initialized(7, 1), &Known::default()),
        Ok(Answer::ReleaseAgain(1))
    );
    assert_eq!(
        first.attempt(1, &initialized(7, 2), &Known::default()),
        Err(Refusal::OtherContent)
    );
    let second = released(&first, 2, &initialized(7, 2));
    assert_eq!(
        second.attempt(1, &initialized(7, 1), &Known::default()),
        Err(Refusal::AttemptNumber(2))
    );
    assert_eq!(
        second.attempt(4, &initialized(7, 4), &Known::default()),
        Err(Refusal::AttemptNumber(2))
    );
}

#[test]
fn an_attempt_whose_card_has_moved_on_releases_nothing() {
    let first = released(&open(), 1, &initialized(7, 1));
    assert_eq!(
        first.attempt(2, &initialized(8, 2), &Known::default()),
        Err(Refusal::ItHappened)
    );
    assert_eq!(
        first.attempt(2, &initialized(9, 2), &Known::default()),
        Err(Refusal::CounterMoved)
    );
    assert_eq!(
        first.attempt(2, &initialized(6, 2), &Known::default()),
        Err(Refusal::CounterMoved)
    );
    let mut bad = initialized(7, 2);
    bad.mac1 = Evidence::Invalid;
    assert_eq!(
        first.attempt(2, &bad, &Known::default()),
        Err(Refusal::Mac1(Evidence::Invalid))
    );
    let mut other = initialized(7, 2);
    other.card = card(2);
    assert_eq!(
        first.attempt(2, &other, &Known::default()),
        Err(Refusal::OtherCard)
    );
}

fn in_doubt(load: LoadId) -> Known {
    Known {
        in_doubt: Some(load),
        ..Known::default()
    }
}

/// The terminal asked for this load, another load of the card came first, and the request arrives late: a MAC2 for it would be in
/// doubt at a counter that the card has left for ever.
#[test]
fn an_answer_from_before_another_load_of_the_card_begins_nothing() {
    let moved = |online_sn_least| Known {
        online_sn_least,
        ..Known::default()
    };
    assert_eq!(
        open().attempt(1, &initialized(7, 1), &moved(8)),
        Err(Refusal::StaleInitialize)
    );
    let first = released(&open(), 1, &initialized(8, 1));
    assert!(open().attempt(1, &initialized(8, 1), &moved(8)).is_ok());
    assert_eq!(
        first.attempt(1, &initialized(8, 1), &moved(9)),
        Ok(Answer::ReleaseAgain(1)),
        "a repeat is answered"
    );
}

#[test]
fn a_card_with_a_load_in_doubt_begins_no_other() {
    let other = LoadId([2; 16]);
    assert_eq!(
        open().attempt(1, &initialized(7, 1), &in_doubt(other)),
        Err(Refusal::OtherLoadOpen(other))
    );
    let first = released(&open(), 1, &initialized(7, 1));
    assert!(
        first.attempt(2, &initialized(7, 2), &in_doubt(ID)).is_ok(),
        "itself is no other"
    );
}

#[test]
fn the_load_tac_ends_a_load_and_its_repeat_is_welcome() {
    let first = released(&open(), 1, &initialized(7, 1));
    let done = first.confirm(Evidence::Valid).unwrap();
    assert_eq!(done.phase(), Phase::Done);
    assert_eq!(done.confirm(Evidence::Valid), Ok(done.clone()));
    assert_eq!(
        first.confirm(Evidence::Invalid),
        Err(Refusal::Tac(Evidence::Invalid))
    );
    assert_eq!(open().confirm(Evidence::Valid), Err(Refusal::NotReleased));
    assert_eq!(
        done.attempt(2, &initialized(8, 2), &Known::default()),
        Err(Refusal::Done)
    );
    assert_eq!(done.begin_void(CHALLENGE), Err(Refusal::Done));
}

/// Credit executed, answer lost, card gone, bank reversed: the user has both.
#[test]
fn a_load_that_the_card_has_executed_is_never_void() {
    let first = released(&open(), 1, &initialized(7, 1));
    let voiding = first.begin_void(CHALLENGE).unwrap();
    assert_eq!(
        voiding.phase(),
        Phase::Released,
        "without the card nothing is void"
    );
    assert_eq!(
        voiding.void(&initialized(8, 2), CHALLENGE),
        Err(Refusal::ItHappened)
    );
    assert_eq!(voiding.confirm(Evidence::Valid).unwrap().phase(), Phase::Done);
}

#[test]
fn a_void_needs_an_initialize_that_is_newer_than_its_challenge() {
    let first = released(&open(), 1, &initialized(7, 1));
    assert_eq!(
        first.void(&initialized(7, 2), CHALLENGE),
        Err(Refusal::StaleProof),
        "nobody asked"
    );
    let voiding = first.begin_void(CHALLENGE).unwrap();
    let older = VoidChallenge([4; 6]);
    assert_eq!(voiding.void(&initialized(7, 2), older), Err(Refusal::StaleProof));
    // A MAC2 that leaves after the challenge makes the challenge worthless.
    let second = released(&voiding, 2, &initialized(7, 2));
    assert_eq!(
        second.void(&initialized(7, 3), CHALLENGE),
        Err(Refusal::StaleProof)
    );
    let voided = voiding.void(&initialized(7, 2), CHALLENGE).unwrap();
    assert_eq!(voided.phase(), Phase::Voided);
}

#[test]
fn after_a_void_the_load_is_never_answered_again() {
    let voided = open().begin_void(CHALLENGE).unwrap();
    assert_eq!(voided.phase(), Phase::Voided, "no MAC2 had left");
    assert_eq!(
        voided.attempt(1, &initialized(7, 1), &Known::default()),
        Err(Refusal::Voided)
    );
    assert_eq!(
        LoadRecord::open(Some(&voided), ID, yen(300), Evidence::Valid),
        Ok(voided.clone())
    );
    assert_eq!(voided.confirm(Evidence::Valid), Err(Refusal::VoidedAndHappened));
}

#[test]
fn a_card_that_is_torn_for_ever_comes_to_an_end() {
    let mut record = open();
    for number in 1..=16 {
        record = released(&record, number, &initialized(7, number));
    }
    assert_eq!(
        record.attempt(17, &initialized(7, 17), &Known::default()),
        Err(Refusal::TooManyAttempts)
    );
    assert!(record.begin_void(CHALLENGE).is_ok(), "it can still be void");
}
