//! The PIN (S21): asked for at a pad or awaited through the API, then checked by the card, once.

use std::collections::VecDeque;

use purser_ledger::{Amount, CardId, CloseReason, DeviceName};
use purser_purse::CardError;
use purser_purse::pboc::{Pin, VerifyPin};

use super::calls::card_id;
use super::{Serving, State, Visit};
use crate::{Answer, CallFailure, Engine, EnterPin, Output, Query, RequestError};

/// How many cards' tries left are remembered: the cards of one busy hour.
const TRIES_LEFT_MAX: usize = 256;

/// PIN tries left as cards told them, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct TriesLeft(VecDeque<(CardId, u8)>);

impl TriesLeft {
    /// What this card told last, if that is remembered.
    pub(crate) fn of(&self, card: &CardId) -> Option<u8> {
        let mut told = self.0.iter();
        told.find(|(of, _)| of == card).map(|(_, tries_left)| *tries_left)
    }

    /// Remembers what a card told, or forgets it; the card that was not heard of for the longest time makes room.
    fn set(&mut self, card: CardId, tries_left: Option<u8>) {
        self.0.retain(|(of, _)| *of != card);
        if let Some(tries_left) = tries_left {
            if self.0.len() >= TRIES_LEFT_MAX {
                self.0.pop_front();
            }
            self.0.push_back((card, tries_left));
        }
    }
}

impl Engine {
    /// Waits for a PIN for this card: through the API where the sale says so, else at the reader's PIN pad.
    pub(crate) fn wait_for_pin(&mut self, reader: &DeviceName, mut visit: Visit) {
        let amount = self.amount_of_visit(&visit);
        let through_api = self.is_pin_through_api(&visit);
        let pad = self.pad_of(reader);
        match pad {
            _ if through_api => visit.state = State::WaitingForPin { pad: None },
            Some(pad) => {
                let enter = EnterPin {
                    amount,
                    tries_left: visit.tries_left,
                };
                visit.call = Some(self.ask(&pad, Query::EnterPin(enter)));
                visit.state = State::WaitingForPin { pad: Some(pad) };
            }
            None => return self.end_wait_for_pin(reader, visit, CloseReason::PinNotPossible),
        }
        visit.deadline = self.now.monotonic.after_ms(self.config.pin_wait_ms);
        self.visits.insert(reader.clone(), visit);
    }

    /// True when there is a way to have a PIN for this card.
    pub(crate) fn can_have_pin(&self, reader: &DeviceName, visit: &Visit) -> bool {
        let is_asked = !matches!(visit.serving, Serving::Reader(_));
        is_asked && (self.is_pin_through_api(visit) || self.pad_of(reader).is_some())
    }

    /// The amount of the sale or the load that the card is here for.
    fn amount_of_visit(&self, visit: &Visit) -> Option<Amount> {
        match visit.serving {
            Serving::Sale(operation) => self.sale(operation).map(|sale| sale.asked.amount),
            Serving::Load(load) => Some(self.load(load).asked.amount),
            Serving::Reader(_) | Serving::Nobody => None,
        }
    }

    fn is_pin_through_api(&self, visit: &Visit) -> bool {
        match visit.serving {
            Serving::Sale(operation) => self
                .sale(operation)
                .is_some_and(|sale| sale.asked.pin_through_api),
            Serving::Load(load) => self.load(load).asked.pin_through_api,
            Serving::Reader(_) | Serving::Nobody => false,
        }
    }

    fn pad_of(&self, reader: &DeviceName) -> Option<DeviceName> {
        let pad = self.config.pin_pads.get(reader).unwrap_or(reader);
        self.devices.has_pin_pad(pad).then(|| pad.clone())
    }

    pub(crate) fn handle_pad_answer(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        answer: Result<Answer, CallFailure>,
    ) {
        match answer {
            Ok(Answer::Pin(pin)) => self.verify_pin(reader, visit, pin),
            Err(CallFailure::Cancelled) => {
                self.end_wait_for_pin(reader, visit, CloseReason::CancelledByBuyer)
            }
            Err(CallFailure::TimedOut) => self.end_wait_for_pin(reader, visit, CloseReason::NoPinInTime),
            Ok(_) | Err(_) => self.end_wait_for_pin(reader, visit, CloseReason::PinNotPossible),
        }
    }

