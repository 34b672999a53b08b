//! One settlement, or the void of one: watched at every call of both programs that writes, or cut at one.
//!
//! purserd's threads have names and work of their own, so strace cuts it at a call of one thread. The provider works with a
//! pool of threads, and which of them writes is chance: a library in front of its C library counts over all of them (cut.c).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use purser_api::client::ClientError;
use purser_api::model::{BatchArguments, ErrorName};
use purser_lab::stack::PATIENCE;

use super::shop::{Shop, Stage, Template, ask};
use crate::phase::{self, Process, thread_of};
use crate::point::{self, Objects, Point, SOCKET};
use crate::pos::{Pos, is_gone};
use crate::strace::{CALLS, Cut, Strace, is_cut};
use crate::{Fault, ensure};

/// After the exchange purserd tells what has come of it. So long is waited for a cut that comes in there.
const AFTERMATH: Duration = Duration::from_millis(200);
/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(3);
/// purserd's threads that write anything but wake-ups. The others read the journal and check signatures.
const WRITERS: [&str; 2] = ["main", "journal"];
/// What the provider's threads are called together.
const ANY_THREAD: &str = "any";
/// Its source.
const CUTTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/settle/cut.c");

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Story {
    /// The claims are settled.
    Settlement,
    /// A batch that waits is voided by the operator (money rule B3).
    Void,
}

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The shop's.
    Purserd,
    /// The provider's.
    Provider,
}

/// Where a settlement is cut, and how. The provider can be killed only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blow {
    /// In which program.
    pub side: Side,
    /// At which call.
    pub point: Point,
    /// How.
    pub cut: Cut,
}

/// A settlement that was lived through, or not.
#[derive(Debug)]
pub struct Lived {
    /// What is left of it.
    pub shop: Shop,
    /// A kill at every point that was seen, where none was cut.
    pub points: Vec<Blow>,
    /// Whether it was begun in time: Purser's own next try may be faster than the operator who wants the batch voided.
    pub is_begun: bool,
    /// Where it was cut: how far it had come.
    pub cut_at: Option<Stage>,
}

/// The library that kills the provider.
#[derive(Debug)]
pub struct Cutter(PathBuf);

