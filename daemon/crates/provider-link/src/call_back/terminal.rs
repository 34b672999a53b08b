//! The terminal's side.
//!
//! ```text
//!  Idle ──begin──► Asking ──ticket──► Waiting ──challenge──► Signing ──signature──► Answered ──opened──► Idle
//!                   │  ▲                 ▲                      │                       │
//!              lost ▼  │ timer           └──── leg lost ────────┘             leg lost ─┴──► Idle, Ended(LegLost)
//!                  Pausing
//! ```
//! Every state ends by a timer. A refusal by the provider, a cancel or too many tries end the request; its ticket is
//! remembered for a while, so that a late call-back is called late and not unknown.

use std::collections::VecDeque;

use purser_ledger::Monotonic;

use super::standing::TerminalLink;
use super::{
    Answer, Busy, Challenge, ChannelBinding, LegId, Limits, Mode, Nonce, Purpose, Refusal, Refusals, Request,
    RequestId, SIGNATURE_BYTES_MAX, TerminalEnding, TerminalOutput, Ticket,
};
use crate::{Digest, ProviderName, TerminalName};

/// How many tickets of requests that are over are remembered: more than a terminal uses in an hour.
const REMEMBERED_MAX: usize = 64;

#[derive(Clone, Debug)]
struct Called {
    request: Request,
    ticket: Ticket,
    until: Monotonic,
    /// Of the challenges so far; there are never more than the provider has tries.
    nonces: Vec<Nonce>,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Asking {
        request: Request,
        tries: u8,
        until: Monotonic,
    },
    Pausing {
        request: Request,
        tries: u8,
        until: Monotonic,
    },
    Waiting(Called),
    Signing {
        called: Called,
        nonce: Nonce,
        leg: LegId,
        until: Monotonic,
    },
    Answered {
        called: Called,
        leg: LegId,
        until: Monotonic,
    },
}

/// The terminal's machine: one request at a time.
#[derive(Clone, Debug)]
pub struct Terminal {
    name: TerminalName,
    provider: ProviderName,
    limits: Limits,
    state: State,
    link: TerminalLink,
    /// Tickets of requests that are over, and what a call-back for them is.
    over: VecDeque<(Ticket, Refusal)>,
    refusals: Refusals,
    outputs: VecDeque<TerminalOutput>,
}