    /// Ends a visit that gets no PIN.
    pub(crate) fn end_wait_for_pin(&mut self, reader: &DeviceName, visit: Visit, reason: CloseReason) {
        match visit.serving {
            Serving::Load(load) => return self.load_without_pin(reader, visit, load, reason),
            Serving::Sale(operation) => self.close_sale(operation, reason),
            Serving::Reader(request) => self.reply(request, Err(RequestError::PinNeeded)),
            Serving::Nobody => {}
        }
        self.leave(reader, visit);
    }

    /// Takes the PIN that the sale's owner sends (money rule T5).
    pub(crate) fn take_api_pin(
        &mut self,
        reader: &DeviceName,
        pin: Pin,
        last_try: bool,
    ) -> Result<(), RequestError> {
        let waits = |visit: &&Visit| matches!(visit.state, State::WaitingForPin { pad: None });
        let visit = self
            .visits
            .get(reader)
            .filter(waits)
            .ok_or(RequestError::NoPinExpected)?;
        if visit.tries_left == Some(1) && !last_try {
            return Err(RequestError::LastTry);
        }
        let visit = self.visits.remove(reader).expect("the visit was just seen");
        self.verify_pin(reader, visit, pin);
        Ok(())
    }

    fn verify_pin(&mut self, reader: &DeviceName, visit: Visit, pin: Pin) {
        let verify = VerifyPin::new(&self.config.profile, pin, visit.protocol());
        self.transmit(reader, visit, verify, State::VerifyingPin);
    }

    pub(crate) fn pin_checked(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        result: Result<(), CardError>,
    ) {
        match result {
            Ok(()) => {
                self.remember_tries(&visit, None);
                visit.tries_left = None;
                visit.pin_verified = true;
                self.advance(reader, visit);
            }
            Err(CardError::WrongPin { tries_left }) => {
                visit.tries_left = Some(tries_left);
                self.remember_tries(&visit, Some(tries_left));
                self.wait_for_pin(reader, visit);
            }
            Err(error) => self.refuse_card(reader, visit, error),
        }
    }

    fn remember_tries(&mut self, visit: &Visit, tries_left: Option<u8>) {
        let Some(card) = visit.card.as_ref().map(card_id) else {
            return;
        };
        self.tries_left.set(card, tries_left);
    }

    /// Ends a running PIN entry early.
    pub(crate) fn abort_pin_entry(&mut self, visit: &mut Visit) {
        if let (State::WaitingForPin { pad: Some(pad) }, Some(call)) = (&visit.state, visit.call) {
            self.outputs.push_back(Output::Abort(call, pad.clone()));
            visit.call = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use purser_ledger::Scheme;

    use super::*;

    fn card(number: usize) -> CardId {
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        CardId::new(Scheme::Pboc, [0, 0, 0, 0, 0, 0, 0, 0, high, low])
    }

    #[test]
    fn the_card_that_was_not_heard_of_for_the_longest_time_is_forgotten_whatever_its_number() {
        let mut tries_left = TriesLeft::default();
        let heard = (0..TRIES_LEFT_MAX).rev();
        for number in heard {
            tries_left.set(card(number), Some(2));
        }
        tries_left.set(card(TRIES_LEFT_MAX - 1), Some(1));
        tries_left.set(card(TRIES_LEFT_MAX), Some(2));
        assert_eq!(tries_left.of(&card(TRIES_LEFT_MAX - 2)), None);
        assert_eq!(tries_left.of(&card(TRIES_LEFT_MAX - 1)), Some(1));
        assert_eq!(tries_left.of(&card(0)), Some(2));
        tries_left.set(card(0), None);
        assert_eq!(tries_left.of(&card(0)), None);
    }
}
