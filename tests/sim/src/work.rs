//! The steps: what the engine is given, what it wants done, and how journal and devices do it.

use purser_engine::{
    Act, Answer, CallFailure, CallId, EnterPin, Input, Output, Query, Reply, Request, RequestId,
};
use purser_lab::card::CardReply;
use purser_ledger::{Commit, DeviceName, FindError, StoreBroken, commit, find};
use purser_purse::{CommandApdu, CommandName, Protocol};

use crate::device::{Call, PinFor};
use crate::flaw::Flaw;
use crate::kit::CardKind;
use crate::pos::Ask;
use crate::rule::{Violation, hold};
use crate::shop::Job;
use crate::trace::tell;
use crate::world::{Debit, PSAM, Step, World};

impl World {
    /// Gives the engine its next input from the named line.
    pub(crate) fn deliver(&mut self, s: usize, step: Step) -> Result<(), Violation> {
        let shop = &mut self.shops[s];
        let input = match step {
            Step::Answer(_) => shop.answers.pop_front(),
            Step::Event(_, d) => shop.devices[d].done.pop_front(),
            Step::Request(_) => shop.requests.pop_front(),
            Step::Timer(_)
            | Step::Output(_)
            | Step::Journal(_)
            | Step::Device(..)
            | Step::Count(_)
            | Step::Line(_) => Some(Input::Timer),
        };
        let Some(input) = input else { return Ok(()) };
        shop.pin_for = match &input {
            Input::Answer {
                id,
                answer: Ok(Answer::Pin(_)),
            } => {
                let index = shop.pin_answers.iter().position(|(call, _)| call == id);
                index.map(|index| shop.pin_answers.swap_remove(index).1)
            }
            Input::Request {
                request: Request::ProvidePin { reference, .. },
                ..
            } => shop.pos.price_of(reference).map(Some),
            _ => None,
        };
        shop.pins_given += u32::from(shop.pin_for.is_some());
        tell!(self, "shop {s} <- {}", brief(&format!("{input:?}")));
        let shop = &mut self.shops[s];
        let now = shop.clock.now();
        if let Some(engine) = &mut shop.engine {
            engine.handle(now, input);
            shop.is_draining = true;
        }
        Ok(())
    }

    /// Carries out the engine's next output.
    pub(crate) fn poll(&mut self, s: usize) -> Result<(), Violation> {
        let shop = &mut self.shops[s];
        let output = shop.engine.as_mut().and_then(|engine| engine.poll_output());
        let Some(output) = output else {
            shop.is_draining = false;
            return Ok(());
        };
        tell!(self, "shop {s} -> {}", brief(&format!("{output:?}")));
        let shop = &mut self.shops[s];
        match output {
            Output::Commit(commit) => shop.jobs.push_back(Job::Commit(commit)),
            Output::Find(id, query) => shop.jobs.push_back(Job::Find(id, query)),
            Output::Ask(id, device, query) => return self.ask(s, id, &device, query),
            Output::Move(id, device, act) => {
                let (Act::Debit { connection, command } | Act::Credit { connection, command }) =
                    act.into_act();
                let call = Call::Transmit {
                    connection,
                    command,
                    pin_for: None,
                };
                self.call(s, id, &device, call);
            }
            Output::Abort(id, device) => {
                if let Some(device) = shop.devices.iter_mut().find(|it| it.name == device) {
                    device.abort(id);
                }
            }
            Output::Count(..)
            | Output::FindUnpaid(..)
            | Output::Settle(..)
            | Output::Void(..)
            | Output::TellBatch(_)
            | Output::HintBatch(_)
            | Output::AskProvider(..)
            | Output::Attempt(..)
            | Output::QuerySale(..)
            | Output::TellLoad(_)
            | Output::HintLoad(_)
            | Output::AcknowledgeHotList(_) => return self.poll_party(s, output),
            Output::Reply(id, reply) => return self.replied(s, id, reply),
            Output::Tell(told) => {
                let mut told = told.into_act();
                self.distort(&mut told);
                return self.told(s, &told);
            }
            Output::Hint(view) => {
                self.tally.progress(view.state)?;
                shop.pos.hint(&view);
            }
        }
        Ok(())
    }

