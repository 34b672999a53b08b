//! Both parties in one world: loads, sales and settlement between a shop, a provider's counter and the provider. CI runs a million
//! schedules with `cargo run --release -p sim -- parties --schedules 1000000`.

use sim::seeded::{self, Kind, Plan};
use sim::{Flaw, Rule};

const PLAN: Plan = Plan {
    kind: Kind::Parties,
    from: 1,
    schedules: 10_000,
    threads: 2,
    flaw: Flaw::None,
};

/// Schedules that may pass before a flaw shows.
const SCHEDULES: u64 = 10_000;

#[allow(clippy::panic, reason = "a test that finds nothing fails")]
fn caught(flaw: Flaw) -> Rule {
    let plan = Plan {
        schedules: SCHEDULES,
        threads: 1,
        flaw,
        ..PLAN
    };
    match seeded::run(plan) {
        Ok(_) => panic!("{SCHEDULES} schedules found nothing wrong with {flaw:?}"),
        Err(failure) => {
            println!("{flaw:?}: {} {}", failure.name, failure.violation);
            assert!(!failure.lines.is_empty(), "{flaw:?} has no story");
            failure.violation.rule
        }
    }
}

#[test]
fn ten_thousand_schedules_of_both_parties_keep_every_rule_and_reach_every_fault() {
    let tally = seeded::run(PLAN).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(tally.schedules, PLAN.schedules);
    assert!(tally.credits > PLAN.schedules / 4, "{} loads", tally.credits);
    assert_eq!(tally.missing(), Vec::<String>::new());
}

#[test]
fn a_provider_that_pays_a_batch_twice_is_caught() {
    assert_eq!(caught(Flaw::ProviderPaysAgain), Rule::PaidOnce);
}

#[test]
fn a_card_that_takes_a_load_twice_is_caught() {
    assert_eq!(caught(Flaw::CardCreditsTwice), Rule::LoadIsInOnePlace);
}

#[test]
fn a_provider_that_voids_a_released_load_without_proof_is_caught() {
    assert_eq!(caught(Flaw::ProviderVoidsWithoutProof), Rule::LoadIsInOnePlace);
}

#[test]
fn a_provider_that_forgets_a_mac2_that_it_released_is_caught() {
    let rule = caught(Flaw::ProviderForgetsRelease);
    assert!(
        matches!(
            rule,
            Rule::LoadIsInOnePlace | Rule::WholeWorld | Rule::PartiesAgree
        ),
        "{rule:?}"
    );
}

#[test]
fn a_claim_that_is_lost_at_the_exchange_is_caught() {
    let rule = caught(Flaw::ReaderLosesClaims);
    assert!(
        matches!(rule, Rule::ClaimIsInOnePlace | Rule::PartiesAgree),
        "{rule:?}"
    );
}

#[test]
fn a_door_that_tells_a_load_that_is_owed_as_void_is_caught() {
    assert_eq!(caught(Flaw::DoorVoidsLoads), Rule::ToldIsTrue);
}

#[test]
fn every_flaw_of_either_party_is_caught_within_its_schedules() {
    for flaw in Flaw::OF_PARTIES {
        caught(flaw);
    }
}

#[test]
fn a_seed_of_both_parties_gives_the_same_story_on_one_thread_as_on_two() {
    let run = |threads| {
        let plan = Plan {
            schedules: 600,
            threads,
            ..PLAN
        };
        let tally = seeded::run(plan).unwrap_or_else(|failure| panic!("{failure}"));
        (tally.rows(), tally.steps, tally.debits)
    };
    assert_eq!(run(1), run(2));
}
