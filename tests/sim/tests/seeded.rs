//! A short run of seeded schedules. CI runs a million with `cargo run --release -p sim -- seeded --schedules 1000000`.

use sim::{Flaw, seeded};

const PLAN: seeded::Plan = seeded::Plan {
    kind: seeded::Kind::Sales,
    from: 1,
    schedules: 5_000,
    threads: 2,
    flaw: Flaw::None,
};

#[test]
fn five_thousand_schedules_keep_every_rule_and_reach_every_fault_and_every_end() {
    let tally = seeded::run(PLAN).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(tally.schedules, PLAN.schedules);
    assert!(
        tally.sales >= 3 * PLAN.schedules / 2,
        "{} sales left a record",
        tally.sales
    );
    assert_eq!(tally.missing(), Vec::<String>::new());
}

#[test]
fn a_seed_gives_the_same_story_on_one_thread_as_on_two() {
    let run = |threads| {
        let plan = seeded::Plan {
            schedules: 600,
            threads,
            ..PLAN
        };
        let tally = seeded::run(plan).unwrap_or_else(|failure| panic!("{failure}"));
        (tally.rows(), tally.steps, tally.debits)
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn a_run_that_reaches_too_little_says_what_it_missed() {
    let plan = seeded::Plan { schedules: 1, ..PLAN };
    let tally = seeded::run(plan).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(tally.missing().len() > 20);
}
