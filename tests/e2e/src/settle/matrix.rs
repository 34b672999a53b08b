//! A settlement, and the void of one, cut at every point of both programs, on all processors; and the table of what came of it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use purser_lab::stack::PATIENCE;

use super::judge::judge;
use super::life::{Blow, Cutter, Lived, Side, Story, live};
use super::shop::{Stage, Template};
use crate::matrix::{Cuts, STORE_BROKEN, processors, spread};
use crate::strace::Cut;
use crate::table::{Column, Table};
use crate::{Fault, ensure};

/// Traces: what is written may depend on who was first, and one trace shows only one order.
const TRACES: usize = 3;
/// A call fails once by a bad disk, or it and all later ones by a full one.
const ERRORS: [Cut; 2] = [Cut::Once("EIO"), Cut::From("ENOSPC")];
/// The folder of purserd's journal.
const JOURNAL: &str = "shop/state/";
/// How often a point is aimed at until it is hit.
const AIMS_MAX: u32 = 20;
/// A program that was killed is waited for by the other one: workers wait more than they work.
const WORKERS_PER_PROCESSOR: usize = 3;

/// What came of one cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// All is well; so far the settlement had come when it was cut.
    CutAt(Stage),
    /// A rule was broken, or the point was never hit.
    Wrong,
}

impl Column for Cell {
    const COLUMNS: &'static [(&'static str, Self)] = &[
        ("unsealed", Self::CutAt(Stage::Unsealed)),
        ("sealed", Self::CutAt(Stage::Sealed)),
        ("announced", Self::CutAt(Stage::Receiving)),
        ("received", Self::CutAt(Stage::Received)),
        ("permitted", Self::CutAt(Stage::Permitted)),
        ("exchanged", Self::CutAt(Stage::Exchanged)),
        ("void there", Self::CutAt(Stage::VoidThere)),
        ("void", Self::CutAt(Stage::Void)),
        ("WRONG", Self::Wrong),
    ];
    const WRONG: Self = Self::Wrong;
}

/// Runs the whole matrix and prints its table: each hit was settled once afterwards, in both books, and the columns say how
/// far it had come. Errors are those of purserd's journal.
///
/// # Errors
/// Every cut that went wrong, with its point and reason.
pub fn run(cuts: Cuts) -> Result<(), Fault> {
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let cutter = Cutter::compile(folder.path())?;
    let template = Template::sold()?;
    let mut jobs = VecDeque::new();
    let stories: &[Story] = match cuts {
        Cuts::Kills => &[Story::Void, Story::Settlement],
        // A void is written by the same commit as a permit.
        Cuts::Errors => &[Story::Settlement],
    };
    for story in stories.iter().copied() {
        let points = trace_all(&template, &cutter, story)?;
        let before = jobs.len();
        for blow in points {
            jobs.extend(ways(cuts, &blow).map(|blow| (story, blow)));
        }
        println!("{story:?}: {} cuts", jobs.len() - before);
    }
    let strike = |(story, blow): (Story, Blow)| (strike(&template, &cutter, story, &blow), story, blow);
    let workers = WORKERS_PER_PROCESSOR * processors();
    let (mut table, mut failures) = (Table::default(), Vec::new());
    for (struck, story, blow) in spread(jobs, workers, strike) {
        let row = format!("{story:?}: {:?} {}", blow.side, blow.point.class());
        let cell = match struck {
            Ok(stage) => Cell::CutAt(stage),
            Err(fault) => {
                failures.push(format!(
                    "{story:?}, {:?} at {:?} {}: {fault}",
                    blow.cut, blow.side, blow.point
                ));
                Cell::Wrong
            }
        };
        table.count(&row, cell);
    }
    println!("{table}\n{:.0} s", started.elapsed().as_secs_f32());
    for failure in &failures {
        println!("WRONG: {failure}");
    }
    ensure(failures.is_empty(), || {
        format!("{} cuts went wrong", failures.len())
    })
}

