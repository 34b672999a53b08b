//! The provider's side: one machine for each enrolled terminal.
//!
//! ```text
//!  Idle ──request──► Ticketed ──hung up──► Due ──time, way──► Calling ──connected──► Challenged ──answer──► Idle
//!                                           ▲                    │                       │
//!                                           └── lost, silent, not yet known: pause ──────┘
//! ```
//! A ticket that is accepted, refused for good, too old or replaced by a newer request is over. The terminal's newest
//! request is the one that counts: a terminal that restarted does not know its old one.

use std::collections::VecDeque;

use purser_ledger::Monotonic;

use super::standing::ProviderLink;
use super::{
    Answer, Challenge, ChannelBinding, LegId, Limits, Mode, Nonce, ProviderEnding, ProviderOutput, Refusal,
    Refusals, Request, RequestId, Ticket,
};
use crate::{ProviderName, TerminalName};

/// How many requests that are over are remembered, to call a replay a replay.
const REMEMBERED_MAX: usize = 64;

#[derive(Clone, Debug)]
struct Open {
    request: Request,
    ticket: Ticket,
    expires: Monotonic,
    tries: u8,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Ticketed {
        open: Open,
        leg: LegId,
        until: Monotonic,
    },
    Due {
        open: Open,
        at: Monotonic,
    },
    Calling {
        open: Open,
        until: Monotonic,
    },
    Challenged {
        open: Open,
        leg: LegId,
        challenge: Challenge,
        binding: ChannelBinding,
        until: Monotonic,
    },
}

/// The provider's machine for one terminal.
#[derive(Clone, Debug)]
pub struct Provider {
    name: ProviderName,
    terminal: TerminalName,
    mode: Mode,
    limits: Limits,
    state: State,
    link: ProviderLink,
    over: VecDeque<RequestId>,
    refusals: Refusals,
    outputs: VecDeque<ProviderOutput>,
}

