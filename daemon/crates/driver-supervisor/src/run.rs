//! The life of one driver instance.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use purser_driver_recording::What;
use purser_driver_wire::Hello;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use crate::desk::Desk;
use crate::ending::{Ending, Outcome};
use crate::handle::{ORDERS_MAX, Order};
use crate::session::{STDERR_BYTES, serve};
use crate::start::{Launched, launch};
use crate::{DownReason, DriverConfig, DriverEvent, Handle, NotSent, ProcessEnd, Spawner, State};

/// Events that wait for their reader before the supervisor stops listening to its driver.
pub const EVENTS_MAX: usize = 256;

/// Time in which a process that closed its socket by ending has its exit status: the kernel does one right after the
/// other, but a loaded machine not at once. A down that says how is worth this wait; answers do not wait for it.
const STATUS_TIME: Duration = Duration::from_secs(2);

/// Owns one driver instance.
#[derive(Debug)]
pub struct Supervisor {
    config: DriverConfig,
    spawner: Spawner,
    orders: mpsc::Receiver<Order>,
    desk: Desk,
    /// Restarts within the policy's window.
    restarts: VecDeque<Instant>,
    /// A disconnect found no room among the orders.
    disconnect_lost: Arc<Notify>,
}

/// The supervisor is to stop.
#[derive(Debug)]
struct Stop;

/// Why a start came to nothing.
#[derive(Debug)]
enum NotStarted {
    Down(DownReason),
    Stop,
}

impl From<DownReason> for NotStarted {
    fn from(reason: DownReason) -> Self {
        Self::Down(reason)
    }
}

impl From<Stop> for NotStarted {
    fn from(_: Stop) -> Self {
        Self::Stop
    }
}

impl Supervisor {
    /// A supervisor, the handle to it, and its events. Nothing runs until [`run`](Self::run) is awaited, on a thread
    /// that lives as long as the daemon.
    pub fn new(config: DriverConfig, spawner: Spawner) -> (Self, Handle, mpsc::Receiver<DriverEvent>) {
        let (orders_in, orders) = mpsc::channel(ORDERS_MAX);
        let (events, events_out) = mpsc::channel(EVENTS_MAX);
        let (desk, status) = Desk::new(events);
        let disconnect_lost = Arc::new(Notify::new());
        let supervisor = Self {
            config,
            spawner,
            orders,
            desk,
            restarts: VecDeque::new(),
            disconnect_lost: Arc::clone(&disconnect_lost),
        };
        (
            supervisor,
            Handle {
                orders: orders_in,
                status,
                disconnect_lost,
            },
            events_out,
        )
    }

    /// Keeps the driver running until [`Handle::stop`] or until all handles are gone.
    ///
    /// # Cancel safety
    /// Dropping the future kills the driver host; calls under way stay unanswered.
    pub async fn run(mut self) {
        loop {
            let (down, mut ending) = self.live_once().await;
            let next = match down {
                Some(reason) => self.wait_out(reason, &mut ending).await,
                None => Err(Stop),
            };
            if let Err(Stop) = next {
                self.wait_for(&mut ending).await;
                break;
            }
        }
        self.orders.close();
        while let Some(order) = self.orders.recv().await {
            // What was ordered before the close; nothing else is left to stop.
            let _ = refuse(Some(order), &mut self.desk);
        }
        self.desk.set(State::Stopped);
        while self.desk.is_waiting() {
            self.desk.pass_on().await;
        }
    }

    /// One driver host from start to end: why it went down, or `None` when the supervisor is to stop. Its process is
    /// killed, but perhaps not gone.
    async fn live_once(&mut self) -> (Option<DownReason>, Ending) {
        self.desk.begin();
        let deadline = Instant::now() + self.config.start_time;
        let (mut host, is_stale) = match self.launch().await {
            Ok(launched) => launched,
            Err(NotStarted::Down(reason)) => return (Some(reason), Ending::none()),
            Err(NotStarted::Stop) => return (None, Ending::none()),
        };
        self.desk.set_process(host.process.id());
        if is_stale {
            return (Some(DownReason::Asked), Ending::of(host.process));
        }
        let down = match self.greet(&mut host, deadline).await {
            Ok(driver) => {
                self.desk.set(State::Ready);
                let ready = host.slots.ready(&driver);
                self.desk.record(|tape| tape.note(What::Ready(ready)));
                self.desk.tell(DriverEvent::Ready {
                    driver: driver.clone(),
                    devices: host.slots.states(),
                });
                // One that was lost before concerned an earlier driver host, whose cards lost their power with it.
                let _ = timeout(Duration::ZERO, self.disconnect_lost.notified()).await;
                let orders = (&mut self.orders, &*self.disconnect_lost);
                serve((&mut host, &driver), orders, &self.config, &mut self.desk).await
            }
            Err(NotStarted::Down(reason)) => Some(reason),
            Err(NotStarted::Stop) => None,
        };
        let mut ending = Ending::of(host.process);
        let down = match down {
            Some(DownReason::Ended(_)) => {
                let how = timeout(STATUS_TIME, self.wait_for(&mut ending)).await;
                Some(DownReason::Ended(how.unwrap_or(ProcessEnd::Unknown)))
            }
            other => other,
        };
        (down, ending)
    }

