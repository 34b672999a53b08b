//! The daemon: what it starts with, and the order in which it starts and ends.
//!
//! ```text
//! configuration ─ hardening ─ SAM keys ─ journal (locked, synced, read) ─ engine ─ drivers ─ doors ─ READY ─ loop
//! ```
//! Everything runs on one thread but the journal, which waits for the disk on its own, and reads for the API.

mod batches;
mod board;
mod clock;
mod core;
mod devices;
mod doors;
mod drivers;
mod facts;
mod harden;
mod health;
mod hear;
mod journal_check;
mod journal_wait;
mod journey;
mod loading;
mod notify;
mod orders;
mod parameters;
mod provider;
mod psam;
mod schedule;
mod settling;
mod socket;
mod translate;
mod turn;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use purser_engine::settlement::Enrolment;
use purser_engine::{Engine, PsamSettings};
use purser_journal::{Done, Journal, JournalThread};
use purser_ledger::{ClockRange, Snapshot, Store, Wall};
use tokio::sync::mpsc;

use self::board::Board;
pub(crate) use self::board::{clock_problem, disk_problem, limit_problem};
pub(crate) use self::clock::Clock;
use self::core::Core;
pub(crate) use self::harden::harden;
use self::journal_check::JournalCheck;
pub(crate) use self::parameters::age_problem;
use self::parameters::{Asking, Following, Parameters, Sells};
use self::schedule::Schedule;
use self::settling::Settler;
use self::turn::Sources;
use crate::cli::Places;
use crate::config::{Config, Sam};
use crate::credential;
use crate::exit::Exit;
use crate::generation;
use crate::journal_verbs::exit_of;
use crate::provider::Pinned;
use crate::verbs::chain;

/// Answers of the journal that may wait for the loop: more than the journal takes jobs, so that it never waits.
const DONE_MAX: usize = 512;
/// How long reads for the API may go on after the end of everything else.
const READS_END: Duration = Duration::from_secs(1);
/// How long the doors stay open after the last answer was given, so that it leaves. One that is lost can be asked for again.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How long the journal has to end what it was given, after the drivers: a sync takes milliseconds. On a disk that hangs it
/// never ends, and the process must all the same.
const JOURNAL_END: Duration = Duration::from_secs(5);
/// Where an installed system has the driver host.
const DRIVER_HOST: &str = "/usr/libexec/purser/purser-driver-host";

/// Runs the daemon until it is told to stop, or cannot go on.
pub(crate) fn run(config: Config, places: &Places) -> Exit {
    abort_on_panic();
    match prepare(&config, places) {
        Ok(parts) => on_runtime(config, places, parts),
        Err(exit) => exit,
    }
}

/// What the daemon has before it opens a door.
struct Parts {
    sam: purser_engine::Sam,
    is_sam_locked: bool,
    journal: Journal,
    snapshot: Snapshot,
    generation: u32,
}

fn prepare(config: &Config, places: &Places) -> Result<Parts, Exit> {
    let failed = |exit: Exit| {
        move |error: &dyn std::error::Error| {
            tracing::error!(error = %chain(error), "purserd does not start");
            exit
        }
    };
    harden::harden().map_err(|error| failed(Exit::Failed)(&error))?;
    let (sam, is_sam_locked) = sam(config, places).map_err(|error| failed(Exit::Config)(&error))?;
    let state_dir = places.state_dir.display();
    let journal = Journal::open(&places.state_dir, &config.journal_options()).map_err(|error| {
        tracing::error!(%state_dir, error = %chain(&error), "purserd does not start");
        exit_of(&error)
    })?;
    let snapshot = journal
        .snapshot()
        .map_err(|error| failed(Exit::StoreBroken)(&error))?;
    for card in &snapshot.held {
        tracing::error!(%state_dir, %card, "an open payment of this card cannot be read; no sale uses the card until purserd verify-journal finds the journal whole");
    }
    let generation = generation::in_force(&places.state_dir).map_err(|error| failed(Exit::Failed)(&error))?;
    let (entries, open) = (journal.head().number, snapshot.open.len());
    tracing::info!(%state_dir, entries, open, generation, "journal is open and synced");
    Ok(Parts {
        sam,
        is_sam_locked,
        journal,
        snapshot,
        generation,
    })
}

/// The SAM, and whether its keys are locked in memory: a PSAM keeps its own.
fn sam(config: &Config, places: &Places) -> Result<(purser_engine::Sam, bool), credential::KeyFileError> {
    match &config.sam {
        Sam::Credential(file) => {
            let folder = places.config.parent().unwrap_or(Path::new("."));
            let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let keys = credential::locate(file, folder, credentials.as_deref());
            let sam = credential::load_sam(&keys, rustix::process::geteuid().as_raw())?;
            let is_locked = sam.is_locked_in_memory();
            Ok((sam.into(), is_locked))
        }
        Sam::Psam { reader, profile } => {
            let settings = PsamSettings {
                reader: reader.clone(),
                profile: profile.clone(),
            };
            Ok((settings.into(), true))
        }
    }
}

fn on_runtime(config: Config, places: &Places, parts: Parts) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "purserd does not start");
            return Exit::Failed;
        }
    };
    let exit = runtime.block_on(serve(config, places, parts));
    runtime.shutdown_timeout(READS_END);
    tracing::info!(code = exit.code(), "purserd ends");
    exit
}

fn schedule(config: &Config, enrolment: Option<&Enrolment>) -> Option<Schedule> {
    let (enrolled, provider) = enrolment.zip(config.provider.as_ref())?;
    // A terminal that loads cards settles nothing.
    enrolled.accounts.first()?;
    Some(Schedule::new(&provider.settle, enrolled.terminal.as_str()))
}

