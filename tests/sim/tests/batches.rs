//! Settlement with the engine's own batches: every crash of a story, and stories drawn from seeds.

#![allow(clippy::panic, reason = "a test that finds something fails")]

use sim::batches::{self, Planted};

#[test]
fn no_crash_in_a_settlement_loses_or_doubles_a_claim() {
    let summary = batches::exhaustive(Planted::Nothing, true).unwrap_or_else(|what| panic!("{what}"));
    println!("{summary}");
    assert!(
        summary.crashes > 1_000 && summary.exchanged > summary.stories,
        "{summary}"
    );
}

#[test]
fn no_schedule_of_faults_loses_or_doubles_a_claim() {
    let summary = batches::seeded(Planted::Nothing, 1, 2_000).unwrap_or_else(|what| panic!("{what}"));
    println!("{summary}");
    assert!(summary.crashes > 0 && summary.faults > 0, "{summary}");
    assert!(summary.exchanged > 0 && summary.voided > 0, "{summary}");
}

#[test]
fn each_flaw_of_a_settlement_is_found_by_the_simulator() {
    for planted in Planted::ALL {
        match batches::seeded(planted, 1, 3_000) {
            Ok(summary) => panic!("{planted:?} is not found in {summary}"),
            Err(what) => println!("{planted:?}: {what}"),
        }
    }
}