    /// Waits until a killed driver host is gone, or given up; what is to be told is told meanwhile.
    async fn wait_for(&mut self, ending: &mut Ending) -> ProcessEnd {
        while !ending.is_over() {
            tokio::select! {
                biased;
                outcome = ending.wait() => return self.end(outcome),
                () = self.desk.pass_on(), if self.desk.is_waiting() => {}
            }
        }
        ProcessEnd::Unknown
    }

    fn end(&mut self, outcome: Outcome) -> ProcessEnd {
        let process_id = self.desk.set_process(None);
        match outcome {
            Outcome::Reaped(how) => how,
            Outcome::GivenUp => {
                self.desk.tell(DriverEvent::HostStuck { process_id });
                ProcessEnd::Unknown
            }
        }
    }

    /// A driver host that was ordered to load the driver; true where a restart was asked for since: the file that was checked
    /// may be an older one.
    async fn launch(&mut self) -> Result<(Launched, bool), NotStarted> {
        let mut launching = pin!(launch(&self.config, &self.spawner));
        let mut is_stale = false;
        loop {
            tokio::select! {
                biased;
                launched = &mut launching => return Ok((launched?, is_stale)),
                () = self.desk.pass_on(), if self.desk.is_waiting() => {}
                order = self.orders.recv(), if self.desk.has_room() => {
                    is_stale |= refuse(order, &mut self.desk)? == Refused::Restart;
                }
            }
        }
    }

    async fn greet(&mut self, host: &mut Launched, deadline: Instant) -> Result<Hello, NotStarted> {
        let mut line = [0; STDERR_BYTES];
        loop {
            let has_room = self.desk.has_room();
            tokio::select! {
                biased;
                () = sleep_until(deadline) => {
                    return Err(DownReason::StartDeadline(self.config.start_time).into());
                }
                () = self.desk.pass_on(), if self.desk.is_waiting() => {}
                order = self.orders.recv(), if has_room => {
                    if refuse(order, &mut self.desk)? == Refused::Restart {
                        return Err(DownReason::Asked.into());
                    }
                }
                message = host.link.receive(), if has_room => {
                    if let Some(hello) = host.hear(message?, &self.config, &mut self.desk).await? {
                        return Ok(hello);
                    }
                }
                length = host.stderr.read(&mut line), if has_room => self.desk.log_stderr(&line[..length]),
            }
        }
    }

    /// Tells that the driver is down, and waits until it is to be started again.
    async fn wait_out(&mut self, reason: DownReason, ending: &mut Ending) -> Result<(), Stop> {
        self.desk.set_failure(&reason);
        if reason == DownReason::Asked {
            self.begin_anew();
            return self.idle(Some(Instant::now()), ending).await;
        }
        let now = Instant::now();
        let policy = self.config.restarts;
        self.restarts
            .retain(|restart| now.duration_since(*restart) < policy.window);
        let until = if reason.is_transient() && self.restarts.len() < policy.restarts_max {
            self.restarts.push_back(now);
            let attempt = self.restarts.len();
            let restart_in = policy.backoff(attempt);
            self.desk.count(|counters| counters.restarts += 1);
            self.desk.set(State::Restarting {
                attempt,
                reason: reason.clone(),
            });
            self.desk.tell(DriverEvent::Down { reason, restart_in });
            Some(now + restart_in)
        } else {
            self.desk.set(State::Failed {
                reason: reason.clone(),
            });
            self.desk.tell(DriverEvent::Failed { reason });
            None
        };
        self.idle(until, ending).await
    }

