//! Random clean histories through the routes of this server, without their line. `audit` raises no alarm about any of them.
//!
//! Each history begins with a provider that has banks, merchants, terminals and cards, and goes on with steps that its seed
//! chooses. The TACs and MACs are genuine, or forged on purpose: a provider that holds a forged claim is clean.

mod loads;
mod parties;
mod queries;
mod scene;
mod steps;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use parties::Dice;
use scene::Scene;
use steps::History;

/// So many histories; `PURSER_HISTORIES` says otherwise.
const HISTORIES: u64 = 10_000;
const STEPS_MAX: u64 = 10;
const SEED: u64 = 4;
const THREADS: u64 = 2;

#[test]
fn clean_histories_raise_no_alarm() {
    let histories = std::env::var("PURSER_HISTORIES").map_or(HISTORIES, |it| it.parse().unwrap());
    let began = Instant::now();
    let counts = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let counts = &counts;
            scope.spawn(move || {
                let mut scene = Scene::new();
                for number in (thread..histories).step_by(usize::try_from(THREADS).unwrap()) {
                    one(&mut scene, number, counts);
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    println!("{histories} histories in {:?}", began.elapsed());
    for (step, count) in &counts {
        println!("{step:<60} {count:>9}");
    }
    // What never happens is not clean: it is not tried.
    let tried: Vec<_> = steps::KINDS
        .iter()
        .filter(|it| !counts.contains_key(**it))
        .collect();
    assert!(tried.is_empty(), "never happened: {tried:?}");
}

fn one(scene: &mut Scene, number: u64, counts: &Mutex<BTreeMap<&'static str, u64>>) {
    scene.begin(number);
    let mut history = History::new(Dice(SEED << 32 | number));
    let steps = 1 + history.dice.below(STEPS_MAX);
    // Most are short, and some are long.
    for _ in 0..=history.dice.below(steps) {
        history.step(scene);
    }
    let findings = scene.audit();
    let done = history.done;
    assert!(
        findings.is_empty(),
        "seed {SEED}, history {number}: {findings:?} after {done:?}"
    );
    let mut counts = counts.lock().unwrap();
    for step in done {
        *counts.entry(step).or_default() += 1;
    }
}