impl Terminal {
    /// A terminal without a request. With a standing link it wants to open one at once.
    pub fn new(
        now: Monotonic,
        name: TerminalName,
        provider: ProviderName,
        mode: Mode,
        limits: Limits,
    ) -> Self {
        let link = match mode {
            Mode::Answer => TerminalLink::NotUsed,
            Mode::Standing => TerminalLink::Down {
                again_at: now,
                tries: 0,
            },
        };
        Self {
            name,
            provider,
            limits,
            state: State::Idle,
            link,
            over: VecDeque::new(),
            refusals: Refusals::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Begins a request. `id` is random and new.
    ///
    /// # Errors
    /// [`Busy`] while another request is under way.
    pub fn begin(
        &mut self,
        now: Monotonic,
        id: RequestId,
        purpose: Purpose,
        subject: Digest,
    ) -> Result<(), Busy> {
        if !matches!(self.state, State::Idle) {
            return Err(Busy);
        }
        let request = Request {
            id,
            purpose,
            terminal: self.name.clone(),
            provider: self.provider.clone(),
            subject,
        };
        self.ask(now, request, 1);
        Ok(())
    }

    fn ask(&mut self, now: Monotonic, request: Request, tries: u8) {
        self.outputs.push_back(TerminalOutput::Ask(request.clone()));
        let until = now.after_ms(self.limits.leg_ms);
        self.state = State::Asking {
            request,
            tries,
            until,
        };
    }

    /// Takes the provider's reply to a request, or the news (`None`) that its leg ended without one.
    pub fn handle_ticket(&mut self, now: Monotonic, id: RequestId, reply: Option<Result<Ticket, Refusal>>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Asking { request, tries, .. } | State::Pausing { request, tries, .. }
                if request.id == id =>
            {
                match reply {
                    Some(Ok(ticket)) => {
                        self.state = State::Waiting(Called {
                            request,
                            ticket,
                            until: now.after_ms(self.limits.ticket_ms),
                            nonces: Vec::new(),
                        });
                    }
                    Some(Err(refusal)) => self.end(id, TerminalEnding::Refused(refusal)),
                    None => self.pause(now, request, tries),
                }
            }
            other => self.state = other,
        }
    }

    fn pause(&mut self, now: Monotonic, request: Request, tries: u8) {
        if tries >= self.limits.tries_max {
            self.end(request.id, TerminalEnding::NoTicket);
        } else {
            let until = self.limits.after_pause(now, tries);
            self.state = State::Pausing {
                request,
                tries,
                until,
            };
        }
    }

    /// The standing link is up.
    pub fn handle_link_up(&mut self, leg: LegId) {
        match self.link {
            TerminalLink::Opening { .. } => self.link = TerminalLink::Up(leg),
            TerminalLink::Up(ours) if ours == leg => {}
            TerminalLink::NotUsed | TerminalLink::Down { .. } | TerminalLink::Up(_) => {
                self.outputs.push_back(TerminalOutput::Close(leg));
            }
        }
    }

    /// Takes a challenge that came on a leg. `peer` is the name in the certificate of whoever is at the other end, and
    /// `binding` is this end's channel binding.
    pub fn handle_challenge(
        &mut self,
        now: Monotonic,
        leg: LegId,
        peer: &ProviderName,
        binding: &ChannelBinding,
        challenge: &Challenge,
    ) {
        if let Err(refusal) = self.admit(leg, peer, challenge) {
            self.refuse(leg, challenge.ticket, refusal);
            return;
        }
        let State::Waiting(mut called) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        called.nonces.push(challenge.nonce);
        self.outputs.push_back(TerminalOutput::Sign {
            leg,
            bytes: challenge.signed_bytes(binding),
        });
        let until = now.after_ms(self.limits.leg_ms);
        self.state = State::Signing {
            called,
            nonce: challenge.nonce,
            leg,
            until,
        };
    }

    fn admit(&self, leg: LegId, peer: &ProviderName, challenge: &Challenge) -> Result<(), Refusal> {
        if *peer != self.provider || challenge.provider != self.provider {
            return Err(Refusal::WrongProvider);
        }
        if challenge.terminal != self.name {
            return Err(Refusal::WrongTerminal);
        }
        if self.link != TerminalLink::NotUsed && self.link != TerminalLink::Up(leg) {
            return Err(Refusal::WrongMode);
        }
        match &self.state {
            State::Waiting(called) if called.ticket == challenge.ticket => {
                if called.nonces.contains(&challenge.nonce) {
                    Err(Refusal::ReplayedChallenge)
                } else if (called.request.purpose, called.request.subject)
                    != (challenge.purpose, challenge.subject)
                {
                    Err(Refusal::OtherContent)
                } else {
                    Ok(())
                }
            }
            State::Signing { called, .. } | State::Answered { called, .. }
                if called.ticket == challenge.ticket =>
            {
                Err(Refusal::SecondCallBack)
            }
            state => {
                let over = self.over.iter().find(|(ticket, _)| *ticket == challenge.ticket);
                match (over, state) {
                    (Some((_, refusal)), _) => Err(*refusal),
                    (None, State::Asking { .. } | State::Pausing { .. }) => Err(Refusal::TicketNotYetKnown),
                    (None, _) => Err(Refusal::UnknownTicket),
                }
            }
        }
    }

    fn refuse(&mut self, leg: LegId, ticket: Ticket, refusal: Refusal) {
        self.refusals.count(refusal);
        if refusal.is_alarm() {
            self.outputs.push_back(TerminalOutput::Alarm(refusal));
        }
        self.outputs
            .push_back(TerminalOutput::Refuse(leg, ticket, refusal));
    }

    /// Takes the device key's signature for a leg; `None` when there is none. Longer than [`SIGNATURE_BYTES_MAX`] is none.
    pub fn handle_signature(&mut self, now: Monotonic, leg: LegId, signature: Option<Vec<u8>>) {
        let (called, nonce) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Signing {
                called,
                nonce,
                leg: ours,
                ..
            } if ours == leg => (called, nonce),
            other => {
                self.state = other;
                return;
            }
        };
        if let Some(signature) = signature.filter(|it| it.len() <= SIGNATURE_BYTES_MAX) {
            let answer = Answer {
                ticket: called.ticket,
                nonce,
                signature,
            };
            self.outputs.push_back(TerminalOutput::Answer(leg, answer));
            let until = now.after_ms(self.limits.leg_ms);
            self.state = State::Answered { called, leg, until };
        } else {
            self.outputs.push_back(TerminalOutput::Close(leg));
            self.retire(&called, Refusal::StaleCallBack);
            self.end(called.request.id, TerminalEnding::NoSignature);
        }
    }

