//! Loads with the engine, the lab's card and the provider's own rules: every blow to a story, and stories drawn from seeds.

#![allow(clippy::panic, reason = "a test that finds something fails")]

use sim::loads::{self, Planted};

#[test]
fn no_crash_tear_lost_message_or_cancel_in_a_load_loses_or_doubles_its_value() {
    let summary = loads::exhaustive(Planted::Nothing, false).unwrap_or_else(|what| panic!("{what}"));
    println!("{summary}");
    assert!(summary.crashes > 100 && summary.voided > 10, "{summary}");
}

#[test]
fn no_schedule_of_faults_loses_or_doubles_the_value_of_a_load() {
    let summary = loads::seeded(Planted::Nothing, 1, 10_000).unwrap_or_else(|what| panic!("{what}"));
    println!("{summary}");
    assert!(summary.crashes > 100 && summary.voided > 100, "{summary}");
}

#[test]
fn each_flaw_of_a_load_is_found_by_the_simulator() {
    for planted in Planted::ALL {
        match loads::seeded(planted, 1, 3_000) {
            Ok(summary) => panic!("{planted:?} is not found in {summary}"),
            Err(what) => println!("{planted:?}: {what}"),
        }
    }
}
