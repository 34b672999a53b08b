//! Schedules drawn from a seed: two cards, two shops and one fault or more; with at least three sales, or with both parties.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Failure;
use crate::flaw::Flaw;
use crate::kit::Kit;
use crate::schedule::Schedule;
use crate::tally::Tally;
use crate::trace::Trace;

/// Seeds that a worker takes at a time.
const SEEDS_AT_ONCE: u64 = 256;

/// What schedules are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Sales, and all that can go wrong with one.
    #[default]
    Sales,
    /// Loads, sales and settlement, with the provider in the same world.
    Parties,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the schedules are about.
    pub kind: Kind,
    /// The first seed.
    pub from: u64,
    /// How many.
    pub schedules: u64,
    /// On how many threads.
    pub threads: usize,
    /// What part of the world breaks its rule.
    pub flaw: Flaw,
}

/// Runs the plan. Stops at the first failure that a worker finds.
///
/// # Errors
/// [`Failure`], with its seed and the last lines of its story.
pub fn run(plan: Plan) -> Result<Tally, Box<Failure>> {
    let kit = Arc::new(Kit::new());
    let next = AtomicU64::new(plan.from);
    let end = plan.from.saturating_add(plan.schedules);
    let work = || {
        let mut tally = Tally::of(plan.kind);
        loop {
            let first = next.fetch_add(SEEDS_AT_ONCE, Ordering::Relaxed);
            if first >= end {
                return Ok(tally);
            }
            for seed in first..end.min(first.saturating_add(SEEDS_AT_ONCE)) {
                tally = match one(&kit, seed, tally, plan) {
                    Ok(tally) => tally,
                    Err(failure) => {
                        next.store(end, Ordering::Relaxed);
                        return Err(failure);
                    }
                };
            }
        }
    };
    let results: Vec<Result<Tally, Box<Failure>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|it| it.expect("a worker that panics ends the process"))
            .collect()
    });
    let mut whole = Tally::of(plan.kind);
    for result in results {
        whole.merge(&result?);
    }
    Ok(whole)
}

/// Runs one seed and prints its story.
///
/// # Errors
/// [`Failure`]: what the story ends with.
pub fn replay(kind: Kind, seed: u64, flaw: Flaw) -> Result<Tally, Box<Failure>> {
    let kit = Arc::new(Kit::new());
    let mut schedule = draw(kind, &kit, seed, Tally::of(kind), Trace::Print, flaw);
    match schedule.play() {
        Ok(()) => Ok(schedule.world.tally),
        Err(violation) => Err(Box::new(Failure {
            name: format!("seed {seed}"),
            violation,
            lines: Vec::new(),
        })),
    }
}

fn draw(kind: Kind, kit: &Arc<Kit>, seed: u64, tally: Tally, trace: Trace, flaw: Flaw) -> Schedule {
    match kind {
        Kind::Sales => Schedule::new(kit, seed, tally, trace, flaw),
        Kind::Parties => Schedule::of_parties(kit, seed, tally, trace, flaw),
    }
}

fn one(kit: &Arc<Kit>, seed: u64, tally: Tally, plan: Plan) -> Result<Tally, Box<Failure>> {
    RUNNING.with(|running| running.set(seed));
    let Plan { kind, flaw, .. } = plan;
    let mut schedule = draw(kind, kit, seed, tally, Trace::Off, flaw);
    let Err(violation) = schedule.play() else {
        return Ok(schedule.world.tally);
    };
    // The same seed once more, told.
    let kept = Trace::Keep(Default::default());
    let mut schedule = draw(kind, kit, seed, Tally::of(kind), kept, flaw);
    let _ = schedule.play();
    Err(Box::new(Failure {
        name: format!("seed {seed}"),
        violation,
        lines: schedule.world.trace.into_lines(),
    }))
}

thread_local! {
    static RUNNING: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The seed that this thread runs, for whoever has to tell of its panic.
pub fn running_seed() -> u64 {
    RUNNING.with(std::cell::Cell::get)
}
