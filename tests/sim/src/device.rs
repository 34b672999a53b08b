//! A card reader or PIN pad as the driver contract has it: one call at a time, in order, and a connection that ends with
//! the card.

use std::collections::VecDeque;

use purser_engine::{Abilities, Answer, CallFailure, CallId, DeviceEvent, EnterPin, Input};
use purser_ledger::DeviceName;
use purser_purse::CommandApdu;

/// A call that waits for the device.
#[derive(Debug)]
pub(crate) enum Call {
    Connect,
    Transmit {
        connection: u32,
        command: CommandApdu,
        /// For a VERIFY: the amount that was shown where its PIN was entered.
        pin_for: Option<PinFor>,
    },
    Disconnect {
        connection: u32,
    },
    EnterPin(EnterPin),
}

/// What a PIN was entered for, in minor units; none where no amount was shown.
pub(crate) type PinFor = Option<u64>;

/// A connection to a card.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u32,
    /// What the PIN that the card accepted was entered for.
    pub(crate) pin_for: Option<PinFor>,
    pub(crate) debits: u8,
}

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) name: DeviceName,
    abilities: Abilities,
    /// The engine has been told that it is there.
    pub(crate) is_up: bool,
    /// The card in its slot.
    pub(crate) card: Option<usize>,
    /// The shop's PSAM is in its slot; only of the reader that is kept for it.
    pub(crate) holds_psam: bool,
    pub(crate) connection: Option<Connection>,
    pub(crate) calls: VecDeque<(CallId, Call)>,
    /// Answers and events on their way to the engine.
    pub(crate) done: VecDeque<Input>,
    /// Debits since the card was put in or the process began, however often the device came back meanwhile.
    pub(crate) debits: u8,
    /// Steps for which it does nothing and its answers do not arrive.
    pub(crate) stalled: u32,
    /// The next answer to a command is lost on the line.
    pub(crate) loses_answer: bool,
    /// This many connects meet a reader that somebody else holds.
    pub(crate) busy: u8,
    /// This many connects meet a contact that bounces.
    pub(crate) bouncing: u8,
    /// The next removal of a card is not noticed.
    pub(crate) misses_removal: bool,
    connection_last: u32,
}

impl Device {
    pub(crate) fn new(name: DeviceName, abilities: Abilities) -> Self {
        Self {
            name,
            abilities,
            is_up: false,
            card: None,
            holds_psam: false,
            connection: None,
            calls: VecDeque::new(),
            done: VecDeque::new(),
            debits: 0,
            stalled: 0,
            loses_answer: false,
            busy: 0,
            bouncing: 0,
            misses_removal: false,
            connection_last: 0,
        }
    }

    /// True when the device can go on by itself: a pad waits for the buyer.
    pub(crate) fn can_work(&self) -> bool {
        self.stalled == 0
            && matches!(self.calls.front(), Some((_, call)) if !matches!(call, Call::EnterPin(_)))
    }

    /// What the pad asks the buyer.
    pub(crate) fn asks_pin(&self) -> Option<&EnterPin> {
        match self.calls.front() {
            Some((_, Call::EnterPin(enter))) if self.stalled == 0 => Some(enter),
            _ => None,
        }
    }

    /// True when nothing is under way between it and the engine.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.done.is_empty()
    }

    pub(crate) fn answer(&mut self, id: CallId, answer: Result<Answer, CallFailure>) {
        self.done.push_back(Input::Answer { id, answer });
    }

    pub(crate) fn event(&mut self, event: DeviceEvent) {
        if self.is_up {
            let name = self.name.clone();
            self.done.push_back(Input::Device { name, event });
        }
    }

    /// The buyer's answer at the pad.
    pub(crate) fn answer_pin(&mut self, answer: Result<Answer, CallFailure>) {
        if let Some((id, Call::EnterPin(_))) = self.calls.front() {
            let id = *id;
            self.calls.pop_front();
            self.answer(id, answer);
        }
    }

    /// Ends an entry early. Nothing happens when it has ended already.
    pub(crate) fn abort(&mut self, id: CallId) {
        let entry = |(call, kind): &(CallId, Call)| *call == id && matches!(kind, Call::EnterPin(_));
        if let Some(index) = self.calls.iter().position(entry) {
            self.calls.remove(index);
            self.answer(id, Err(CallFailure::Cancelled));
        }
    }

    /// Connections since its driver started.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> u32 {
        self.connection_last
    }

    pub(crate) fn begin_connection(&mut self) -> u32 {
        self.connection_last += 1;
        self.connection = Some(Connection {
            number: self.connection_last,
            pin_for: None,
            debits: 0,
        });
        self.connection_last
    }

    /// The device is there: the engine is told, and of the card in its slot.
    pub(crate) fn arrive(&mut self) {
        self.is_up = true;
        self.event(DeviceEvent::Arrived(self.abilities));
        if self.card.is_some() || self.holds_psam {
            self.event(DeviceEvent::CardInserted);
        }
    }

    /// The driver or the device is gone: what was asked is answered with a failure, then the engine is told.
    pub(crate) fn go(&mut self, failure: CallFailure) {
        for (id, _) in std::mem::take(&mut self.calls) {
            self.answer(id, Err(failure));
        }
        self.event(DeviceEvent::Left);
        self.is_up = false;
        self.connection = None;
        self.connection_last = 0;
    }

    /// The process that listened is gone, and its drivers with it.
    pub(crate) fn forget(&mut self) {
        self.calls.clear();
        self.done.clear();
        self.connection = None;
        self.connection_last = 0;
        self.is_up = false;
        self.stalled = 0;
        self.debits = 0;
    }
}
