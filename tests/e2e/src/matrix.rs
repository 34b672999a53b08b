//! Every phase, cut at every point in every way, on all processors; and the table of what came of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::Fault;
use crate::judge::{Found, judge};
use crate::phase::{Blow, Lived, Phase, Process, Templates, live};
use crate::point::Point;
use crate::strace::Cut;
use crate::table::{Cell, Table};

/// Traces of each phase: a point that only some of them show is a point all the same.
const TRACES: usize = 2;
/// How often a point is aimed at until it is hit. Threads race, and what one does may depend on who was first.
const AIMS_MAX: u32 = 12;
/// Exit code of a purserd whose journal could not be written or read.
const STORE_BROKEN: i32 = 74;

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

/// A phase and where it is cut.
type Job = (Phase, Blow);

/// What the matrix is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// SIGKILL at every point.
    Kills,
    /// EIO and ENOSPC, once and for ever, at every point on the journal's files.
    Errors,
}

/// Runs the whole matrix and prints its table.
///
/// # Errors
/// Every job that failed, with its phase, point and reason.
pub fn run(cuts: Cuts) -> Result<(), Fault> {
    let started = Instant::now();
    let templates = Templates::new()?;
    let points = trace_all(&templates)?;
    let jobs = jobs(&points, cuts);
    println!("{} points, {} jobs", points.len(), jobs.len());
    let (table, failures) = work(&templates, jobs, points.len());
    println!("{table}");
    println!("{:.0} s", started.elapsed().as_secs_f32());
    if failures.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} of the cuts went wrong:\n{}",
        failures.len(),
        failures.join("\n")
    )
    .into())
}

/// Every point that any trace of its phase showed.
fn trace_all(templates: &Templates) -> Result<BTreeSet<(Phase, Process, Point)>, Fault> {
    let queue: VecDeque<Phase> = Phase::ALL.into_iter().flat_map(|phase| [phase; TRACES]).collect();
    let traced = spread(queue, |phase| {
        let mut lived = live(phase, templates, None).map_err(|fault| format!("{phase}: {fault}"))?;
        judge(&mut lived.world, phase.reference(), &lived.told)
            .map_err(|fault| format!("{phase}, uncut: {fault}"))?;
        Ok((phase, lived.points))
    });
    let mut points = BTreeSet::new();
    for traced in traced {
        let (phase, seen) = traced.map_err(|words: String| words)?;
        points.extend(seen.into_iter().map(|(process, point)| (phase, process, point)));
    }
    Ok(points)
}

fn jobs(points: &BTreeSet<(Phase, Process, Point)>, cuts: Cuts) -> VecDeque<Job> {
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
            (
                *phase,
                Blow {
                    process,
                    point,
                    cut: *cut,
                },
            )
        }));
    }
    // The slowest first, so that no worker is left alone with it.
    jobs.make_contiguous()
        .sort_by_key(|(phase, _)| *phase != Phase::Upkeep);
    jobs
}

fn work(templates: &Templates, jobs: VecDeque<Job>, points: usize) -> (Table, Vec<String>) {
    let done = spread(jobs, |(phase, blow)| {
        (strike(phase, &blow, templates), phase, blow)
    });
    let mut table = Table::new(points);
    let mut failures = Vec::new();
    for (cell, phase, blow) in done {
        let row = format!("{phase}: {:?} {}", blow.process, blow.point.class());
        match cell {
            Ok(cell) => table.count(&row, cell),
            Err(fault) => {
                table.count(&row, Cell::Wrong);
                failures.push(format!(
                    "{phase}, {:?} at {:?} {}: {fault}",
                    blow.cut, blow.process, blow.point
                ));
            }
        }
    }
    (table, failures)
}

/// Cuts until the cut hits, and judges each time.
fn strike(phase: Phase, blow: &Blow, templates: &Templates) -> Result<Cell, Fault> {
    for _ in 0..AIMS_MAX {
        let mut lived = live(phase, templates, Some(blow))?;
        let cell = lived.is_cut.then(|| cell_of_end(&lived, blow)).transpose()?;
        let found = judge(&mut lived.world, phase.reference(), &lived.told).map_err(|fault| {
            let log = lived.world.stack.log().unwrap_or_default();
            format!("{fault}; told {:?}; the log:\n{log}", lived.told)
        })?;
        if let Some(cell) = cell {
            return Ok(cell.unwrap_or(Cell::Found(found)));
        }
    }
    Err(format!("never hit in {AIMS_MAX} aims").into())
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

/// Works a queue off on all processors. The order of the answers is nobody's.
pub(crate) fn spread<T: Send, U: Send>(queue: VecDeque<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
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

/// How often what was found.
pub(crate) type Counts = BTreeMap<Cell, u32>;

impl From<Found> for Cell {
    fn from(found: Found) -> Self {
        Self::Found(found)
    }
}