    fn ask(&mut self, s: usize, id: CallId, device: &DeviceName, query: Query) -> Result<(), Violation> {
        let call = match query {
            Query::Connect => Call::Connect,
            Query::Disconnect { connection } => Call::Disconnect { connection },
            Query::EnterPin(enter) => Call::EnterPin(enter),
            Query::Transmit { connection, command } => {
                let is_verify = command.name() == CommandName::Verify;
                let pin_for = self.shops[s].pin_for.take().filter(|_| is_verify);
                hold!(
                    SentOnce,
                    !is_verify || pin_for.is_some(),
                    "a VERIFY without a PIN that was just given"
                );
                Call::Transmit {
                    connection,
                    command,
                    pin_for,
                }
            }
        };
        self.call(s, id, device, call);
        Ok(())
    }

    fn call(&mut self, s: usize, id: CallId, name: &DeviceName, call: Call) {
        let device = self.shops[s].devices.iter_mut().find(|it| it.name == *name);
        let device = device.expect("the engine calls devices that it was told of");
        if device.is_up {
            device.calls.push_back((id, call));
        } else {
            device.answer(id, Err(CallFailure::DeviceGone));
        }
    }

    /// The journal takes the commits at the head of its line with one sync, or one find.
    pub(crate) fn write(&mut self, s: usize) -> Result<(), StoreBroken> {
        let shop = &mut self.shops[s];
        if let Some(Job::Find(..)) = shop.jobs.front() {
            if let Some(Job::Find(id, query)) = shop.jobs.pop_front() {
                let stored = match find(&shop.store, &query) {
                    Ok(stored) => Ok(stored),
                    Err(FindError::Damaged(damaged)) => Err(damaged),
                    Err(FindError::Broken(broken)) => return Err(broken),
                };
                shop.answers.push_back(Input::Found { id, stored });
            }
            return Ok(());
        }
        let mut group: Vec<Commit> = Vec::new();
        while let Some(Job::Commit(_)) = shop.jobs.front() {
            if let Some(Job::Commit(commit)) = shop.jobs.pop_front() {
                group.push(commit);
            }
        }
        self.is_dirty = true;
        let answers = commit(&mut shop.store, &group)?;
        for (commit, answer) in group.iter().zip(answers) {
            shop.answers.push_back(match answer {
                Ok(receipt) => Input::Committed(receipt),
                Err(refused) => Input::Refused {
                    operation: commit.operation,
                    step: commit.step,
                    refused,
                },
            });
        }
        tell!(self, "shop {s}: journal syncs {} entries", group.len());
        Ok(())
    }

    /// A device takes its next call.
    pub(crate) fn work_at(&mut self, s: usize, d: usize) -> Result<(), Violation> {
        let Some((id, call)) = self.shops[s].devices[d].calls.pop_front() else {
            return Ok(());
        };
        if d == PSAM {
            return self.work_at_psam(s, id, call);
        }
        match call {
            Call::Connect => self.connect(s, d, id),
            Call::Disconnect { connection } => self.disconnect(s, d, id, connection),
            Call::Transmit {
                connection,
                command,
                pin_for,
            } => return self.transmit(s, d, id, connection, &command, pin_for),
            Call::EnterPin(enter) => {
                // A pad waits for the buyer; only its front call is ever taken, and never by itself.
                self.shops[s].devices[d]
                    .calls
                    .push_front((id, Call::EnterPin(enter)));
            }
        }
        Ok(())
    }