impl Provider {
    /// The machine for an enrolled terminal that has asked for nothing.
    pub fn new(name: ProviderName, terminal: TerminalName, mode: Mode, limits: Limits) -> Self {
        Self {
            name,
            terminal,
            mode,
            limits,
            state: State::Idle,
            link: ProviderLink::Down,
            over: VecDeque::new(),
            refusals: Refusals::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes a request. `peer` is the name in the certificate at the other end; `ticket` is random and new, and used if
    /// this request has none yet.
    pub fn handle_request(
        &mut self,
        now: Monotonic,
        leg: LegId,
        peer: &TerminalName,
        request: Request,
        ticket: Ticket,
    ) {
        if let Err(refusal) = self.admit(peer, &request) {
            self.refuse(leg, refusal);
            return;
        }
        let id = request.id;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Ticketed { open, .. } if open.request.id == id => self.give_ticket(now, leg, open),
            State::Idle => self.give_ticket(now, leg, self.opened(now, request, ticket)),
            state => match state.peek() {
                Some(open) if open.request.id == id => {
                    self.outputs
                        .push_back(ProviderOutput::Ticket(leg, id, open.ticket));
                    self.state = state;
                }
                _ => {
                    self.replace(&state);
                    self.give_ticket(now, leg, self.opened(now, request, ticket));
                }
            },
        }
    }

    fn admit(&self, peer: &TerminalName, request: &Request) -> Result<(), Refusal> {
        if request.provider != self.name {
            return Err(Refusal::WrongProvider);
        }
        if *peer != self.terminal || request.terminal != self.terminal {
            return Err(Refusal::WrongTerminal);
        }
        if self.over.contains(&request.id) {
            return Err(Refusal::ReplayedRequest);
        }
        match self.state.peek() {
            Some(open) if open.request.id == request.id && open.request != *request => {
                Err(Refusal::OtherContent)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn opened(&self, now: Monotonic, request: Request, ticket: Ticket) -> Open {
        Open {
            request,
            ticket,
            expires: now.after_ms(self.limits.ticket_ms),
            tries: 0,
        }
    }

    fn give_ticket(&mut self, now: Monotonic, leg: LegId, open: Open) {
        self.outputs
            .push_back(ProviderOutput::Ticket(leg, open.request.id, open.ticket));
        let until = now.after_ms(self.limits.leg_ms);
        self.state = State::Ticketed { open, leg, until };
    }

    fn replace(&mut self, state: &State) {
        if let State::Challenged { leg, .. } = state
            && self.mode == Mode::Answer
        {
            self.outputs.push_back(ProviderOutput::Close(*leg));
        }
        if let Some(open) = state.peek() {
            let id = open.request.id;
            self.end(id, ProviderEnding::Replaced);
        }
    }

    /// The terminal has opened a standing link. `peer` is the name in its certificate.
    pub fn handle_link(&mut self, now: Monotonic, leg: LegId, peer: &TerminalName) {
        if *peer != self.terminal {
            self.refuse(leg, Refusal::WrongTerminal);
            return;
        }
        if self.mode != Mode::Standing {
            self.refuse(leg, Refusal::WrongMode);
            return;
        }
        match self.link {
            ProviderLink::Down => self.link = ProviderLink::Up(leg),
            ProviderLink::Up(first) => {
                self.outputs.push_back(ProviderOutput::Probe(first));
                self.link = ProviderLink::Probing {
                    first,
                    second: leg,
                    until: now.after_ms(self.limits.leg_ms),
                };
            }
            ProviderLink::Probing { .. } => self.refuse(leg, Refusal::SecondStandingLink),
        }
        self.call_if_due(now);
    }

    /// The terminal's end of a standing link has given the sign of life that was asked for.
    pub fn handle_pong(&mut self, now: Monotonic, leg: LegId) {
        match self.link {
            ProviderLink::Probing { first, second, .. } if first == leg => {
                self.link = ProviderLink::Up(first);
                self.refuse(second, Refusal::SecondStandingLink);
            }
            ProviderLink::Probing { .. } | ProviderLink::Up(_) | ProviderLink::Down => {}
        }
        self.call_if_due(now);
    }

    /// The leg that was called for is there. `peer` is the name in the certificate at the other end, `binding` this end's
    /// channel binding, `nonce` random and new.
    pub fn handle_connected(
        &mut self,
        now: Monotonic,
        leg: LegId,
        peer: &TerminalName,
        binding: ChannelBinding,
        nonce: Nonce,
    ) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Calling { open, .. } if *peer == self.terminal => {
                let challenge = Challenge {
                    nonce,
                    ticket: open.ticket,
                    purpose: open.request.purpose,
                    provider: self.name.clone(),
                    terminal: self.terminal.clone(),
                    subject: open.request.subject,
                };
                self.outputs
                    .push_back(ProviderOutput::Challenge(leg, challenge.clone()));
                let until = now.after_ms(self.limits.leg_ms);
                self.state = State::Challenged {
                    open,
                    leg,
                    challenge,
                    binding,
                    until,
                };
            }
            State::Calling { open, .. } => {
                self.refuse(leg, Refusal::WrongTerminal);
                self.pause(now, open);
            }
            other => {
                self.outputs.push_back(ProviderOutput::Close(leg));
                self.state = other;
            }
        }
    }

    /// Takes the answer to a challenge. `verify` says whether a signature is the terminal's device key's over the bytes.
    pub fn handle_answer(&mut self, leg: LegId, answer: &Answer, verify: impl FnOnce(&[u8], &[u8]) -> bool) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Challenged {
                open,
                leg: ours,
                challenge,
                binding,
                ..
            } if ours == leg && (answer.ticket, answer.nonce) == (open.ticket, challenge.nonce) => {
                if verify(&challenge.signed_bytes(&binding), &answer.signature) {
                    self.remember(open.request.id);
                    self.outputs
                        .push_back(ProviderOutput::Authenticated(leg, open.request));
                } else {
                    self.refuse(leg, Refusal::BadSignature);
                    self.end(open.request.id, ProviderEnding::Refused(Refusal::BadSignature));
                }
            }
            other => {
                self.state = other;
                self.refuse(leg, Refusal::NotAsked);
            }
        }
    }