    /// The provider says that it has accepted the answer on this leg.
    pub fn handle_opened(&mut self, leg: LegId) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Answered {
                called, leg: ours, ..
            } if ours == leg => {
                self.retire(&called, Refusal::SecondCallBack);
                self.outputs
                    .push_back(TerminalOutput::Authenticated(leg, called.request));
            }
            other => self.state = other,
        }
    }

    /// The provider refuses the answer on this leg.
    pub fn handle_refused(&mut self, leg: LegId, refusal: Refusal) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Answered {
                called, leg: ours, ..
            } if ours == leg => {
                self.retire(&called, Refusal::StaleCallBack);
                self.end(called.request.id, TerminalEnding::Refused(refusal));
            }
            other => self.state = other,
        }
    }

    /// A leg is gone: the call-back's, or the standing link.
    pub fn handle_leg_lost(&mut self, now: Monotonic, leg: LegId) {
        if self.link == TerminalLink::Up(leg) {
            self.link = self.link.lost(now, &self.limits);
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Signing {
                called, leg: ours, ..
            } if ours == leg => self.state = State::Waiting(called),
            State::Answered {
                called, leg: ours, ..
            } if ours == leg => self.answer_lost(&called),
            other => self.state = other,
        }
    }

    fn answer_lost(&mut self, called: &Called) {
        self.retire(called, Refusal::StaleCallBack);
        self.end(called.request.id, TerminalEnding::LegLost);
    }

    /// The standing link could not be opened.
    pub fn handle_link_failed(&mut self, now: Monotonic) {
        if matches!(self.link, TerminalLink::Opening { .. }) {
            self.link = self.link.lost(now, &self.limits);
        }
    }

    /// Ends the request that is under way, if there is one. What was authenticated before is not under way here.
    pub fn cancel(&mut self) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {}
            State::Asking { request, .. } | State::Pausing { request, .. } => {
                self.end(request.id, TerminalEnding::Cancelled);
            }
            State::Waiting(called) => {
                self.retire(&called, Refusal::StaleCallBack);
                self.end(called.request.id, TerminalEnding::Cancelled);
            }
            State::Signing { called, leg, .. } | State::Answered { called, leg, .. } => {
                self.outputs.push_back(TerminalOutput::Close(leg));
                self.retire(&called, Refusal::StaleCallBack);
                self.end(called.request.id, TerminalEnding::Cancelled);
            }
        }
    }

    /// Does what is due. Call it at [`poll_timeout`](Self::poll_timeout); earlier it does nothing.
    pub fn handle_timer(&mut self, now: Monotonic) {
        let (link, opens) = self.link.at(now, &self.limits);
        self.link = link;
        if opens {
            self.outputs.push_back(TerminalOutput::OpenStanding);
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Asking {
                request,
                tries,
                until,
            } if until <= now => self.pause(now, request, tries),
            State::Pausing {
                request,
                tries,
                until,
            } if until <= now => {
                self.ask(now, request, tries.saturating_add(1));
            }
            State::Waiting(called) if called.until <= now => {
                self.retire(&called, Refusal::StaleCallBack);
                self.end(called.request.id, TerminalEnding::NoCallBack);
                self.renew_link(now);
            }
            State::Signing {
                called, leg, until, ..
            } if until <= now => {
                self.outputs.push_back(TerminalOutput::Close(leg));
                self.state = State::Waiting(called);
            }
            State::Answered { called, leg, until } if until <= now => {
                self.outputs.push_back(TerminalOutput::Close(leg));
                self.answer_lost(&called);
            }
            other => self.state = other,
        }
    }

    /// Nobody called down the link: the provider's end of it may be gone without a word.
    fn renew_link(&mut self, now: Monotonic) {
        if let TerminalLink::Up(leg) = self.link {
            self.outputs.push_back(TerminalOutput::Close(leg));
            self.link = self.link.lost(now, &self.limits);
        }
    }

    fn retire(&mut self, called: &Called, late: Refusal) {
        if self.over.len() == REMEMBERED_MAX {
            self.over.pop_front();
        }
        self.over.push_back((called.ticket, late));
    }

    fn end(&mut self, id: RequestId, ending: TerminalEnding) {
        self.outputs.push_back(TerminalOutput::Ended(id, ending));
    }

    /// The next thing to do, if there is one. Call it until there is none, after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<TerminalOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timer`](Self::handle_timer).
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        let state = match &self.state {
            State::Idle => None,
            State::Asking { until, .. }
            | State::Pausing { until, .. }
            | State::Signing { until, .. }
            | State::Answered { until, .. } => Some(*until),
            State::Waiting(called) => Some(called.until),
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
            State::Asking { .. } => "Asking",
            State::Pausing { .. } => "Pausing",
            State::Waiting(_) => "Waiting",
            State::Signing { .. } => "Signing",
            State::Answered { .. } => "Answered",
        }
    }
}