    fn connect(&mut self, s: usize, d: usize, id: CallId) {
        let device = &mut self.shops[s].devices[d];
        let failure = if device.bouncing > 0 {
            device.bouncing -= 1;
            Some(CallFailure::CardChanged)
        } else if device.busy > 0 {
            device.busy -= 1;
            Some(CallFailure::Busy)
        } else if device.connection.is_some() {
            Some(CallFailure::Busy)
        } else {
            device.card.is_none().then_some(CallFailure::NoCard)
        };
        let (Some(card), None) = (device.card, failure) else {
            device.answer(id, Err(failure.unwrap_or(CallFailure::NoCard)));
            return;
        };
        let plastic = &mut self.cards[card];
        if self.flaw != Flaw::ReaderKeepsPower || plastic.card.process(&[]) == CardReply::Torn {
            plastic.card.power_on();
        }
        let protocol = match plastic.kind {
            CardKind::Contact => Protocol::T0,
            _ => Protocol::TCl,
        };
        let connection = device.begin_connection();
        device.answer(id, Ok(Answer::Connected { connection, protocol }));
    }

    fn disconnect(&mut self, s: usize, d: usize, id: CallId, connection: u32) {
        let device = &mut self.shops[s].devices[d];
        if device
            .connection
            .as_ref()
            .is_none_or(|live| live.number != connection)
        {
            device.answer(id, Err(CallFailure::CardChanged));
            return;
        }
        device.connection = None;
        if self.flaw != Flaw::ReaderSwallowsAnswers {
            device.answer(id, Ok(Answer::Disconnected));
        }
        if let (Some(card), true) = (device.card, self.flaw != Flaw::ReaderKeepsPower) {
            self.cards[card].card.power_off();
        }
        self.is_dirty = true;
    }

    fn transmit(
        &mut self,
        s: usize,
        d: usize,
        id: CallId,
        connection: u32,
        command: &CommandApdu,
        pin_for: Option<PinFor>,
    ) -> Result<(), Violation> {
        let device = &mut self.shops[s].devices[d];
        let live = device
            .connection
            .as_ref()
            .filter(|live| live.number == connection);
        let (Some(_), Some(card)) = (live, device.card) else {
            device.answer(id, Err(CallFailure::CardChanged));
            return Ok(());
        };
        let waiting = self.cards[card].card.faults_waiting();
        let mut reply = self.execute(s, d, card, command)?;
        if self.cards[card].card.faults_waiting() < waiting
            && let Some(fault) = self.cards[card].scripted.take()
        {
            tell!(self, "card {card}: FAULT {fault:?} at {}", command.name());
            self.tally.fault(fault);
        }
        let repeats = match command.name() {
            CommandName::Debit | CommandName::CreditLoad => self.flaw == Flaw::ReaderRepeatsDebit,
            CommandName::Verify => self.flaw == Flaw::ReaderRepeatsVerify,
            _ => false,
        };
        if repeats {
            reply = self.execute(s, d, card, command)?;
        }
        let device = &mut self.shops[s].devices[d];
        let lost = std::mem::take(&mut device.loses_answer);
        self.is_dirty |= command.name() == CommandName::Debit;
        match reply {
            CardReply::Answer(answer) if answer.len() >= 2 && !lost => {
                if command.name() == CommandName::Verify && answer == [0x90, 0x00] {
                    let live = device.connection.as_mut();
                    live.expect("the connection was just seen").pin_for = pin_for;
                }
                device.answer(id, Ok(Answer::Response(answer)));
            }
            // Answered, and then without power.
            CardReply::LastAnswer(answer) => {
                device.connection = None;
                device.answer(id, Ok(Answer::Response(answer)));
            }
            CardReply::Answer(_) | CardReply::Mute => {
                device.connection = None;
                self.cards[card].card.power_off();
                device.answer(id, Err(CallFailure::OutcomeUnknown));
                self.is_dirty = true;
            }
            CardReply::Torn => {
                device.answer(id, Err(CallFailure::OutcomeUnknown));
                self.remove(card);
            }
        }
        Ok(())
    }

