//! The parts of purserd's life that are watched and cut.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use purser_lab::stack::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};

use crate::hosts;
use crate::judge::wait_for_devices;
use crate::point::{self, Objects, Point};
use crate::pos::{Pos, Told};
use crate::strace::{CALLS, Cut, Strace, is_cut};
use crate::templates::Templates;
use crate::world::{PRICE, World};
use crate::{Fault, ensure};

/// DEBIT FOR PURCHASE.
pub(crate) const DEBIT: u8 = 0x54;
/// After the end that the till sees, purserd lets go of the card and looks at it once more. So long is waited for a cut
/// that comes in there; it is waited out by traces only.
const AFTERMATH: Duration = Duration::from_millis(400);
/// The journal is maintained when it was idle for two seconds.
const UPKEEP: Duration = Duration::from_millis(3_500);
/// How long the main thread is held at the birth of the journal's thread, so that strace is there before its first call.
const BIRTH: Duration = Duration::from_millis(400);
/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A part of purserd's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The first start ever, with an empty state folder.
    FirstStart,
    /// A sale, from BeginSale to the end of the visit.
    Sale,
    /// The same with a PSAM, from the first word to the PSAM on; what comes before is as in any sale.
    PsamSale,
    /// A start that finds an intended debit.
    Restart,
    /// The card of a sale in doubt comes back; it had debited.
    ReturnsDebited,
    /// The card of a sale in doubt comes back; it had not debited.
    ReturnsUntouched,
    /// SIGTERM while a sale waits for its card.
    Stop,
    /// The journal's upkeep after a sale.
    Upkeep,
}

impl Phase {
    /// All of a shop without a PSAM.
    pub const ALL: [Self; 7] = [
        Self::FirstStart,
        Self::Sale,
        Self::Restart,
        Self::ReturnsDebited,
        Self::ReturnsUntouched,
        Self::Stop,
        Self::Upkeep,
    ];

    /// The reference of the sale that is judged.
    pub fn reference(self) -> &'static str {
        match self {
            Self::FirstStart | Self::Upkeep => "next",
            Self::Sale | Self::PsamSale => "sale",
            Self::Restart | Self::ReturnsDebited | Self::ReturnsUntouched => "open",
            Self::Stop => "stopped",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstStart => "first start",
            Self::Sale => "sale",
            Self::PsamSale => "sale with PSAM",
            Self::Restart => "restart",
            Self::ReturnsDebited => "card returns, debited",
            Self::ReturnsUntouched => "card returns, untouched",
            Self::Stop => "stop",
            Self::Upkeep => "upkeep",
        })
    }
}

/// Whose calls are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// The daemon's.
    Purserd,
    /// The driver host's.
    DriverHost,
    /// The calls of the driver host of the PSAM's slot.
    PsamHost,
}

/// Where a phase is cut, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blow {
    /// In which process.
    pub process: Process,
    /// At which call.
    pub point: Point,
    /// How.
    pub cut: Cut,
}

/// A phase that was lived through, or not.
#[derive(Debug)]
pub struct Lived {
    /// What is left of it.
    pub world: World,
    /// What the till was told.
    pub told: Told,
    /// Every point that was seen, where none was cut.
    pub points: Vec<(Process, Point)>,
    /// Whether the cut happened.
    pub is_cut: bool,
    /// How purserd ended, where it did.
    pub end: Option<ExitStatus>,
}

/// Lives through a phase, watched at every point, or cut at one.
///
/// # Errors
/// Something fails that no cut explains.
pub fn live(phase: Phase, templates: &Templates, blow: Option<&Blow>) -> Result<Lived, Fault> {
    let mut world = match templates.of(phase) {
        None => World::new()?,
        Some(template) => World::copy(template)?,
    };
    match phase {
        Phase::FirstStart | Phase::Restart => crate::start::live(world, blow),
        Phase::Sale
        | Phase::PsamSale
        | Phase::Stop
        | Phase::ReturnsDebited
        | Phase::ReturnsUntouched
        | Phase::Upkeep => {
            world.stack.start_again()?;
            wait_for_devices(&world)?;
            live_in(world, phase, phase.reference(), blow)
        }
    }
}

