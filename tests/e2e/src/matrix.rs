//! Every phase, cut at every point in every way, on all processors; and the table of what came of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::judge::judge;
use crate::phase::{Blow, Lived, Phase, Process, live};
use crate::point::Point;
use crate::strace::Cut;
use crate::table::{Cell, Table};
use crate::templates::Templates;
use crate::{Fault, ensure};

/// Traces of each phase: what a thread does may depend on who was first, and one trace shows only one order.
const TRACES: usize = 3;
/// How often a point is aimed at until it is hit. A wake-up from thread to thread that only a busy machine shows comes about once
/// in a dozen lives there: it is missed by as many in one run of 30,000.
const AIMS_MAX: u32 = 120;
/// Workers for the phase that is nothing but waiting.
const IDLE_WORKERS: usize = 4;
/// Exit code of a purserd whose journal could not be written or read.
pub(crate) const STORE_BROKEN: i32 = 74;

/// Calls on the journal's files that can fail.
const CAN_FAIL: &[&str] = &[
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "rename",
    "unlink",
];
const ERRORS: [Cut; 4] = [
    Cut::Once("EIO"),
    Cut::Once("ENOSPC"),
    Cut::From("EIO"),
    Cut::From("ENOSPC"),
];

type Points = BTreeSet<(Phase, Process, Point)>;

/// A phase, and where it is cut.
type Job = (Phase, Blow);

/// What the matrix is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// SIGKILL at every point.
    Kills,
    /// EIO and ENOSPC, once and for ever, at every point on the journal's files.
    Errors,
}

/// Runs the whole matrix of a shop without a PSAM and prints its table.
///
/// # Errors
/// Every job that failed, with its phase, point and reason.
pub fn run(cuts: Cuts) -> Result<(), Fault> {
    run_phases(&Phase::ALL, cuts, Templates::new)
}

/// Runs what a PSAM adds to the matrix and prints its table. It adds no call on the journal's files.
///
/// # Errors
/// As [`run`].
pub fn run_with_psam() -> Result<(), Fault> {
    run_phases(&[Phase::PsamSale], Cuts::Kills, Templates::with_psam)
}

fn run_phases(
    phases: &[Phase],
    cuts: Cuts,
    prepare: impl FnOnce() -> Result<Templates, Fault>,
) -> Result<(), Fault> {
    let started = Instant::now();
    let templates = prepare()?;
    let points = trace_all(&templates, phases)?;
    let jobs = jobs(&points, cuts);
    println!("{} points, {} cuts", points.len(), jobs.len());
    let outcome = work(&templates, jobs);
    println!("{}", outcome.table);
    println!("{:.0} s", started.elapsed().as_secs_f32());
    for failure in &outcome.failures {
        println!("WRONG: {failure}");
    }
    ensure(outcome.failures.is_empty(), || {
        format!("{} cuts went wrong", outcome.failures.len())
    })
}

/// What came of all jobs.
struct Outcome {
    table: Table,
    failures: Vec<String>,
}

/// Every point that any trace of its phase showed.
fn trace_all(templates: &Templates, phases: &[Phase]) -> Result<Points, Fault> {
    let queue: VecDeque<Phase> = phases.iter().flat_map(|phase| [*phase; TRACES]).collect();
    let traced = spread(queue, processors(), |phase| {
        let mut lived = live(phase, templates, None).map_err(|fault| format!("{phase}: {fault}"))?;
        judge(&mut lived.world, phase.reference(), &lived.told)
            .map_err(|fault| format!("{phase}, uncut: {fault}"))?;
        Ok((phase, lived.points))
    });
    let mut points = Points::new();
    for traced in traced {
        let (phase, seen) = traced.map_err(|words: String| words)?;
        points.extend(seen.into_iter().map(|(process, point)| (phase, process, point)));
    }
    Ok(points)
}

fn jobs(points: &Points, cuts: Cuts) -> VecDeque<Job> {
    let mut jobs = VecDeque::new();
    for (phase, process, point) in points {
        let can_fail = point.is_of_journal() && CAN_FAIL.contains(&point.call.as_str());
        let ways: &[Cut] = match cuts {
            Cuts::Kills => &[Cut::Kill],
            Cuts::Errors if can_fail => &ERRORS,
            Cuts::Errors => &[],
        };
        jobs.extend(ways.iter().map(|cut| {
            let (process, point) = (*process, point.clone());
            let blow = Blow {
                process,
                point,
                cut: *cut,
            };
            (*phase, blow)
        }));
    }
    jobs
}

fn work(templates: &Templates, jobs: VecDeque<Job>) -> Outcome {
    let (idle, busy) = jobs.into_iter().partition(|(phase, _)| *phase == Phase::Upkeep);
    let strike = |(phase, blow): Job| (strike(phase, &blow, templates), phase, blow);
    let mut done = Vec::new();
    thread::scope(|scope| {
        let idle = scope.spawn(|| spread(idle, IDLE_WORKERS, strike));
        done.extend(spread(busy, processors(), strike));
        done.extend(idle.join().expect("a worker's fault is its answer"));
    });
    let mut outcome = Outcome {
        table: Table::default(),
        failures: Vec::new(),
    };
    for (cell, phase, blow) in done {
        let row = format!("{phase}: {:?} {}", blow.process, blow.point.class());
        let at = format!("{phase}, {:?} at {:?} {}", blow.cut, blow.process, blow.point);
        match cell {
            Ok(Some(cell)) => outcome.table.count(&row, cell),
            Ok(None) => {
                outcome.table.count(&row, Cell::Wrong);
                outcome
                    .failures
                    .push(format!("{at}: never hit in {AIMS_MAX} aims"));
            }
            Err(fault) => {
                outcome.table.count(&row, Cell::Wrong);
                outcome.failures.push(format!("{at}: {fault}"));
            }
        }
    }
    outcome
}

/// Cuts until the cut hits, and judges each time; none where it never does.
fn strike(phase: Phase, blow: &Blow, templates: &Templates) -> Result<Option<Cell>, Fault> {
    for _ in 0..AIMS_MAX {
        let mut lived = live(phase, templates, Some(blow))?;
        let cell = lived.is_cut.then(|| cell_of_end(&lived, blow)).transpose()?;
        let found = judge(&mut lived.world, phase.reference(), &lived.told).map_err(|fault| {
            let log = lived.world.stack.log().unwrap_or_default();
            let told: Vec<_> = lived.told.sales.iter().map(|sale| sale.state.as_str()).collect();
            format!("{fault}; the till was told {told:?}; the log:\n{log}")
        })?;
        if let Some(cell) = cell {
            return Ok(Some(cell.unwrap_or(Cell::Found(found))));
        }
    }
    Ok(None)
}

/// What a failed call did to purserd; none where it was killed, and only the sale tells.
fn cell_of_end(lived: &Lived, blow: &Blow) -> Result<Option<Cell>, Fault> {
    if blow.cut == Cut::Kill {
        return Ok(None);
    }
    match lived.end {
        Some(end) if end.code() == Some(STORE_BROKEN) => Ok(Some(Cell::StoreBroken)),
        Some(end) if end.success() => Ok(Some(Cell::CarriedOn)),
        Some(end) => Err(format!("it ended with {end}").into()),
        None => Ok(Some(Cell::CarriedOn)),
    }
}

pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Works a queue off. The order of the answers is nobody's.
pub(crate) fn spread<T: Send, U: Send>(
    queue: VecDeque<T>,
    workers: usize,
    work: impl Fn(T) -> U + Sync,
) -> Vec<U> {
    let (queue, done) = (Mutex::new(queue), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(item) = next() {
                    let outcome = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}