impl Cutter {
    /// Compiles it into a folder.
    ///
    /// # Errors
    /// There is no C compiler.
    pub fn compile(folder: &Path) -> Result<Self, Fault> {
        let library = folder.join("cut.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&library, &PathBuf::from(CUTTER)])
            .output()
            .map_err(|error| format!("cc cannot be run: {error}"))?;
        ensure(compiled.status.success(), || format!("{compiled:?}"))?;
        Ok(Self(library))
    }

    /// The environment of a process that is killed at this point.
    pub(super) fn env(&self, point: &Point, dir: &Path) -> Vec<(OsString, OsString)> {
        let object = if point.object == SOCKET {
            SOCKET.into()
        } else {
            dir.join(&point.object).into_os_string()
        };
        vec![
            ("LD_PRELOAD".into(), self.0.clone().into()),
            ("CUT_CALL".into(), point.call.clone().into()),
            ("CUT_OBJECT".into(), object),
            ("CUT_WHEN".into(), point.when.to_string().into()),
        ]
    }
}

/// Lives through a story, watched at every point, or cut at one.
///
/// # Errors
/// Something fails that no cut explains.
pub fn live(template: &Template, cutter: &Cutter, story: Story, blow: Option<&Blow>) -> Result<Lived, Fault> {
    let mut shop = Shop::copy(template)?;
    let mut batch = None;
    if story == Story::Void {
        shop.stack.start_again()?;
        batch = Some(shop.seal()?);
    }
    if let Some(blow) = blow.filter(|blow| blow.side == Side::Provider) {
        shop.provider.set_env(cutter.env(&blow.point, shop.dir()));
    }
    shop.provider.serve()?;
    let mut watches = Vec::new();
    if blow.is_none() {
        watches.push(watch(&shop, Side::Provider)?);
    }
    let mut objects = shop.objects();
    if story == Story::Settlement
        && let Some(link) = shop.start_with_link()?
    {
        objects.name("link", &link);
    }
    let mut pos = shop.pos()?;
    for (name, link) in pos.links() {
        objects.name(name, link);
    }
    let strace = match blow {
        None => {
            watches.push(watch(&shop, Side::Purserd)?);
            None
        }
        Some(blow) if blow.side == Side::Purserd => Some((aim(&shop, blow, &objects)?, blow.cut)),
        Some(_) => None,
    };
    let is_begun = begin(&mut pos, batch.as_deref(), blow.is_some())?;
    if is_begun {
        let is_hit = || strace.as_ref().is_some_and(|(strace, cut)| strace.shows(*cut));
        wait_for_end(&mut shop, is_hit)?;
    }
    let was_cut = match strace {
        Some((strace, cut)) => is_cut(&strace.finish(shop.stack.purserd_id().is_none())?, cut),
        None => shop.is_provider_killed()?,
    };
    let cut_at = was_cut.then(|| shop.stage()).transpose()?;
    let mut points = Vec::new();
    for watch in watches {
        points.extend(watch.finish(&objects)?);
    }
    Ok(Lived {
        shop,
        points,
        is_begun,
        cut_at,
    })
}

/// Asks for the settlement, or for the void of this batch. False where it is being sent already.
fn begin(pos: &mut Pos, batch: Option<&str>, is_to_die: bool) -> Result<bool, Fault> {
    let asked = match batch {
        None => ask(pos)?.map(drop),
        Some(id) => {
            let batch = BatchArguments { id: id.to_owned() };
            let voided = pos.call(async |purser| purser.void_batch(&batch).await)?;
            voided.map(drop)
        }
    };
    match asked {
        Ok(()) => Ok(true),
        Err(error) if is_to_die && is_gone(&error) => Ok(true),
        Err(ClientError::Refused(fault)) if is_to_die && fault.is(ErrorName::Stopping) => Ok(true),
        Err(ClientError::Refused(fault)) if fault.is(ErrorName::Changing) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// An strace that strikes purserd so.
pub(super) fn aim(shop: &Shop, blow: &Blow, objects: &Objects) -> Result<Strace, Fault> {
    let blow = phase::Blow {
        process: Process::Purserd,
        point: blow.point.clone(),
        cut: blow.cut,
    };
    let thread = thread_of(shop.purserd()?, &blow.point.role)?;
    let log = shop.dir().join("cut.strace");
    Strace::attach(thread, &log, &phase::options(&blow, objects))
}

/// Waits until all is done, or one of the two is dead, or purserd goes on for a while after a call that failed.
fn wait_for_end(shop: &mut Shop, is_hit: impl Fn() -> bool) -> Result<(), Fault> {
    let end = Instant::now() + PATIENCE;
    let mut done = None;
    while shop.stack.purserd_id().is_some() && shop.provider.ended()?.is_none() {
        if done.is_none() && (is_hit() || matches!(shop.stage_here()?, Stage::Exchanged | Stage::Void)) {
            done = Some(Instant::now());
        }
        if done.is_some_and(|done| done.elapsed() > AFTERMATH) {
            return Ok(());
        }
        ensure(Instant::now() < end, || {
            let log = shop.stack.log().unwrap_or_default();
            format!("nothing is exchanged or void; purserd's log:\n{log}")
        })?;
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// All threads of a process, watched.
pub(super) struct Watch {
    side: Side,
    process: u32,
    strace: Strace,
}

pub(super) fn watch(shop: &Shop, side: Side) -> Result<Watch, Fault> {
    let process = match side {
        Side::Purserd => shop.purserd()?,
        Side::Provider => shop.provider.id().ok_or("the provider does not run")?,
    };
    let log = shop.dir().join(format!("{side:?}.strace"));
    let traced = format!("trace={CALLS}");
    let options = ["-f", "-ff", "-e", &traced].map(OsString::from);
    let strace = Strace::attach(process, &log, &options)?;
    Ok(Watch {
        side,
        process,
        strace,
    })
}

impl Watch {
    pub(super) fn finish(self, objects: &Objects) -> Result<Vec<Blow>, Fault> {
        let names: BTreeMap<u32, String> = point::threads(self.process)?.into_iter().collect();
        let mut points = Vec::new();
        for (thread, log) in self.strace.finish_threads()? {
            let role = names.get(&thread).map_or("gone", String::as_str);
            points.extend(point::points(&log, role, objects)?);
        }
        let points = match self.side {
            Side::Purserd => {
                let (kept, others): (Vec<_>, Vec<_>) = points
                    .into_iter()
                    .partition(|point| WRITERS.contains(&point.role.as_str()));
                let odd: Vec<_> = others.iter().filter(|point| !point.is_wake_up()).collect();
                ensure(odd.is_empty(), || format!("other threads write: {odd:?}"))?;
                kept
            }
            Side::Provider => over_all_threads(points.into_iter().filter(|point| !point.is_wake_up())),
        };
        let (side, cut) = (self.side, Cut::Kill);
        let blow = |point| Blow { side, point, cut };
        Ok(points.into_iter().map(blow).collect())
    }
}

/// The same calls on the same object, counted over all threads.
fn over_all_threads(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    let counted = points.map(|point| {
        let when = counts
            .entry((point.call.clone(), point.object.clone()))
            .or_default();
        *when += 1;
        Point {
            role: ANY_THREAD.to_owned(),
            when: *when,
            ..point
        }
    });
    counted.collect()
}