/// The blows at one point.
fn ways(cuts: Cuts, at: &Blow) -> impl Iterator<Item = Blow> {
    let is_of_journal = at.side == Side::Purserd && at.point.object.starts_with(JOURNAL);
    let ways: &[Cut] = match cuts {
        Cuts::Kills => &[Cut::Kill],
        Cuts::Errors if is_of_journal => &ERRORS,
        Cuts::Errors => &[],
    };
    ways.iter().map(|cut| Blow {
        cut: *cut,
        ..at.clone()
    })
}

/// Of a settlement, every point on a file that any trace showed, and every one on a socket that all of them showed: TLS and the
/// answers to a till that asks write a little more or less. Of a void, which takes much longer, the points on data bases.
fn trace_all(template: &Template, cutter: &Cutter, story: Story) -> Result<BTreeSet<Blow>, Fault> {
    let traced = spread((0..TRACES).collect(), TRACES, |_| trace(template, cutter, story));
    let traces: Vec<BTreeSet<Blow>> = traced.into_iter().collect::<Result<_, Fault>>()?;
    let is_on_file = |blow: &Blow| blow.point.object.contains('/');
    let mut all: BTreeSet<Blow> = traces.iter().flatten().cloned().collect();
    match story {
        Story::Settlement => {
            all.retain(|blow| is_on_file(blow) || traces.iter().all(|trace| trace.contains(blow)));
        }
        Story::Void => all.retain(|blow| is_on_file(blow) && !blow.point.object.ends_with(".log")),
    }
    for side in [Side::Purserd, Side::Provider] {
        ensure(
            all.iter().any(|blow| blow.side == side && is_on_file(blow)),
            || format!("no write to a file of {side:?} was seen"),
        )?;
    }
    Ok(all)
}

/// What is seen of a story that nobody cuts.
fn trace(template: &Template, cutter: &Cutter, story: Story) -> Result<BTreeSet<Blow>, Fault> {
    for _ in 0..AIMS_MAX {
        let mut lived = live(template, cutter, story, None)?;
        let stage = lived.shop.stage_here()?;
        judge(&mut lived.shop, story).map_err(|fault| format!("{story:?}, uncut: {fault}"))?;
        let is_whole = match story {
            Story::Settlement => true,
            Story::Void => lived.is_begun && stage == Stage::Void,
        };
        if is_whole {
            return Ok(lived.points.into_iter().collect());
        }
    }
    Err(format!("{story:?} never goes as it should").into())
}

/// True for a call that writes a commit: to the journal's write-ahead log, or its sync.
fn is_of_commit(blow: &Blow) -> bool {
    let point = &blow.point;
    let writes = ["write", "pwrite64", "fsync", "fdatasync"].contains(&point.call.as_str());
    writes && point.object.starts_with(JOURNAL) && point.object.ends_with("-wal")
}

/// Cuts until the cut hits, and judges each time. How far the story had come then.
fn strike(template: &Template, cutter: &Cutter, story: Story, blow: &Blow) -> Result<Stage, Fault> {
    for _ in 0..AIMS_MAX {
        let Lived { mut shop, cut_at, .. } = live(template, cutter, story, Some(blow))?;
        // After a commit that failed the state is unknown: purserd ends. What it writes beside commits may fail without that.
        let is_commit_hit = cut_at.is_some() && is_of_commit(blow);
        if blow.cut != Cut::Kill && (is_commit_hit || shop.stack.purserd_id().is_none()) {
            let end = shop.stack.wait_for_end(PATIENCE)?;
            ensure(end.code() == Some(STORE_BROKEN), || {
                format!("it ended with {end}")
            })?;
        }
        judge(&mut shop, story).map_err(|fault| {
            let log = shop.stack.log().unwrap_or_default();
            format!("cut at {cut_at:?}: {fault}; purserd's log:\n{log}")
        })?;
        if let Some(stage) = cut_at {
            return Ok(stage);
        }
    }
    Err(format!("never hit in {AIMS_MAX} aims").into())
}
