//! The terminal's reader, and the hand that puts cards in.

use std::collections::VecDeque;

use purser_engine::{Abilities, Act, Answer, CallFailure, CallId, DeviceEvent, Input, Query};
use purser_lab::card::{CardReply, Interface};
use purser_ledger::DeviceName;
use purser_purse::{CommandApdu, CommandName, Protocol};

use super::{Planted, World};

/// A call that waits for the reader.
#[derive(Debug)]
pub(super) enum Call {
    Connect,
    Transmit(u32, CommandApdu),
    Disconnect,
}

impl Call {
    pub(super) fn of(query: Query) -> Self {
        match query {
            Query::Connect => Self::Connect,
            Query::Transmit { connection, command } => Self::Transmit(connection, command),
            Query::Disconnect { .. } => Self::Disconnect,
            Query::EnterPin(_) => unreachable!("the reader has no keys"),
        }
    }

    pub(super) fn act(act: Act) -> Self {
        match act {
            Act::Credit { connection, command } | Act::Debit { connection, command } => {
                Self::Transmit(connection, command)
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The card in its slot.
    pub(super) card: Option<usize>,
    pub(super) calls: VecDeque<(CallId, Call)>,
    connection: Option<u32>,
    last: u32,
}

impl Reader {
    /// The process that asked is gone. The card stays.
    pub(super) fn forget(&mut self) {
        self.calls.clear();
        self.connection = None;
    }
}

impl World {
    /// A card is put in.
    pub(super) fn insert(&mut self, card: usize) {
        if self.reader.card.is_none() {
            self.reader.card = Some(card);
            self.event(self.kit.readers[0].clone(), DeviceEvent::CardInserted);
        }
    }

    /// The card is taken out, or has left.
    pub(super) fn remove(&mut self) {
        if let Some(card) = self.reader.card.take() {
            self.cards[card].power_off();
            self.reader.connection = None;
            self.event(self.kit.readers[0].clone(), DeviceEvent::CardRemoved);
        }
    }

    /// The reader's driver dies, and is started again at once.
    pub(super) fn loses_driver(&mut self) {
        for (id, _) in std::mem::take(&mut self.reader.calls) {
            let answer = Err(CallFailure::DriverLost);
            self.inputs.push_back(Input::Answer { id, answer });
        }
        self.reader.connection = None;
        if let Some(card) = self.reader.card {
            self.cards[card].power_off();
        }
        let name = self.kit.readers[0].clone();
        self.event(name.clone(), DeviceEvent::Left);
        self.reader_arrives(&name);
    }

    pub(super) fn reader_arrives(&mut self, name: &DeviceName) {
        let abilities = Abilities {
            card_reader: true,
            pin_pad: false,
        };
        self.event(name.clone(), DeviceEvent::Arrived(abilities));
        if self.reader.card.is_some() {
            self.event(name.clone(), DeviceEvent::CardInserted);
        }
    }

    pub(super) fn read_card(&mut self) {
        let Some((id, call)) = self.reader.calls.pop_front() else {
            return;
        };
        let answer = match call {
            Call::Connect => self.connect(),
            Call::Disconnect => {
                if let Some(card) = self.reader.card {
                    self.cards[card].power_off();
                }
                self.reader.connection = None;
                Ok(Answer::Disconnected)
            }
            Call::Transmit(connection, command) => self.transmit(connection, &command),
        };
        self.inputs.push_back(Input::Answer { id, answer });
    }

    fn connect(&mut self) -> Result<Answer, CallFailure> {
        let card = self.reader.card.ok_or(CallFailure::NoCard)?;
        self.cards[card].power_on();
        self.reader.last += 1;
        self.reader.connection = Some(self.reader.last);
        Ok(Answer::Connected {
            connection: self.reader.last,
            protocol: match self.cards[card].personalisation().interface {
                Interface::T0 => Protocol::T0,
                Interface::Whole => Protocol::TCl,
            },
        })
    }

    fn transmit(&mut self, connection: u32, command: &CommandApdu) -> Result<Answer, CallFailure> {
        let card = self
            .reader
            .card
            .filter(|_| self.reader.connection == Some(connection));
        let card = card.ok_or(CallFailure::CardChanged)?;
        self.sent.push(command.name());
        let is_credit = command.name() == CommandName::CreditLoad;
        let before = self.balance(card);
        let reply = self.cards[card].process(command.as_bytes());
        if command.name() == CommandName::Debit {
            self.paid[card] += before - self.balance(card);
        }
        if is_credit && self.planted == Planted::CreditsTwice {
            self.credit_again(card);
        }
        match reply {
            CardReply::Answer(answer) if answer.len() >= 2 => Ok(Answer::Response(answer)),
            CardReply::LastAnswer(answer) => {
                self.reader.connection = None;
                Ok(Answer::Response(answer))
            }
            CardReply::Answer(_) | CardReply::Mute => {
                self.reader.connection = None;
                self.cards[card].power_off();
                Err(CallFailure::OutcomeUnknown)
            }
            CardReply::Torn => {
                self.remove();
                Err(CallFailure::OutcomeUnknown)
            }
        }
    }

    /// A broken card: it takes each load twice.
    fn credit_again(&mut self, card: usize) {
        let made = std::sync::Arc::new(self.cards[card].personalisation().clone());
        let mut state = self.cards[card].state().clone();
        state.ep.balance.0 += super::LOADED;
        self.cards[card] = purser_lab::card::Card::restore(made, state);
    }
}
