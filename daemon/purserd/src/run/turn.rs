//! The loop: one input at a time, from whoever has one.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::time::Duration;

use purser_api::{Answered, BusState, Call, DriverCall};
use purser_engine::{Input, RequestError};
use purser_journal::{Done, JournalThread};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};

use super::core::Core;
use super::{drivers, notify};
use crate::exit::Exit;

/// How long a stop may take: a debit under way is awaited, whose command and recovery take some seconds. Shorter than the
/// time after which systemd kills a service that stops.
const STOP_WAIT: Duration = Duration::from_secs(45);

/// How long READY waits for the bus: one that does not answer must not keep the socket's clients waiting for it.
const BUS_WAIT: Duration = Duration::from_secs(2);

/// Whoever has inputs.
pub(super) struct Sources {
    calls: mpsc::Receiver<Call>,
    driver_calls: mpsc::Receiver<DriverCall>,
    done: mpsc::Receiver<Done>,
    drivers: drivers::Events,
    provider: mpsc::Receiver<Input>,
    terminate: Signal,
    interrupt: Signal,
    watchdog: Option<Interval>,
}

impl Sources {
    /// Begins to listen to signals too.
    pub(super) fn new(
        (calls, driver_calls): (mpsc::Receiver<Call>, mpsc::Receiver<DriverCall>),
        done: mpsc::Receiver<Done>,
        (drivers, provider): (drivers::Events, mpsc::Receiver<Input>),
    ) -> io::Result<Self> {
        let watchdog = notify::watchdog_interval().map(|time| {
            let mut ticks = interval(time);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self {
            calls,
            driver_calls,
            done,
            drivers,
            provider,
            terminate,
            interrupt,
            watchdog,
        })
    }
}

/// A stop that has begun.
struct Stopping {
    answer: oneshot::Receiver<Result<Answered, RequestError>>,
    until: Instant,
}

/// Turns until a signal stops it, or the journal breaks. Gives the journal back, which may still be at work.
pub(super) async fn turn(
    mut core: Core,
    sources: Sources,
    bus: watch::Receiver<BusState>,
) -> (Exit, JournalThread) {
    let exit = turn_to_end(&mut core, sources, bus).await;
    (exit, core.into_journal())
}

async fn turn_to_end(core: &mut Core, mut sources: Sources, bus: watch::Receiver<BusState>) -> Exit {
    let mut stopping: Option<Stopping> = None;
    let (mut is_ready, mut is_bus_tried) = (false, false);
    let mut bus_tried = pin!(tried(bus));
    core.settle();
    loop {
        if !is_ready && is_bus_tried && core.is_recovered() {
            is_ready = true;
            tracing::info!("ready");
            notify::ready("ready");
        }
        tokio::select! {
            done = sources.done.recv() => if let Err(exit) = take_done(core, done) {
                return exit;
            },
            event = sources.drivers.next() => core.handle_driver(event),
            Some(answer) = sources.provider.recv() => core.handle_provider(answer),
            Some(call) = sources.calls.recv(), if core.has_room() => core.handle_call(call),
            Some(call) = sources.driver_calls.recv() => core.handle_driver_call(call),
            () = until(core.timer()) => {
                core.handle(Input::Timer);
                core.settle_by_itself();
            }
            () = &mut bus_tried, if !is_bus_tried => is_bus_tried = true,
            () = until(core.journal_wait().late_at().map(Instant::into_std)) => core.journal_wait().tell(),
            () = tick(sources.watchdog.as_mut()) => if !core.journal_wait().is_stuck(Instant::now()) {
                notify::watchdog();
            },
            () = stop_signal(&mut sources.terminate, &mut sources.interrupt) => {
                if stopping.is_some() {
                    tracing::warn!("stopped a second time; ends at once, and the next start recovers");
                    return Exit::Failed;
                }
                tracing::info!("stopping: ends or parks what is under way");
                notify::stopping();
                stopping = Some(Stopping { answer: core.stop(), until: Instant::now() + STOP_WAIT });
            }
            is_clean = stopped(stopping.as_mut()) => {
                if is_clean {
                    return Exit::Done;
                }
                tracing::warn!("what is under way did not end in time; the next start recovers");
                return Exit::Failed;
            }
        }
    }
}

fn take_done(core: &mut Core, done: Option<Done>) -> Result<(), Exit> {
    let Some(done) = done else {
        tracing::error!("the journal's thread has ended; the next start recovers");
        return Err(Exit::StoreBroken);
    };
    core.handle_done(done).map_err(|broken| {
        tracing::error!(error = %crate::verbs::chain(&broken), "the journal is broken");
        Exit::StoreBroken
    })
}

/// Waits until the bus is there, is not wanted, or was missed.
async fn tried(mut bus: watch::Receiver<BusState>) {
    if *bus.borrow_and_update() == BusState::Lost {
        // No answer in time is an answer too, and so is the end of the one who tries.
        let _ = timeout(BUS_WAIT, bus.changed()).await;
    }
}

async fn until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}

async fn tick(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => pending().await,
    }
}

async fn stop_signal(terminate: &mut Signal, interrupt: &mut Signal) {
    poll_fn(|context| {
        let is_told = terminate.poll_recv(context).is_ready() || interrupt.poll_recv(context).is_ready();
        if is_told {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// True when everything is recorded, false when time is up.
async fn stopped(stopping: Option<&mut Stopping>) -> bool {
    let Some(Stopping { answer, until }) = stopping else {
        return pending().await;
    };
    tokio::select! {
        answered = answer => answered.is_ok(),
        () = sleep_until(*until) => false,
    }
}
