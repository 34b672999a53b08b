//! The life of one driver instance.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use purser_driver_wire::Hello;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::desk::Desk;
use crate::handle::{ORDERS_MAX, Order};
use crate::session::{STDERR_BYTES, serve};
use crate::start::{Launched, launch};
use crate::{DownReason, DriverConfig, DriverEvent, Handle, NotSent, Spawner, State};

/// Events that wait for their reader before the supervisor stops listening to its driver.
pub const EVENTS_MAX: usize = 256;

/// Owns one driver instance.
#[derive(Debug)]
pub struct Supervisor {
    config: DriverConfig,
    spawner: Spawner,
    orders: mpsc::Receiver<Order>,
    desk: Desk,
    /// Restarts within the policy's window.
    restarts: VecDeque<Instant>,
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
        let supervisor = Self {
            config,
            spawner,
            orders,
            desk,
            restarts: VecDeque::new(),
        };
        (
            supervisor,
            Handle {
                orders: orders_in,
                status,
            },
            events_out,
        )
    }

    /// Keeps the driver running until [`Handle::stop`] or until all handles are gone.
    ///
    /// # Cancel safety
    /// Dropping the future kills the driver host; calls under way stay unanswered.
    pub async fn run(mut self) {
        while let Some(reason) = self.live_once().await {
            if let Err(Stop) = self.wait_out(reason).await {
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

    /// One driver host from start to end: why it went down, or `None` when the supervisor is to stop.
    async fn live_once(&mut self) -> Option<DownReason> {
        self.desk.begin();
        let deadline = Instant::now() + self.config.start_time;
        let mut host = match self.launch().await {
            Ok(host) => host,
            Err(NotStarted::Down(reason)) => return Some(reason),
            Err(NotStarted::Stop) => return None,
        };
        self.desk.set_process(host.process.id());
        let down = match self.greet(&mut host, deadline).await {
            Ok(driver) => {
                self.desk.set(State::Ready);
                self.desk.tell(DriverEvent::Ready {
                    driver,
                    devices: host.slots.states(),
                });
                serve(&mut host, &mut self.orders, &self.config, &mut self.desk).await
            }
            Err(NotStarted::Down(reason)) => Some(reason),
            Err(NotStarted::Stop) => None,
        };
        let how = host.process.end().await;
        self.desk.set_process(None);
        down.map(|reason| {
            if let DownReason::Ended(_) = reason {
                DownReason::Ended(how)
            } else {
                reason
            }
        })
    }

    async fn launch(&mut self) -> Result<Launched, NotStarted> {
        let mut launching = pin!(launch(&self.config, &self.spawner));
        loop {
            tokio::select! {
                biased;
                launched = &mut launching => return Ok(launched?),
                () = self.desk.pass_on(), if self.desk.is_waiting() => {}
                order = self.orders.recv(), if self.desk.has_room() => refuse(order, &mut self.desk)?,
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
                order = self.orders.recv(), if has_room => refuse(order, &mut self.desk)?,
                message = host.link.receive(), if has_room => {
                    if let Some(hello) = host.hear(message?, &self.config, &mut self.desk).await? {
                        return Ok(hello);
                    }
                }
                length = host.stderr.read(&mut line), if has_room => self.desk.log_stderr(&line[..length]),
            }
        }
    }

    /// Waits until the driver is to be started again.
    async fn wait_out(&mut self, reason: DownReason) -> Result<(), Stop> {
        if reason == DownReason::Asked {
            self.restarts.clear();
            self.desk.tell(DriverEvent::Down {
                reason,
                restart_in: Duration::ZERO,
            });
            return Ok(());
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
        self.idle(until).await
    }

    /// Refuses calls until the time comes, or for ever, or until a restart is asked for.
    async fn idle(&mut self, until: Option<Instant>) -> Result<(), Stop> {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return Ok(()),
                () = self.desk.pass_on(), if self.desk.is_waiting() => {}
                order = self.orders.recv(), if self.desk.has_room() => {
                    if matches!(order, Some(Order::Restart)) {
                        self.restarts.clear();
                        return Ok(());
                    }
                    refuse(order, &mut self.desk)?;
                }
            }
        }
    }
}

/// Deals with an order while no driver is ready.
fn refuse(order: Option<Order>, desk: &mut Desk) -> Result<(), Stop> {
    match order {
        Some(Order::Call(call)) => desk.answer(call.id, Err(NotSent::NotReady.into())),
        // There is nothing to cancel, and a start is under way already.
        Some(Order::Cancel(_) | Order::Restart) => {}
        Some(Order::Stop) | None => return Err(Stop),
    }
    Ok(())
}