    /// An operator asked for a restart: it is told, and restarts are counted anew.
    fn begin_anew(&mut self) {
        self.restarts.clear();
        self.desk.set(State::Starting);
        self.desk.tell(DriverEvent::Down {
            reason: DownReason::Asked,
            restart_in: Duration::ZERO,
        });
    }

    /// Refuses calls until the time comes, or for ever, or until a restart is asked for; in any case until the earlier
    /// driver host is over, because two must not drive the same devices.
    async fn idle(&mut self, mut until: Option<Instant>, ending: &mut Ending) -> Result<(), Stop> {
        loop {
            let is_over = ending.is_over();
            let may_start = is_over && until.is_some();
            tokio::select! {
                biased;
                outcome = ending.wait(), if !is_over => {
                    self.end(outcome);
                }
                () = sleep_until(until.unwrap_or_else(Instant::now)), if may_start => return Ok(()),
                () = self.desk.pass_on(), if self.desk.is_waiting() => {}
                order = self.orders.recv(), if self.desk.has_room() => {
                    if refuse(order, &mut self.desk)? == Refused::Restart {
                        self.begin_anew();
                        until = Some(Instant::now());
                    }
                }
            }
        }
    }
}

/// What is left of an order while no driver is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Nothing,
    Restart,
}

/// Deals with an order while no driver is ready.
fn refuse(order: Option<Order>, desk: &mut Desk) -> Result<Refused, Stop> {
    match order {
        Some(Order::Call(call)) => desk.answer(call.id, Err(NotSent::NotReady.into())),
        // There is nothing to cancel.
        Some(Order::Cancel(_)) => {}
        Some(Order::Record(file)) => desk.begin_recording(file),
        Some(Order::StopRecording(done)) => desk.end_recording(done),
        Some(Order::Restart) => return Ok(Refused::Restart),
        Some(Order::Stop) | None => return Err(Stop),
    }
    Ok(Refused::Nothing)
}

#[cfg(test)]
mod tests {
    use purser_driver_wire::{Call, CallId, SlotId};
    use tokio::process::Command;

    use super::*;
    use crate::spawn::HostProcess;

    /// A driver host that outlives its kill, like one inside a device's I/O: it leads no process group, and groups are
    /// what is killed.
    fn stuck() -> Ending {
        let mut sleep = Command::new("sleep");
        let child = sleep.arg("600").kill_on_drop(true).spawn().unwrap();
        Ending::of(HostProcess::Child(child))
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_host_that_does_not_die_holds_up_neither_answers_nor_the_restart_for_ever() {
        let spawner = Spawner::Child {
            program: "none".into(),
        };
        let (mut supervisor, handle, mut events) =
            Supervisor::new(DriverConfig::new("stuck", "none", ""), spawner);
        let mut ending = stuck();
        let process_id = supervisor.desk.set_process(Some(7));
        assert_eq!(process_id, None);
        handle
            .call(
                CallId(1),
                Call::Connect { slot: SlotId(1) },
                Duration::from_secs(5),
            )
            .unwrap();
        let killed = Instant::now();
        let hear = async {
            let down = events.recv().await;
            let answer = events.recv().await;
            (down, answer, killed.elapsed())
        };
        let (waited, (down, answer, heard_after)) =
            tokio::join!(supervisor.wait_out(DownReason::Deadline, &mut ending), hear);
        assert!(waited.is_ok());
        assert!(matches!(down, Some(DriverEvent::Down { .. })), "{down:?}");
        let refused = DriverEvent::Answer(CallId(1), Err(NotSent::NotReady.into()));
        assert_eq!(answer, Some(refused));
        assert_eq!(heard_after, Duration::ZERO);
        let held_up = killed.elapsed();
        assert!(
            held_up > supervisor.config.restarts.backoff(1) && held_up < Duration::from_secs(60),
            "{held_up:?}"
        );
        supervisor.desk.pass_on().await;
        let stuck = DriverEvent::HostStuck { process_id: Some(7) };
        assert_eq!(events.recv().await, Some(stuck));
        assert_eq!(handle.status().process_id, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_a_driver_host_that_does_not_die_only_so_long() {
        let spawner = Spawner::Child {
            program: "none".into(),
        };
        let (mut supervisor, _handle, _events) =
            Supervisor::new(DriverConfig::new("stuck", "none", ""), spawner);
        let mut ending = stuck();
        assert_eq!(supervisor.wait_for(&mut ending).await, ProcessEnd::Unknown);
        assert!(ending.is_over());
    }
}
