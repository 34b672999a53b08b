//! The task that owns the call-back's machine: it does what the machine wants done, and tells it what came of it.
//!
//! One settlement or load at a time has the machine and then a leg. On the standing link a further challenge would end what an
//! earlier one has opened, so the next request waits until the leg is back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use purser_engine::ProviderFailure;
use purser_ledger::Monotonic;
use purser_provider_link::Digest;
use purser_provider_link::call_back::{
    Challenge, ChannelBinding, LegId, Mode, Purpose, Refusal, RequestId, Terminal, TerminalEnding,
    TerminalOutput,
};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::ask::{self, Asked};
use super::failure::{self, names};
use super::identity::Identity;
use super::legs::{Leg, OpenLeg, Order, Waiting};
use super::link::{LinkState, Settings};
use super::listen::listen;
use super::wire::Line;

/// What legs and request legs may have said before it is handled.
const EVENTS_MAX: usize = 32;
/// Calls of the provider at a time: one that is lost can overlap with the next.
const LEGS_MAX: usize = 4;

/// Wanted: a leg that is open for this subject.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) purpose: Purpose,
    pub(super) subject: Digest,
    pub(super) reply: oneshot::Sender<Result<OpenLeg, ProviderFailure>>,
}

/// What happened outside of the task.
#[derive(Debug)]
pub(super) enum Event {
    /// The request leg has ended.
    Asked(RequestId, Asked),
    /// A connection for the standing link is there, or cannot be had.
    Standing(Result<Box<Line>, ProviderFailure>),
    /// The provider has called.
    Called(Box<Line>),
    /// A challenge came on a leg with this binding.
    Challenge(LegId, ChannelBinding, Challenge),
    /// The provider refuses the answer.
    Refused(LegId, Refusal),
    /// The provider has accepted the answer.
    Opened(LegId, Box<Line>),
    /// The leg is gone.
    Lost(LegId, Option<ProviderFailure>),
}

/// A command that is being carried out.
struct Job {
    id: RequestId,
    reply: oneshot::Sender<Result<OpenLeg, ProviderFailure>>,
    /// What went wrong last.
    trouble: Option<ProviderFailure>,
}

/// A leg that somebody works on.
struct Lent {
    leg: LegId,
    back: oneshot::Receiver<Line>,
}

/// The task's state.
pub(super) struct Task {
    settings: Settings,
    identity: Arc<Identity>,
    connector: TlsConnector,
    taking: Option<(TcpListener, TlsAcceptor)>,
    started: Instant,
    machine: Terminal,
    next_leg: u64,
    legs: BTreeMap<LegId, Leg>,
    job: Option<Job>,
    lent: Option<Lent>,
    /// Accepted by the provider, and not yet by the machine.
    opened: Option<(LegId, Line)>,
    /// Why the standing link could not be opened the last time.
    link_trouble: Option<ProviderFailure>,
    told: watch::Sender<LinkState>,
    events: mpsc::Sender<Event>,
    inbox: mpsc::Receiver<Event>,
    children: JoinSet<()>,
}

impl Task {
    pub(super) fn new(
        settings: Settings,
        identity: Arc<Identity>,
        connector: TlsConnector,
        taking: Option<(TcpListener, TlsAcceptor)>,
        told: watch::Sender<LinkState>,
    ) -> Self {
        let pinned = &identity.pinned;
        let machine = Terminal::new(
            Monotonic(0),
            pinned.terminal.clone(),
            pinned.provider.clone(),
            settings.mode,
            settings.limits,
        );
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        Self {
            settings,
            identity,
            connector,
            taking,
            started: Instant::now(),
            machine,
            next_leg: 1,
            legs: BTreeMap::new(),
            job: None,
            lent: None,
            opened: None,
            link_trouble: None,
            told,
            events,
            inbox,
            children: JoinSet::new(),
        }
    }

