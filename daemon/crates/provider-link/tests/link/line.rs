//! Both sides on a fake clock with a line that loses, delays and repeats, and machines that restart.
//!
//! Whatever the line does: a leg is accepted once for each request, never without a signature for that very leg, and no line
//! fault looks like an attack. When the line is good again, the terminal gets its leg.

use std::collections::{BTreeMap, BTreeSet};

use purser_ledger::Monotonic;
use purser_provider_link::Digest;
use purser_provider_link::call_back::*;
use sha2::Digest as _;

use crate::support::{provider, terminal};

/// Seeds of each mode. Two seconds in all in a debug build.
const SEEDS: u64 = 1_500;
/// From here on the line is good.
const GOOD_AT: u64 = 120_000;
/// A terminal that has no leg by now has hung: two tickets and all pauses.
const END_AT: u64 = GOOD_AT + 400_000;

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[derive(Clone, Debug)]
enum Event {
    Request(LegId, Request),
    Ticket(RequestId, Ticket),
    RequestRefused(RequestId, Refusal),
    RequestLegLost(RequestId),
    LinkUp(LegId),
    Link(LegId),
    Connected(LegId),
    Challenge(LegId, Challenge),
    Signed(LegId, Vec<u8>),
    Answer(LegId, Answer),
    RefusedByTerminal(LegId, Ticket, Refusal),
    RefusedByProvider(LegId, Refusal),
    Opened(LegId),
    LostAtTerminal(LegId),
    LostAtProvider(LegId),
    CallFailed,
    Probe(LegId),
    Pong(LegId),
}

struct World {
    mode: Mode,
    now: Monotonic,
    rng: Rng,
    queue: BTreeMap<(u64, u64), Event>,
    sent: u64,
    legs: u64,
    terminal: Terminal,
    provider: Provider,
    request_legs: BTreeMap<RequestId, LegId>,
    dead_at_terminal: BTreeSet<LegId>,
    dead_at_provider: BTreeSet<LegId>,
    accepted: BTreeMap<RequestId, LegId>,
    has_leg: bool,
    begun: u64,
}

fn binding(leg: LegId) -> ChannelBinding {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&leg.0.to_be_bytes());
    ChannelBinding(bytes)
}

fn signature(bytes: &[u8]) -> Vec<u8> {
    sha2::Sha256::digest([b"device key", bytes].concat()).to_vec()
}

impl World {
    fn new(mode: Mode, seed: u64) -> Self {
        let now = Monotonic(0);
        Self {
            mode,
            now,
            rng: Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            queue: BTreeMap::new(),
            sent: 0,
            legs: 0,
            terminal: Terminal::new(now, terminal(), provider(), mode, Limits::default()),
            provider: Provider::new(provider(), terminal(), mode, Limits::default()),
            request_legs: BTreeMap::new(),
            dead_at_terminal: BTreeSet::new(),
            dead_at_provider: BTreeSet::new(),
            accepted: BTreeMap::new(),
            has_leg: false,
            begun: 0,
        }
    }

    fn is_bad(&self) -> bool {
        self.now.0 < GOOD_AT
    }