/// Lives through a phase of a running purserd.
pub(crate) fn live_in(
    mut world: World,
    phase: Phase,
    reference: &str,
    blow: Option<&Blow>,
) -> Result<Lived, Fault> {
    if phase == Phase::Upkeep {
        world.sell_paid("kept")?;
        world.card.remove();
    }
    let mut pos = world.pos()?;
    let mut told = Told::default();
    if phase == Phase::Stop {
        told = pos.begin(reference, PRICE)?;
    }
    let purserd = world.stack.purserd_id().ok_or("purserd does not run")?;
    let objects = objects(&world, &pos, purserd)?;
    let straces = attach(&world, phase, purserd, &objects, blow)?;
    let threads = point::threads(purserd)?;
    let told = act(&mut world, &mut pos, phase, reference, told)?;
    let aftermath = match phase {
        _ if told.is_cut_off => PATIENCE,
        Phase::Upkeep => UPKEEP,
        _ => AFTERMATH,
    };
    wait_for_death(&world, aftermath, &straces, blow);
    if blow.is_none() && world.is_alive() {
        ensure(point::threads(purserd)? == threads, || {
            "a thread came that nobody watched".to_owned()
        })?;
    }
    let mut points = Vec::new();
    let mut was_cut = false;
    for (process, role, strace) in straces {
        let log = strace.finish(!world.is_alive())?;
        match blow {
            Some(blow) => was_cut |= is_cut(&log, blow.cut),
            None => {
                let seen = point::points(&log, &role, &objects)?.into_iter();
                let is_before = |point: &Point| {
                    (phase, process) == (Phase::PsamSale, Process::Purserd) && !hosts::is_of_psam(point)
                };
                points.extend(seen.skip_while(is_before).map(|point| (process, point)));
            }
        }
    }
    let end = if world.is_alive() {
        None
    } else {
        Some(world.end()?)
    };
    Ok(Lived {
        world,
        told,
        points,
        is_cut: was_cut,
        end,
    })
}

fn act(world: &mut World, pos: &mut Pos, phase: Phase, reference: &str, told: Told) -> Result<Told, Fault> {
    match phase {
        Phase::Sale | Phase::PsamSale => world.sell_at(pos, reference),
        Phase::ReturnsDebited | Phase::ReturnsUntouched => {
            world.card.insert();
            pos.follow(reference, told, |sale| {
                !matches!(sale.outcome.as_str(), "in_doubt" | "under_way")
            })
        }
        Phase::Stop => {
            let purserd = world.stack.purserd_id().ok_or("purserd does not run")?;
            let purserd = Pid::from_raw(i32::try_from(purserd)?).ok_or("no process has the number 0")?;
            let mut asked = None;
            let mut told = pos.follow(reference, told, |sale| {
                // Only a till that watches already is told the end.
                asked.get_or_insert_with(|| kill_process(purserd, Signal::TERM));
                sale.outcome != "under_way"
            })?;
            asked.unwrap_or(Ok(()))?;
            told.is_cut_off = true;
            Ok(told)
        }
        Phase::Upkeep | Phase::FirstStart | Phase::Restart => Ok(told),
    }
}

/// Waits until purserd is dead, or a cut driver host is, or the time is over.
fn wait_for_death(world: &World, time: Duration, straces: &[Watched], blow: Option<&Blow>) {
    let end = Instant::now() + time;
    let is_host_dead = || match blow {
        Some(blow) if blow.process != Process::Purserd => {
            straces.iter().any(|(_, _, strace)| strace.shows(blow.cut))
        }
        Some(_) | None => false,
    };
    while world.is_alive() && !is_host_dead() && Instant::now() < end {
        thread::sleep(LOOK_AGAIN);
    }
}