    /// Runs until every [`Link`](super::Link) is gone.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        if let Some((listener, acceptor)) = self.taking.take() {
            let (address, time, events) = (self.settings.address.clone(), self.time(), self.events.clone());
            self.children
                .spawn(listen(listener, acceptor, address, time, events));
        }
        loop {
            let due = self.machine.poll_timeout();
            let at = due.map(|due| self.started + Duration::from_millis(due.0));
            let is_free = self.job.is_none() && self.lent.is_none();
            tokio::select! {
                // What has happened is known before something new begins.
                biased;
                Some(event) = self.inbox.recv() => self.handle(event),
                line = returned(&mut self.lent) => self.returned(line),
                () = given_up(&mut self.job) => {
                    self.machine.cancel();
                    self.job = None;
                }
                () = until(at) => self.machine.handle_timer(self.now()),
                command = commands.recv(), if is_free => match command {
                    Some(command) => self.begin(command),
                    None => return,
                },
            }
            self.obey();
            while self.children.try_join_next().is_some() {}
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long one message may take: a little less than the machine waits, so that it is known why when that gives up.
    fn time(&self) -> Duration {
        let leg_ms = self.settings.limits.leg_ms;
        Duration::from_millis(leg_ms - leg_ms / 10)
    }

    fn begin(&mut self, command: Command) {
        let mut id = [0; 16];
        if getrandom::fill(&mut id).is_err() {
            let failure = failure::lasting(names::NO_SIGNATURE, "the system gives no random bytes");
            // Whoever asked may be gone.
            let _ = command.reply.send(Err(failure));
            return;
        }
        let id = RequestId(id);
        let begun = self
            .machine
            .begin(self.now(), id, command.purpose, command.subject);
        self.job = Some(Job {
            id,
            reply: command.reply,
            trouble: None,
        });
        if begun.is_err() {
            // There is no other job, so the machine is free; if it were not, the caller would try again.
            self.fail(TerminalEnding::Cancelled, None);
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Asked(id, asked) => self.asked(now, id, asked),
            Event::Standing(Ok(line)) => {
                let leg = self.add(*line, true);
                self.told.send_replace(LinkState::Up);
                self.machine.handle_link_up(leg);
            }
            Event::Standing(Err(failure)) => {
                self.link_fails(failure);
                self.machine.handle_link_failed(now);
            }
            Event::Called(line) if self.legs.len() < LEGS_MAX => {
                self.add(*line, false);
            }
            Event::Called(_) => tracing::warn!("the provider calls too often; a call is not taken"),
            // What comes late from a leg that was hung up counts for nothing.
            Event::Challenge(leg, binding, challenge) if self.legs.contains_key(&leg) => {
                // Whatever kept the link from standing is over.
                self.link_trouble = None;
                let peer = &self.identity.pinned.provider;
                self.machine
                    .handle_challenge(now, leg, peer, &binding, &challenge);
            }
            Event::Refused(leg, refusal) if self.legs.contains_key(&leg) => {
                self.machine.handle_refused(leg, refusal);
            }
            Event::Opened(leg, line) if self.legs.contains_key(&leg) => {
                self.opened = Some((leg, *line));
                self.machine.handle_opened(leg);
            }
            Event::Lost(leg, failure) => self.lost(leg, failure),
            Event::Challenge(..) | Event::Refused(..) | Event::Opened(..) => {}
        }
    }

    fn asked(&mut self, now: Monotonic, id: RequestId, asked: Asked) {
        let Some(job) = self.job.as_mut().filter(|job| job.id == id) else {
            return;
        };
        match asked {
            Asked::Replied(reply) => {
                job.trouble = None;
                self.machine.handle_ticket(now, id, Some(reply));
            }
            Asked::Lost(failure) => {
                job.trouble = Some(failure);
                self.machine.handle_ticket(now, id, None);
            }
            Asked::Over(failure) => {
                job.trouble = Some(failure);
                self.machine.cancel();
            }
        }
    }

    /// A new leg, on which a challenge is waited for.
    fn add(&mut self, line: Line, is_link: bool) -> LegId {
        let leg = LegId(self.next_leg);
        self.next_leg += 1;
        self.wait_on(leg, line, is_link);
        leg
    }

    fn wait_on(&mut self, leg: LegId, line: Line, is_link: bool) {
        // The machine says one thing to each challenge.
        let (orders, queue) = mpsc::channel(1);
        let waiting = Waiting {
            leg,
            line,
            is_link,
            time: self.time(),
            events: self.events.clone(),
            orders: queue,
        };
        let task = self.children.spawn(waiting.run());
        self.legs.insert(
            leg,
            Leg {
                orders,
                is_link,
                task,
            },
        );
    }

    fn lost(&mut self, leg: LegId, failure: Option<ProviderFailure>) {
        let Some(gone) = self.legs.remove(&leg) else {
            return;
        };
        if gone.is_link {
            self.told.send_replace(LinkState::Connecting);
        }
        if let Some(failure) = failure {
            if gone.is_link {
                self.link_fails(failure.clone());
            }
            if let Some(job) = &mut self.job {
                job.trouble = Some(failure);
            }
        }
        self.machine.handle_leg_lost(self.now(), leg);
    }

    /// The standing link is lost or cannot be opened. It is tried again and again, and told when the reason is another one.
    fn link_fails(&mut self, failure: ProviderFailure) {
        if self
            .link_trouble
            .as_ref()
            .is_none_or(|before| before.name != failure.name)
        {
            tracing::warn!(%failure, "the standing link to the provider does not stand");
        }
        self.told.send_replace(LinkState::Down(failure.clone()));
        self.link_trouble = Some(failure);
    }

    /// Whoever worked on a leg has ended.
    fn returned(&mut self, line: Option<Line>) {
        let Some(Lent { leg, .. }) = self.lent.take() else {
            return;
        };
        let is_link = self.legs.get(&leg).is_some_and(|leg| leg.is_link);
        match line {
            Some(line) if is_link => self.wait_on(leg, line, true),
            Some(_) | None => self.lost(leg, None),
        }
    }

    /// Does what the machine wants done.
    fn obey(&mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.act(output);
            }
            // The machine had given the leg up before the provider's word came.
            match self.opened.take() {
                Some((leg, _)) => self.lost(leg, None),
                None => return,
            }
        }
    }

    fn act(&mut self, output: TerminalOutput) {
        match output {
            TerminalOutput::Ask(request) => {
                let (connector, address) = (self.connector.clone(), self.settings.address.clone());
                let (time, events) = (self.time(), self.events.clone());
                self.children.spawn(async move {
                    let asked = ask::ticket(&connector, &address, time, &request).await;
                    // Nobody listens any more when the link has ended.
                    let _ = events.send(Event::Asked(request.id, asked)).await;
                });
            }
            TerminalOutput::OpenStanding => self.open_standing(),
            TerminalOutput::Sign { leg, bytes } => {
                let signature = self.identity.key.sign(&bytes).ok();
                self.machine.handle_signature(self.now(), leg, signature);
            }
            TerminalOutput::Answer(leg, answer) => self.order(leg, Order::Answer(answer)),
            TerminalOutput::Refuse(leg, refusal) => self.order(leg, Order::Refuse(refusal)),
            TerminalOutput::Close(leg) => {
                if self.legs.remove(&leg).is_some_and(|gone| gone.is_link) {
                    self.told.send_replace(LinkState::Connecting);
                }
                self.machine.handle_leg_lost(self.now(), leg);
            }
            TerminalOutput::Authenticated(leg, _) => self.lend(leg),
            TerminalOutput::Ended(id, ending) => self.end(id, ending),
            TerminalOutput::Alarm(refusal) => {
                tracing::error!(refusal = refusal.name(), "a call-back is refused: {refusal}");
            }
        }
    }

    fn open_standing(&mut self) {
        let (connector, address) = (self.connector.clone(), self.settings.address.clone());
        let (time, events, identity) = (self.time(), self.events.clone(), Arc::clone(&self.identity));
        self.children.spawn(async move {
            let opened = ask::standing(&connector, &address, time, &identity.pinned).await;
            // Nobody listens any more when the link has ended.
            let _ = events.send(Event::Standing(opened.map(Box::new))).await;
        });
    }

    fn order(&mut self, leg: LegId, order: Order) {
        let sent = self.legs.get(&leg).map(|leg| leg.orders.try_send(order));
        // A leg that takes no order is gone, and says so itself.
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!(leg = leg.0, "a leg takes no order");
        }
    }

    /// Hands the open leg to whoever waits for it.
    fn lend(&mut self, leg: LegId) {
        let Some((_, line)) = self.opened.take_if(|(opened, _)| *opened == leg) else {
            // The machine says it in the same turn in which it was told, so the line is there.
            self.fail(TerminalEnding::LegLost, None);
            return;
        };
        let (open, back) = OpenLeg::new(line);
        self.lent = Some(Lent { leg, back });
        if let Some(job) = self.job.take() {
            // Gone in between: the leg comes back at once.
            let _ = job.reply.send(Ok(open));
        }
    }

    fn end(&mut self, id: RequestId, ending: TerminalEnding) {
        let Some(job) = self.job.as_mut().filter(|job| job.id == id) else {
            return;
        };
        let better = match ending {
            TerminalEnding::NoCallBack if self.settings.mode == Mode::Standing => self.link_trouble.clone(),
            TerminalEnding::NoTicket | TerminalEnding::LegLost | TerminalEnding::Cancelled => {
                job.trouble.take()
            }
            TerminalEnding::Refused(_) | TerminalEnding::NoCallBack | TerminalEnding::NoSignature => None,
        };
        self.fail(ending, better);
    }

    fn fail(&mut self, ending: TerminalEnding, better: Option<ProviderFailure>) {
        if let Some(job) = self.job.take() {
            let failure = better.unwrap_or_else(|| failure::ended(ending));
            // Whoever asked may be gone.
            let _ = job.reply.send(Err(failure));
        }
    }
}

/// The line of the leg that is lent, once it is back; none when it cannot be used any more.
async fn returned(lent: &mut Option<Lent>) -> Option<Line> {
    match lent {
        Some(lent) => (&mut lent.back).await.ok(),
        None => std::future::pending().await,
    }
}

/// Ends when whoever has asked does not wait any longer.
async fn given_up(job: &mut Option<Job>) {
    match job {
        Some(job) => job.reply.closed().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