    /// The terminal refuses the challenge with this ticket on this leg. On the standing link a refusal can cross the next challenge:
    /// one of another ticket changes nothing.
    pub fn handle_refused(&mut self, now: Monotonic, leg: LegId, ticket: Ticket, refusal: Refusal) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Challenged { open, leg: ours, .. } if (ours, open.ticket) == (leg, ticket) => {
                if refusal.is_transient() {
                    self.pause(now, open);
                } else {
                    self.end(open.request.id, ProviderEnding::Refused(refusal));
                }
            }
            other => self.state = other,
        }
    }

    /// A leg is gone, or could not be opened (`None`): the request leg after the ticket, the call-back's, or a standing link.
    pub fn handle_leg_lost(&mut self, now: Monotonic, leg: Option<LegId>) {
        self.link = match (self.link, leg) {
            (ProviderLink::Up(ours), Some(leg)) if ours == leg => ProviderLink::Down,
            (ProviderLink::Probing { first, second, .. }, Some(leg)) if first == leg => {
                ProviderLink::Up(second)
            }
            (ProviderLink::Probing { first, second, .. }, Some(leg)) if second == leg => {
                ProviderLink::Up(first)
            }
            (link, _) => link,
        };
        match (std::mem::replace(&mut self.state, State::Idle), leg) {
            (State::Ticketed { open, leg: ours, .. }, Some(leg)) if ours == leg => {
                self.state = State::Due { open, at: now };
            }
            (State::Challenged { open, leg: ours, .. }, Some(leg)) if ours == leg => self.pause(now, open),
            (State::Calling { open, .. }, None) => self.pause(now, open),
            (other, _) => self.state = other,
        }
        self.call_if_due(now);
    }

    fn pause(&mut self, now: Monotonic, open: Open) {
        if open.tries >= self.limits.tries_max {
            self.end(open.request.id, ProviderEnding::NotReached);
        } else {
            let at = self.limits.after_pause(now, open.tries);
            self.state = State::Due { open, at };
        }
    }

    fn call_if_due(&mut self, now: Monotonic) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Due { open, .. } if open.expires <= now => {
                self.end(open.request.id, ProviderEnding::NotReached);
            }
            State::Due { mut open, at } if at <= now => {
                let call = match (self.mode, self.link.usable()) {
                    (Mode::Answer, _) => ProviderOutput::Call,
                    (Mode::Standing, Some(leg)) => ProviderOutput::CallOn(leg),
                    (Mode::Standing, None) => {
                        self.state = State::Due { open, at };
                        return;
                    }
                };
                open.tries = open.tries.saturating_add(1);
                self.outputs.push_back(call);
                let until = now.after_ms(self.limits.leg_ms);
                self.state = State::Calling { open, until };
            }
            other => self.state = other,
        }
    }

    /// Does what is due. Call it at [`poll_timeout`](Self::poll_timeout); earlier it does nothing.
    pub fn handle_timer(&mut self, now: Monotonic) {
        if let ProviderLink::Probing { first, second, until } = self.link
            && until <= now
        {
            self.outputs.push_back(ProviderOutput::Close(first));
            self.handle_leg_lost(now, Some(first));
            self.link = ProviderLink::Up(second);
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Ticketed { open, leg, until } if until <= now => {
                self.outputs.push_back(ProviderOutput::Close(leg));
                self.state = State::Due { open, at: now };
            }
            State::Calling { open, until } if until <= now => self.pause(now, open),
            State::Challenged { open, leg, until, .. } if until <= now => {
                self.outputs.push_back(ProviderOutput::Close(leg));
                if self.link == ProviderLink::Up(leg) {
                    self.link = ProviderLink::Down;
                }
                self.pause(now, open);
            }
            other => self.state = other,
        }
        self.call_if_due(now);
    }

    fn refuse(&mut self, leg: LegId, refusal: Refusal) {
        self.refusals.count(refusal);
        if refusal.is_alarm() {
            self.outputs.push_back(ProviderOutput::Alarm(refusal));
        }
        self.outputs.push_back(ProviderOutput::Refuse(leg, refusal));
    }

    fn remember(&mut self, id: RequestId) {
        if self.over.len() == REMEMBERED_MAX {
            self.over.pop_front();
        }
        self.over.push_back(id);
    }

    fn end(&mut self, id: RequestId, ending: ProviderEnding) {
        self.remember(id);
        self.outputs.push_back(ProviderOutput::Ended(id, ending));
    }

    /// The next thing to do, if there is one. Call it until there is none, after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<ProviderOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timer`](Self::handle_timer).
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        let state = match &self.state {
            State::Idle => None,
            State::Ticketed { until, .. }
            | State::Calling { until, .. }
            | State::Challenged { until, .. } => Some(*until),
            // Without a way to call, only the ticket's end is waited for.
            State::Due { open, at } => match (self.mode, self.link.usable()) {
                (Mode::Standing, None) => Some(open.expires),
                (Mode::Standing | Mode::Answer, _) => Some(*at),
            },
        };
        state.into_iter().chain(self.link.timeout()).min()
    }

    /// What was refused, and how often.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The state's name, for people and snapshots.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Idle => "Idle",
            State::Ticketed { .. } => "Ticketed",
            State::Due { .. } => "Due",
            State::Calling { .. } => "Calling",
            State::Challenged { .. } => "Challenged",
        }
    }
}

impl State {
    fn peek(&self) -> Option<&Open> {
        match self {
            Self::Idle => None,
            Self::Ticketed { open, .. }
            | Self::Due { open, .. }
            | Self::Calling { open, .. }
            | Self::Challenged { open, .. } => Some(open),
        }
    }
}