/// Names for the sockets of the till and of the PSAM's driver host, and files by their paths.
fn objects(world: &World, pos: &Pos, purserd: u32) -> Result<Objects, Fault> {
    let mut objects = world.objects();
    for (name, link) in pos.links() {
        objects.name(name, link);
    }
    if world.psam.is_some() {
        let host = hosts::that_listens(purserd, world.stack.layout().psam)?;
        objects.name(hosts::PSAM, &hosts::socket_to(purserd, host)?);
    }
    Ok(objects)
}

/// A strace, and whose thread it watches.
type Watched = (Process, String, Strace);

fn attach(
    world: &World,
    phase: Phase,
    purserd: u32,
    objects: &Objects,
    blow: Option<&Blow>,
) -> Result<Vec<Watched>, Fault> {
    let mut processes = vec![(Process::Purserd, purserd)];
    let layout = world.stack.layout();
    match phase {
        Phase::Sale => processes.push((Process::DriverHost, hosts::that_listens(purserd, layout.reader)?)),
        Phase::PsamSale => {
            processes.push((Process::PsamHost, hosts::that_listens(purserd, layout.psam)?));
        }
        Phase::FirstStart
        | Phase::Restart
        | Phase::ReturnsDebited
        | Phase::ReturnsUntouched
        | Phase::Stop
        | Phase::Upkeep => {}
    }
    let Some(blow) = blow else {
        let options = [OsString::from("-e"), format!("trace={CALLS}").into()];
        let mut straces = Vec::new();
        for (process, id) in processes {
            for (thread, role) in point::threads(id)? {
                let log = world.trace_file(&format!("{process:?}-{role}"));
                match Strace::attach(thread, &log, &options) {
                    Ok(strace) => straces.push((process, role, strace)),
                    // What a start does once ends about now.
                    Err(_) if !Path::new(&format!("/proc/{id}/task/{thread}")).exists() => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        return Ok(straces);
    };
    let process = processes
        .into_iter()
        .find(|(process, _)| *process == blow.process);
    let (process, id) = process.ok_or("that process does not run")?;
    let role = blow.point.role.clone();
    let thread = thread_of(id, &role)?;
    let strace = Strace::attach(thread, &world.trace_file("cut"), &options(blow, objects))?;
    Ok(vec![(process, role, strace)])
}

/// The thread of this role. A thread that was just born has no name yet.
pub(crate) fn thread_of(process: u32, role: &str) -> Result<u32, Fault> {
    let end = Instant::now() + PATIENCE;
    loop {
        let threads = point::threads(process)?;
        if let Some((thread, _)) = threads.iter().find(|(_, named)| named == role) {
            return Ok(*thread);
        }
        ensure(Instant::now() < end, || {
            format!("there is no thread {role}: {threads:?}")
        })?;
        thread::sleep(LOOK_AGAIN);
    }
}

/// What strace is told to strike so.
pub(crate) fn options(blow: &Blow, objects: &Objects) -> Vec<OsString> {
    let Point {
        call, object, when, ..
    } = &blow.point;
    let mut options = objects.filter(object);
    let expressions = [format!("trace={call}"), blow.cut.injection(call, *when)];
    options.extend(
        expressions
            .into_iter()
            .flat_map(|expression| ["-e".into(), expression.into()]),
    );
    options
}

/// The moment in which a newborn thread can be watched from its first call on.
pub(crate) fn birth() -> (Duration, String) {
    (
        BIRTH,
        format!("inject=clone3:delay_exit={}:when=1", BIRTH.as_micros()),
    )
}

/// The thread of this name, once it is born; none when the time is over.
pub(crate) fn wait_for_thread(state_dir: &str, name: &str) -> Option<u32> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let found = purserd_of(state_dir).and_then(|id| point::threads(id).ok());
        let thread = found.and_then(|threads| threads.into_iter().find(|(_, role)| role == name));
        if let Some((thread, _)) = thread {
            return Some(thread);
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

/// The process that runs purserd on this state folder, found among all processes.
fn purserd_of(state_dir: &str) -> Option<u32> {
    let ids = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = ids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    ids.find(|id| {
        let is_purserd =
            fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim_end() == "purserd");
        let has_folder = || {
            fs::read(format!("/proc/{id}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(state_dir))
        };
        is_purserd && has_folder()
    })
}