    fn random<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| u8::try_from(self.rng.below(256)).unwrap())
    }

    fn leg(&mut self) -> LegId {
        self.legs += 1;
        LegId(self.legs)
    }

    fn put(&mut self, delay: u64, event: Event) {
        self.sent += 1;
        self.queue.insert((self.now.0 + delay, self.sent), event);
    }

    /// Sends over the line: it may be late, twice, or not at all.
    fn send(&mut self, event: Event) {
        let delay = 1 + self.rng.below(if self.is_bad() { 9_000 } else { 50 });
        if self.is_bad() && self.rng.below(5) == 0 {
            return;
        }
        if self.is_bad() && self.rng.below(8) == 0 {
            let delay = 1 + self.rng.below(20_000);
            self.put(delay, event.clone());
        }
        self.put(delay, event);
    }

    /// Both ends hear of a lost leg, each at its own time or, in bad times, never.
    fn lose(&mut self, leg: LegId) {
        if !self.is_bad() || self.rng.below(3) > 0 {
            let delay = 1 + self.rng.below(3_000);
            self.put(delay, Event::LostAtTerminal(leg));
        }
        if !self.is_bad() || self.rng.below(3) > 0 {
            let delay = 1 + self.rng.below(3_000);
            self.put(delay, Event::LostAtProvider(leg));
        }
    }

    fn step(&mut self) -> bool {
        let timers = [self.terminal.poll_timeout(), self.provider.poll_timeout()];
        let timer = timers.into_iter().flatten().map(|it| it.0.max(self.now.0)).min();
        let queued = self.queue.keys().next().copied();
        match (queued, timer) {
            (Some(key), timer) if timer.is_none_or(|timer| key.0 <= timer) => {
                self.now = Monotonic(key.0);
                let event = self.queue.remove(&key).unwrap();
                self.take(event);
            }
            (_, Some(timer)) => {
                self.now = Monotonic(timer);
                self.terminal.handle_timer(self.now);
                self.provider.handle_timer(self.now);
            }
            (_, None) => return false,
        }
        self.obey();
        if self.is_bad() && self.rng.below(25) == 0 {
            let leg = LegId(1 + self.rng.below(self.legs.max(1)));
            self.lose(leg);
        }
        if self.is_bad() && self.rng.below(150) == 0 {
            self.restart_terminal();
        }
        true
    }

    /// The terminal loses its power: it forgets its request, and its legs die without a word.
    fn restart_terminal(&mut self) {
        let legs: Vec<_> = (1..=self.legs).map(LegId).collect();
        self.dead_at_terminal.extend(legs);
        self.has_leg = false;
        self.terminal = Terminal::new(self.now, terminal(), provider(), self.mode, Limits::default());
    }

    fn take(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Request(leg, request) => {
                let ticket = Ticket(self.random());
                self.request_legs.insert(request.id, leg);
                self.provider
                    .handle_request(now, leg, &terminal(), request, ticket);
            }
            Event::Ticket(id, ticket) => self.terminal.handle_ticket(now, id, Some(Ok(ticket))),
            Event::RequestRefused(id, refusal) => self.terminal.handle_ticket(now, id, Some(Err(refusal))),
            Event::RequestLegLost(id) => self.terminal.handle_ticket(now, id, None),
            Event::LinkUp(leg) if self.dead_at_terminal.contains(&leg) => {}
            Event::LinkUp(leg) => {
                self.terminal.handle_link_up(leg);
                self.put(20, Event::Link(leg));
            }
            Event::Link(leg) => self.provider.handle_link(now, leg, &terminal()),
            Event::Connected(leg) => {
                let nonce = Nonce(self.random());
                self.provider
                    .handle_connected(now, leg, &terminal(), binding(leg), nonce);
            }
            Event::CallFailed => self.provider.handle_leg_lost(now, None),
            Event::LostAtTerminal(leg) => {
                self.dead_at_terminal.insert(leg);
                self.terminal.handle_leg_lost(now, leg);
            }
            Event::LostAtProvider(leg) => {
                self.dead_at_provider.insert(leg);
                self.provider.handle_leg_lost(now, Some(leg));
            }
            other => self.take_on_leg(other),
        }
    }

    /// What comes on a leg comes only while that end of it is open.
    fn take_on_leg(&mut self, event: Event) {
        let now = self.now;
        let is_open_at_terminal = |leg: &LegId| !self.dead_at_terminal.contains(leg);
        let is_open_at_provider = |leg: &LegId| !self.dead_at_provider.contains(leg);
        match event {
            Event::Challenge(leg, challenge) if is_open_at_terminal(&leg) => {
                self.terminal
                    .handle_challenge(now, leg, &provider(), &binding(leg), &challenge);
            }
            Event::Signed(leg, signature) => self.terminal.handle_signature(now, leg, Some(signature)),
            Event::Opened(leg) if is_open_at_terminal(&leg) => self.terminal.handle_opened(leg),
            Event::RefusedByProvider(leg, refusal) if is_open_at_terminal(&leg) => {
                self.terminal.handle_refused(leg, refusal);
            }
            Event::Probe(leg) if is_open_at_terminal(&leg) => self.send(Event::Pong(leg)),
            Event::Pong(leg) if is_open_at_provider(&leg) => self.provider.handle_pong(now, leg),
            Event::Answer(leg, answer) if is_open_at_provider(&leg) => {
                self.provider
                    .handle_answer(leg, &answer, |bytes, it| signature(bytes) == it);
            }
            Event::RefusedByTerminal(leg, ticket, refusal) if is_open_at_provider(&leg) => {
                self.provider.handle_refused(now, leg, ticket, refusal);
            }
            _ => {}
        }
    }

    fn obey(&mut self) {
        while let Some(output) = self.terminal.poll_output() {
            self.obey_terminal(output);
        }
        while let Some(output) = self.provider.poll_output() {
            self.obey_provider(output);
        }
        if !self.has_leg && self.terminal.state_name() == "Idle" {
            self.begun += 1;
            let id = RequestId(self.random());
            let begun = self
                .terminal
                .begin(self.now, id, Purpose::Settlement, Digest([7; 32]));
            assert_eq!(begun, Ok(()));
            self.obey();
        }
    }

    fn obey_terminal(&mut self, output: TerminalOutput) {
        match output {
            TerminalOutput::Ask(request) => {
                let leg = self.leg();
                if self.rng.below(4) == 0 && self.is_bad() {
                    self.put(2_000, Event::RequestLegLost(request.id));
                }
                self.send(Event::Request(leg, request));
            }
            TerminalOutput::OpenStanding => {
                let leg = self.leg();
                // A link that does not come up is given up by the terminal's own timer.
                if !self.is_bad() || self.rng.below(3) > 0 {
                    let delay = 1 + self.rng.below(12_000);
                    self.put(delay, Event::LinkUp(leg));
                }
            }
            TerminalOutput::Sign { leg, bytes } => self.put(300, Event::Signed(leg, signature(&bytes))),
            TerminalOutput::Answer(leg, answer) => self.send(Event::Answer(leg, answer)),
            TerminalOutput::Refuse(leg, ticket, refusal) => {
                self.send(Event::RefusedByTerminal(leg, ticket, refusal));
            }
            TerminalOutput::Close(leg) => {
                self.dead_at_terminal.insert(leg);
                self.put(500, Event::LostAtProvider(leg));
            }
            TerminalOutput::Authenticated(leg, request) => {
                assert_eq!(
                    self.accepted.get(&request.id),
                    Some(&leg),
                    "the provider accepted that leg"
                );
                self.has_leg = true;
            }
            TerminalOutput::Ended(..) => {}
            TerminalOutput::Alarm(refusal) => {
                // A line that repeats a challenge on its leg is the one fault that looks like a replay.
                assert_eq!(refusal, Refusal::ReplayedChallenge, "no line fault is an attack");
            }
        }
    }

    fn obey_provider(&mut self, output: ProviderOutput) {
        match output {
            ProviderOutput::Ticket(leg, id, ticket) => {
                self.send(Event::Ticket(id, ticket));
                self.put(100, Event::LostAtProvider(leg));
            }
            ProviderOutput::Refuse(leg, refusal) => {
                let asked = self.request_legs.iter().find(|(_, it)| **it == leg);
                match asked.map(|(id, _)| *id) {
                    Some(id) => self.send(Event::RequestRefused(id, refusal)),
                    None => self.send(Event::RefusedByProvider(leg, refusal)),
                }
            }
            ProviderOutput::Call => {
                let leg = self.leg();
                if self.is_bad() && self.rng.below(4) == 0 {
                    self.put(1_000, Event::CallFailed);
                } else {
                    self.send(Event::Connected(leg));
                }
            }
            ProviderOutput::CallOn(leg) => self.put(1, Event::Connected(leg)),
            ProviderOutput::Challenge(leg, challenge) => self.send(Event::Challenge(leg, challenge)),
            ProviderOutput::Authenticated(leg, request) => {
                let before = self.accepted.insert(request.id, leg);
                assert_eq!(before, None, "a request is accepted once");
                self.send(Event::Opened(leg));
            }
            ProviderOutput::Probe(leg) => self.send(Event::Probe(leg)),
            ProviderOutput::Close(leg) => {
                self.dead_at_provider.insert(leg);
                self.put(500, Event::LostAtTerminal(leg));
            }
            ProviderOutput::Ended(..) => {}
            ProviderOutput::Alarm(refusal) => {
                assert_eq!(refusal, Refusal::SecondStandingLink, "no line fault is an attack");
            }
        }
    }
}