/// The provider's parameters, which are in force also where there is no link; none where nothing that is sold here is claimed.
fn follow(
    config: &Config,
    places: &Places,
    (pinned, settler): (Option<Pinned>, &Settler),
    board: &Board,
) -> Option<Following> {
    let period_seconds = config.provider.as_ref()?.parameters_seconds;
    let pinned = pinned.filter(|it| it.merchant().is_some())?;
    let asking = settler.merchant_link().map(|(link, answers)| Asking {
        link,
        period_seconds,
        answers,
    });
    let sells = Sells {
        currencies: config.issuers.values().copied().collect(),
        is_sam_software: matches!(config.sam, Sam::Credential(_)),
    };
    let with = (board.clone(), sells);
    Some(Parameters::begin(&places.state_dir, &pinned, with, asking))
}

/// The time of the start, as far as it is believed.
fn judge(range: ClockRange, clock: &Clock) -> Wall {
    let started_at = range.judge(clock.now().wall);
    if !started_at.trusted {
        tracing::warn!(now = %clock.shown(), "the clock is not believed; sales go on, marked; set the clock");
    }
    started_at
}

async fn serve(config: Config, places: &Places, parts: Parts) -> Exit {
    let Parts {
        sam,
        is_sam_locked,
        journal,
        snapshot,
        generation,
    } = parts;
    let clock = Clock::new();
    let begun = provider::begin(&config, &places.state_dir, generation).await;
    let schedule = schedule(&config, begun.enrolment.as_ref());
    let range = ClockRange::new(built_unix_seconds(), snapshot.newest_unix_seconds);
    let board = Board::new(config.limits.clone(), clock.clone(), range, journal.disk());
    let with = engine_config(&config, begun.enrolment, generation);
    let engine = Engine::resume(with, sam, snapshot, clock.now());
    let full_check = journal.full_check();
    let (journal, done_queue) = match start_journal(journal) {
        Ok(started) => started,
        Err(exit) => return exit,
    };
    let (settler, settled) = Settler::new(&places.state_dir, journal.keeper(), begun.link.clone());
    let (drivers, driver_events, running) = drivers::start(&config, &driver_host());
    let following = follow(&config, places, (begun.pinned, &settler), &board);
    let check = JournalCheck::begin(places.state_dir.clone(), full_check);
    let facing = doors::Facing {
        started_at: judge(range, &clock),
        is_sam_locked,
        provider: begun.problem,
        link: begun.link,
        generation,
        board: board.clone(),
        check: check.clone(),
        parameters: following.as_ref().map(|it| it.parameters.clone()),
    };
    let opened = doors::open(&config, places, &drivers, facing).await;
    let doors::Doors {
        hub,
        calls,
        driver_calls,
        bus,
        open,
    } = match opened {
        Ok(doors) => doors,
        Err(exit) => return end_journal(journal, exit),
    };
    let mut core = Core::new(
        engine,
        clock,
        journal,
        (drivers, settler),
        (hub, board),
        (check, schedule),
    );
    following.into_iter().for_each(|following| core.follow(following));
    let (exit, journal) = match Sources::new((calls, driver_calls), done_queue, (driver_events, settled)) {
        Ok(sources) => turn::turn(core, sources, bus).await,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received");
            (Exit::Failed, core.into_journal())
        }
    };
    tokio::time::sleep(LAST_WORDS).await;
    open.close();
    running.end().await;
    end_journal(journal, exit)
}

/// Puts the journal on its thread; its answers come out of the queue.
fn start_journal(journal: Journal) -> Result<(JournalThread, mpsc::Receiver<Done>), Exit> {
    let (done, queue) = mpsc::channel(DONE_MAX);
    let thread = JournalThread::start(journal, move |answer| {
        // Nobody listens any more once the loop has ended.
        let _ = done.blocking_send(answer);
    });
    match thread {
        Ok(thread) => Ok((thread, queue)),
        Err(error) => {
            tracing::error!(%error, "the journal's thread cannot be started");
            Err(Exit::Failed)
        }
    }
}

/// Closes the journal; the exit code tells where that cannot be.
fn end_journal(journal: JournalThread, exit: Exit) -> Exit {
    if journal.end(JOURNAL_END) {
        return exit;
    }
    tracing::error!("the journal does not end; check the disk of the state folder. The next start recovers");
    Exit::StoreBroken
}

fn engine_config(config: &Config, provider: Option<Enrolment>, generation: u32) -> purser_engine::Config {
    purser_engine::Config {
        terminal_number: config.psam_terminal_number,
        profile: config.profile.clone(),
        issuers: config.issuers.clone(),
        pin_free_up_to: config.pin_free_up_to.clone(),
        pin_through_api: config.pin_through_api,
        pin_pads: config.pin_pads.clone(),
        card_wait_ms: config.card_wait.ms(),
        pin_wait_ms: config.pin_wait.ms(),
        limits: config.limits.clone(),
        provider,
        built_unix_seconds: built_unix_seconds(),
        generation,
    }
}

/// When this program was built: the first clock floor (money rule T2).
pub(crate) fn built_unix_seconds() -> i64 {
    env!("PURSERD_BUILT_UNIX_SECONDS")
        .parse()
        .expect("the build script writes a number")
}

/// The driver host beside this program (a checkout), else the installed one.
fn driver_host() -> PathBuf {
    env::current_exe()
        .ok()
        .map(|program| program.with_file_name("purser-driver-host"))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| PathBuf::from(DRIVER_HOST))
}

/// A panic anywhere ends the process: nothing in an unknown state may go on with money. The next start recovers.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        tracing::error!(%info, "purserd is wrong about its own state and ends now; the next start recovers");
        std::process::abort();
    }));
}
