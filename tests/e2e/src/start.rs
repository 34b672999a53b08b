//! A start under strace: the main thread from its first call, and the journal's thread from its birth.

use std::ffi::OsString;
use std::path::PathBuf;
use std::thread;

use purser_lab::stack::StackError;

use crate::phase::{Blow, Lived, Process, birth, options, wait_for_thread};
use crate::point::{self, Objects};
use crate::pos::Told;
use crate::strace::{CALLS, Strace, is_cut};
use crate::world::World;
use crate::{Fault, ensure};

/// The thread that the journal works on.
const JOURNAL: &str = "journal";
const MAIN: &str = "main";

/// Lives through a start, watched at every point, or cut at one.
pub(crate) fn live(mut world: World, blow: Option<&Blow>) -> Result<Lived, Fault> {
    let objects = world.objects();
    let log = world.trace_file(MAIN);
    world.stack.options_mut().prefix = prefix(&log, blow, &objects);
    let state_dir = world.stack.layout().state_dir().to_string_lossy().into_owned();
    let journal_log = world.trace_file(JOURNAL);
    let journal_options = match blow {
        None => Some(vec![OsString::from("-e"), format!("trace={CALLS}").into()]),
        Some(blow) if blow.point.role == JOURNAL => Some(options(blow, &objects)),
        Some(_) => None,
    };
    // The start blocks, and so does the wait for the thread that it brings.
    let (started, strace) = thread::scope(|scope| {
        let watch = journal_options.map(|options| {
            let (journal_log, state_dir) = (&journal_log, &state_dir);
            scope.spawn(move || {
                let thread = wait_for_thread(state_dir, JOURNAL).ok_or("purserd's journal has no thread")?;
                Strace::attach(thread, journal_log, &options)
            })
        });
        let started = world.stack.start_again();
        let strace = watch.map(|watch| watch.join().map_err(|_| "the watch panicked")?);
        (started, strace)
    });
    world.stack.options_mut().prefix = Vec::new();
    let strace = strace.transpose();
    let end = match started {
        Ok(()) => None,
        Err(StackError::EndedEarly { status, .. }) => Some(status),
        // It died between READY and the first answer.
        Err(StackError::Call { .. }) if blow.is_some() => Some(world.end()?),
        Err(error) => return Err(error.into()),
    };
    let is_alive = world.is_alive();
    let mut lived = Lived {
        world,
        told: Told::default(),
        points: Vec::new(),
        is_cut: false,
        end,
    };
    let journal_log = strace?.map(|strace| strace.finish(!is_alive)).transpose()?;
    let main_log = std::fs::read_to_string(&log)?;
    let logs = [(MAIN, Some(main_log)), (JOURNAL, journal_log)];
    for (role, log) in logs {
        let Some(log) = log else { continue };
        match blow {
            Some(blow) if blow.point.role == role => lived.is_cut = is_cut(&log, blow.cut),
            Some(_) => {}
            None => lived.points.extend(seen(&log, role, &objects)?),
        }
    }
    if blow.is_some_and(|blow| blow.point.role == MAIN) {
        // strace holds this purserd from its first call on: a blow that did not fall in the start must not fall later, while
        // it is judged.
        lived.world.stack.kill();
    }
    Ok(lived)
}

fn seen(log: &str, role: &str, objects: &Objects) -> Result<Vec<(Process, point::Point)>, Fault> {
    let calls: Vec<&str> = log.lines().filter(|line| !line.starts_with("clone3(")).collect();
    let mut points = point::points(&calls.join("\n"), role, objects)?;
    ensure(!points.is_empty() || role == JOURNAL, || {
        "the trace is empty".to_owned()
    })?;
    // purserd answers nobody before READY but whoever asks whether its readers are ready.
    points.retain(|point| point.call != "sendmsg");
    Ok(points
        .into_iter()
        .map(|point| (Process::Purserd, point))
        .collect())
}

/// strace in front of purserd, on its main thread alone. That thread is held when the journal's thread is born.
fn prefix(log: &PathBuf, blow: Option<&Blow>, objects: &Objects) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["strace".into(), "-y".into(), "-o".into(), log.into()];
    let (_, hold) = birth();
    match blow {
        Some(blow) if blow.point.role == MAIN => words.extend(options(blow, objects)),
        Some(_) => words.extend(["-e".into(), "trace=clone3".into(), "-e".into(), hold.into()]),
        None => {
            let traced = format!("trace={CALLS},clone3");
            words.extend(["-e".into(), traced.into(), "-e".into(), hold.into()]);
        }
    }
    words
}