    /// The card gets the command; whoever watches the card sees whether it paid.
    fn execute(
        &mut self,
        s: usize,
        d: usize,
        card: usize,
        command: &CommandApdu,
    ) -> Result<CardReply, Violation> {
        let plastic = &mut self.cards[card];
        match command.name() {
            CommandName::Debit => {}
            CommandName::CreditLoad => return self.execute_credit(s, card, command),
            CommandName::Verify => {
                let shop = &mut self.shops[s];
                shop.verifies_sent += 1;
                hold!(
                    SentOnce,
                    shop.verifies_sent <= shop.pins_given,
                    "shop {s} sent {} VERIFYs for {} PINs",
                    shop.verifies_sent,
                    shop.pins_given
                );
                return Ok(plastic.card.process(command.as_bytes()));
            }
            _ => return Ok(plastic.card.process(command.as_bytes())),
        }
        let [a, b, c, e, ..] = command.data() else {
            return Ok(plastic.card.process(command.as_bytes()));
        };
        let terminal_sn = u32::from_be_bytes([*a, *b, *c, *e]);
        let sent = &mut self.shops[s].debits_sent;
        hold!(
            SentOnce,
            !sent.contains(&terminal_sn),
            "shop {s} sent DEBIT with terminal SN {terminal_sn} twice"
        );
        sent.push(terminal_sn);
        let sn_before = plastic.card.state().ep.offline_sn;
        let reply = plastic.card.process(command.as_bytes());
        if plastic.card.state().ep.offline_sn != sn_before {
            if self.flaw == Flaw::CardLosesMoney {
                plastic.lose_a_unit();
            }
            let balance_after = plastic.balance();
            tell!(
                self,
                "card {card} EXECUTES the debit with terminal SN {terminal_sn}"
            );
            self.debits.push(Debit {
                shop: s,
                card,
                terminal_sn,
                balance_after,
            });
            self.tally.debits += 1;
            self.debited(s, d, terminal_sn)?;
        }
        Ok(reply)
    }

    /// Sends a request to a shop's engine.
    pub(crate) fn request(&mut self, s: usize, id: RequestId, request: Request) {
        let random = self.rng.sixteen_bytes();
        let peer = purser_engine::Peer {
            owner: crate::pos::OWNER,
            operator: matches!(request, Request::Settle(_) | Request::VoidBatch(_)),
        };
        self.shops[s].requests.push_back(Input::Request {
            id,
            peer,
            request,
            random,
        });
    }

    fn replied(
        &mut self,
        s: usize,
        id: RequestId,
        reply: Result<Reply, purser_engine::RequestError>,
    ) -> Result<(), Violation> {
        let pending = self.shops[s].pos.take(id);
        hold!(
            AnsweredOnce,
            pending.is_some(),
            "{id:?} is answered twice: {reply:?}"
        );
        let pos = &mut self.shops[s].pos;
        if let Some(pending) = pending.filter(|it| it.ask.is_of_party()) {
            return self.party_replied(s, pending, reply);
        }
        let index = pending.and_then(|it| it.ticket);
        let is_beginning = index.is_some_and(|index| pos.is_asking(index, Ask::Begin));
        let ticket = index.map(|index| &mut pos.tickets[index]);
        match (reply, ticket) {
            (Ok(Reply::Sale { view, .. }), Some(ticket)) => {
                ticket.hint(&view);
                self.tally.progress(view.state)?;
            }
            (Ok(Reply::Stopped), _) => self.crash(s),
            (Err(error), Some(ticket)) => {
                if let Some(pending) = pending {
                    ticket.refused(pending.ask, error, is_beginning);
                }
            }
            (
                Ok(
                    Reply::Sale { .. }
                    | Reply::Load { .. }
                    | Reply::Purse(_)
                    | Reply::Settling(_)
                    | Reply::PresentedAgain(_),
                )
                | Err(_),
                _,
            ) => {}
        }
        Ok(())
    }

    /// What the pad shows, if it waits for the buyer.
    pub(crate) fn pad_asks(&self, s: usize) -> Option<&EnterPin> {
        self.shops[s].devices.iter().find_map(|device| device.asks_pin())
    }
}

/// One line, and no longer than it can be read.
fn brief(text: &str) -> String {
    const CHARACTERS_MAX: usize = 240;
    text.chars().take(CHARACTERS_MAX).collect()
}
