//! C4: how a sale in doubt ended.

use proptest::prelude::*;
use purser_ledger::{Scheme, SchemeBytes};
use purser_provider_link::{Query, QueryProof};
use purser_provider_rules::judge::NumberOwner;
use purser_provider_rules::query::{self, CardAnswer, Facts, Known, Refusal, Repeat};

use crate::support::{claim, yen};

fn asked() -> Query {
    let claim = claim(300, 0);
    Query {
        operation: claim.operation,
        key: claim.key,
        amount: claim.amount,
        sold_at: claim.sold_at,
        attempt: SchemeBytes::new(Scheme::Pboc, vec![1; 52]).unwrap(),
        answer: None,
    }
}

fn facts() -> Facts {
    Facts {
        number_owner: NumberOwner::BatchOwner,
        card_currency: Some("JPY".parse().unwrap()),
        is_of_attempt: true,
        answer: CardAnswer::None,
        is_forged_before: false,
        is_claimed: false,
        is_number_used: false,
    }
}

fn proven(change: impl Fn(&mut Facts)) -> Option<(QueryProof, bool)> {
    let mut facts = facts();
    change(&mut facts);
    match query::judge(&facts).unwrap() {
        Known::Proven {
            proof,
            is_contradicted,
        } => Some((proof, is_contradicted)),
        Known::NotYet => None,
    }
}

#[test]
fn without_a_proof_nothing_is_answered() {
    assert_eq!(proven(|_| {}), None);
    assert_eq!(proven(|it| it.answer = CardAnswer::NotCheckable), None);
    assert_eq!(
        proven(|it| it.answer = CardAnswer::NotOfCard),
        None,
        "a damaged answer, or a false card's: no guess, and no fault of the shop"
    );
}

#[test]
fn each_proof_has_its_own_end() {
    use QueryProof as Proof;
    let answered = proven(|it| it.answer = CardAnswer::Proven);
    assert_eq!(answered, Some((Proof::CardAnswer, false)));
    assert_eq!(proven(|it| it.is_claimed = true), Some((Proof::Claim, false)));
    assert_eq!(
        proven(|it| it.is_number_used = true),
        Some((Proof::OtherDebit, false))
    );
}

/// Torn before execution here, a purchase at another shop: it must not count as ours. And a card that proves both is told of.
#[test]
fn the_cards_own_word_wins_and_a_contradiction_is_told() {
    let both = proven(|it| {
        it.answer = CardAnswer::Proven;
        it.is_number_used = true;
    });
    assert_eq!(both, Some((QueryProof::CardAnswer, true)));
    let both = proven(|it| {
        it.is_claimed = true;
        it.is_number_used = true;
    });
    assert_eq!(both, Some((QueryProof::Claim, true)));
}

#[test]
fn each_thing_that_is_wrong_with_a_query_has_its_own_name() {
    let admitted = |change: fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        query::admit(&asked(), &facts)
    };
    assert_eq!(admitted(|_| {}), Ok(()));
    assert_eq!(
        admitted(|it| it.number_owner = NumberOwner::Other),
        Err(Refusal::OtherTerminal)
    );
    assert_eq!(
        admitted(|it| it.number_owner = NumberOwner::Unknown),
        Err(Refusal::UnknownTerminalNumber)
    );
    assert_eq!(admitted(|it| it.card_currency = None), Err(Refusal::UnknownCard));
    assert_eq!(
        admitted(|it| it.card_currency = Some("EUR".parse().unwrap())),
        Err(Refusal::OtherCurrency)
    );
    assert_eq!(admitted(|it| it.is_of_attempt = false), Err(Refusal::Altered));
}

#[test]
fn after_a_forgery_no_other_evidence_is_tried() {
    for answer in CardAnswer::ALL {
        let facts = Facts {
            answer,
            is_forged_before: true,
            is_claimed: true,
            ..facts()
        };
        assert_eq!(query::judge(&facts), Err(Refusal::ForgedBefore), "{answer:?}");
    }
    let facts = Facts {
        answer: CardAnswer::Forged,
        ..facts()
    };
    assert_eq!(query::judge(&facts), Err(Refusal::Forged));
}

#[test]
fn a_sale_has_one_query() {
    let asked = asked();
    assert_eq!(query::repeat(&asked, &asked), Ok(Repeat::Same));
    let other = Query {
        amount: yen(301),
        ..asked.clone()
    };
    assert_eq!(query::repeat(&asked, &other), Err(Refusal::OtherContent));
    let bare = asked.without_answer();
    let answered = Query {
        answer: Some(asked.attempt.clone()),
        ..asked.clone()
    };
    assert_eq!(query::repeat(&bare, &answered), Ok(Repeat::WithAnswer));
    assert_eq!(
        query::repeat(&answered, &bare),
        Err(Refusal::OtherContent),
        "not back"
    );
    let another = Query {
        answer: Some(purser_ledger::SchemeBytes::new(purser_ledger::Scheme::Pboc, vec![7]).unwrap()),
        ..asked
    };
    assert_eq!(
        query::repeat(&answered, &another),
        Err(Refusal::OtherContent),
        "once"
    );
}

#[test]
fn an_operator_decides_once_and_never_pays_a_forged_debit() {
    assert_eq!(query::decide(None, false, true), Ok(QueryProof::DecidedHappened));
    assert_eq!(query::decide(None, true, false), Ok(QueryProof::DecidedNot));
    assert_eq!(query::decide(None, true, true), Err(Refusal::ForgedBefore));
    for proof in QueryProof::ALL {
        for has_happened in [false, true] {
            let decided = query::decide(Some(proof), false, has_happened);
            assert_eq!(decided, Err(Refusal::Answered(proof)), "the first answer stays");
        }
    }
}

proptest! {
    /// No fact but a card's own proof makes an answer, and none makes a debit happen that only another one's proof speaks of.
    #[test]
    fn an_answer_always_has_its_proof(
        answer in prop::sample::select(CardAnswer::ALL.to_vec()),
        is_forged_before in any::<bool>(), is_claimed in any::<bool>(), is_number_used in any::<bool>(),
    ) {
        let facts = Facts { answer, is_forged_before, is_claimed, is_number_used, ..facts() };
        match query::judge(&facts) {
            Ok(Known::Proven { proof, is_contradicted }) => {
                prop_assert!(!proof.is_decided() && !is_forged_before && answer != CardAnswer::Forged);
                prop_assert_eq!(proof.happened(), answer == CardAnswer::Proven || is_claimed);
                prop_assert_eq!(is_contradicted, proof.happened() && is_number_used);
            }
            Ok(Known::NotYet) => prop_assert!(answer != CardAnswer::Proven && !is_claimed && !is_number_used),
            Err(_) => prop_assert!(is_forged_before || answer == CardAnswer::Forged),
        }
    }
}