fn run(mode: Mode) -> (u64, u64) {
    let (mut begun, mut accepted) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(mode, seed);
        world.obey();
        while world.now.0 < END_AT && (world.is_bad() || !world.has_leg) {
            if world.has_leg && world.rng.below(10) == 0 {
                // The work on the leg is done, and the terminal has more.
                world.has_leg = false;
            }
            if !world.step() {
                world.now = world.now.after_ms(5_000);
                world.obey();
            }
        }
        assert!(
            world.has_leg,
            "seed {seed} {mode:?}: the terminal hangs in {} and the provider in {}",
            world.terminal.state_name(),
            world.provider.state_name()
        );
        begun += world.begun;
        accepted += u64::try_from(world.accepted.len()).unwrap();
    }
    (begun, accepted)
}

#[test]
fn a_terminal_that_is_called_gets_its_leg_over_any_line() {
    let (begun, accepted) = run(Mode::Answer);
    println!("{SEEDS} lines, {begun} requests begun, {accepted} accepted");
    assert!(begun > 2 * SEEDS && accepted > SEEDS, "{begun} {accepted}");
}

#[test]
fn a_terminal_with_a_standing_link_gets_its_leg_over_any_line() {
    let (begun, accepted) = run(Mode::Standing);
    println!("{SEEDS} lines, {begun} requests begun, {accepted} accepted");
    assert!(begun > 2 * SEEDS && accepted > SEEDS, "{begun} {accepted}");
}
