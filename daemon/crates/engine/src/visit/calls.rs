//! Answers of readers and PIN pads, each to the state that waits for it.

use purser_ledger::{CardId, CloseReason, Currency, DeviceName, Scheme};
use purser_purse::pboc::{CardFacts, CreditLoad, GetBalance, Identify, PurseAmount};
use purser_purse::{CardError, Dialogue, Turn};

use super::{Connection, Crediting, Serving, State, Visit};
use crate::{Answer, CallFailure, CallId, Engine, PurseView, Query, Reply, RequestError};

/// A card's response, and the visit that it belongs to.
struct Heard<'a> {
    reader: &'a DeviceName,
    visit: Visit,
    response: &'a [u8],
}

impl Engine {
    pub(crate) fn handle_answer(&mut self, id: CallId, answer: Result<Answer, CallFailure>) {
        if self.is_psam_call(id) {
            return self.psam_answered(answer);
        }
        let reader = self
            .visits
            .iter()
            .find(|(_, visit)| visit.call == Some(id))
            .map(|(name, _)| name.clone());
        let Some(reader) = reader else { return };
        let mut visit = self.visits.remove(&reader).expect("the visit was just seen");
        visit.call = None;
        match (std::mem::replace(&mut visit.state, State::Leaving), answer) {
            (State::Leaving, Ok(Answer::Connected { connection, .. })) => {
                visit.call = Some(self.ask(&reader, Query::Disconnect { connection }));
                self.visits.insert(reader, visit);
            }
            (State::Leaving, _) => {}
            (State::Connecting, Ok(Answer::Connected { connection, protocol })) => {
                visit.connection = Some(Connection {
                    number: connection,
                    protocol,
                });
                let identify = Identify::new(&self.config.profile, protocol);
                self.transmit(&reader, visit, identify, State::Identifying);
            }
            (state @ State::WaitingForPin { .. }, answer) => {
                visit.state = state;
                self.handle_pad_answer(&reader, visit, answer);
            }
            (state, Ok(Answer::Response(response))) => {
                self.handle_response(
                    Heard {
                        reader: &reader,
                        visit,
                        response: &response,
                    },
                    state,
                );
            }
            (state, answer) => {
                visit.state = state;
                let failure = answer.err().unwrap_or(CallFailure::DriverLost);
                self.fail_visit(&reader, visit, failure);
            }
        }
    }

    fn handle_response(&mut self, heard: Heard<'_>, state: State) {
        match state {
            State::Identifying(it) => self.turn(heard, it, State::Identifying, Self::identified),
            State::ReadingBalance(it) => self.turn(heard, it, State::ReadingBalance, Self::balance_read),
            State::VerifyingPin(it) => self.turn(heard, it, State::VerifyingPin, Self::pin_checked),
            State::Initialising(it) => self.turn(heard, it, State::Initialising, Self::initialised),
            State::Recovering(operation, it) => {
                let state = move |dialogue| State::Recovering(operation, dialogue);
                self.turn(heard, it, state, move |engine, reader, visit, verdict| {
                    engine.recovered(reader, visit, operation, verdict);
                });
            }
            State::Debiting { attempt, dialogue } => {
                let kept = attempt.clone();
                let state = move |dialogue| State::Debiting { attempt, dialogue };
                self.turn(heard, dialogue, state, move |engine, reader, visit, answer| {
                    engine.debit_answered(reader, visit, &kept, answer);
                });
            }
            State::CheckingDebit {
                operation,
                known,
                dialogue,
            } => {
                let state = move |dialogue| State::CheckingDebit {
                    operation,
                    known,
                    dialogue,
                };
                self.turn(heard, dialogue, state, move |engine, reader, visit, verdict| {
                    engine.debit_checked(reader, visit, operation, known, verdict);
                });
            }
            State::InitialisingLoad(over, it) => {
                let state = move |dialogue| State::InitialisingLoad(over, dialogue);
                self.turn(heard, it, state, move |engine, reader, visit, answer| {
                    engine.load_initialised(reader, visit, over, answer);
                });
            }
            State::ProvingLoad(load, it) => {
                let state = move |dialogue| State::ProvingLoad(load, dialogue);
                self.turn(heard, it, state, move |engine, reader, visit, answer| {
                    engine.load_proved(reader, visit, load, answer);
                });
            }
            State::Crediting(crediting, it) => self.credit_turn(heard, crediting, it),
            State::ProvingCredit(it) => self.turn(heard, it, State::ProvingCredit, Self::credit_proved),
            State::Connecting
            | State::AskingProvider(_)
            | State::RecordingAttempt(_)
            | State::Releasing(_)
            | State::WaitingForPin { .. }
            | State::AwaitingPsam(_)
            | State::Authorising(_)
            | State::Intending { .. }
            | State::CheckingMac2(_)
            | State::Leaving => {
                let visit = Visit { state, ..heard.visit };
                self.fail_visit(heard.reader, visit, CallFailure::DriverLost);
            }
        }
    }

    /// A credit that is answered in pieces goes on; its end is the load's.
    fn credit_turn(&mut self, heard: Heard<'_>, crediting: Box<Crediting>, dialogue: CreditLoad) {
        match dialogue.handle_response(heard.response) {
            Turn::Transmit(dialogue) => {
                let state = move |dialogue| State::Crediting(crediting, dialogue);
                self.transmit(heard.reader, heard.visit, dialogue, state);
            }
            Turn::Done(result) => self.credit_answered(heard.reader, heard.visit, &crediting, result),
        }
    }

    fn turn<D: Dialogue>(
        &mut self,
        heard: Heard<'_>,
        dialogue: D,
        state: impl FnOnce(D) -> State,
        done: impl FnOnce(&mut Self, &DeviceName, Visit, Result<D::Done, CardError>),
    ) {
        match dialogue.handle_response(heard.response) {
            Turn::Transmit(dialogue) => self.transmit(heard.reader, heard.visit, dialogue, state),
            Turn::Done(result) => done(self, heard.reader, heard.visit, result),
        }
    }

    fn identified(&mut self, reader: &DeviceName, mut visit: Visit, result: Result<CardFacts, CardError>) {
        match result {
            Ok(facts) => {
                let card = card_id(&facts);
                visit.tries_left = self.tries_left.of(&card);
                visit.card = Some(facts);
                if self.devices.is_forgotten(reader, &card) {
                    self.turn_away(reader, &mut visit, card);
                }
                self.advance(reader, visit);
            }
            Err(error) => self.refuse_card(reader, visit, error),
        }
    }

    /// A card that has served and was not seen to leave does not serve another sale, though its reader or driver came back since
    /// and told of it anew: the sale waits until it was taken out. Of earlier payments it is asked all the same.
    fn turn_away(&mut self, reader: &DeviceName, visit: &mut Visit, card: CardId) {
        self.devices.set_served(reader, Some(card));
        match visit.serving {
            Serving::Sale(operation) => self.wait_for_card(operation),
            Serving::Load(load) => self.load_waits_for_card(load),
            Serving::Reader(_) | Serving::Nobody => return,
        }
        visit.serving = Serving::Nobody;
    }

    /// Goes on with the next thing that this card is here for.
    pub(crate) fn advance(&mut self, reader: &DeviceName, visit: Visit) {
        if let Some((operation, attempt)) = self.earlier_payment(&visit) {
            self.ask_about(reader, visit, operation, &attempt);
            return;
        }
        if let Some((load, attempt)) = self.earlier_load(&visit) {
            self.prove_load(reader, visit, load, &attempt);
            return;
        }
        match visit.serving {
            Serving::Load(load) => self.serve_load(reader, visit, load),
            Serving::Sale(operation) => self.serve_sale(reader, visit, operation),
            Serving::Reader(_) => {
                let balance = GetBalance::new(self.config.profile.purse, visit.protocol());
                self.transmit(reader, visit, balance, State::ReadingBalance);
            }
            Serving::Nobody => {
                // Another card may have come before this one's answer: that one is still to be asked.
                if visit.has_its_card(reader, &self.devices) {
                    self.devices.set_resolved(reader);
                }
                self.leave(reader, visit);
            }
        }
    }

    /// Ends what the card is here for, because of what it answered.
    pub(crate) fn refuse_card(&mut self, reader: &DeviceName, visit: Visit, error: CardError) {
        match visit.serving {
            Serving::Load(_) => return self.refuse_card_for_load(reader, visit, error),
            Serving::Sale(operation) => self.close_sale(operation, close_reason(error)),
            Serving::Reader(request) => {
                let needs_pin = error == CardError::PinNeeded;
                let refusal = if needs_pin {
                    RequestError::PinNeeded
                } else {
                    RequestError::CardNotReadable
                };
                self.reply(request, Err(refusal));
            }
            Serving::Nobody => {}
        }
        if visit.sale().is_some() {
            self.devices.set_served(reader, visit.card.as_ref().map(card_id));
        }
        self.leave(reader, visit);
    }

    fn balance_read(&mut self, reader: &DeviceName, visit: Visit, result: Result<PurseAmount, CardError>) {
        match (result, visit.serving, &visit.card) {
            (Ok(balance), Serving::Reader(request), Some(card)) => {
                let view = PurseView {
                    reader: reader.clone(),
                    card: card_id(card),
                    balance_minor: balance.minor(),
                    currency: self.currency_of(card),
                    start: *card.start.as_bytes(),
                    expiry: *card.expiry.as_bytes(),
                };
                self.reply(request, Ok(Reply::Purse(view)));
                self.leave(reader, visit);
            }
            (Ok(_), _, _) => self.leave(reader, visit),
            (Err(error), _, _) => self.refuse_card(reader, visit, error),
        }
    }

    pub(crate) fn currency_of(&self, card: &CardFacts) -> Option<Currency> {
        self.config.issuers.get(&card.issuer_id).copied()
    }
}

pub(crate) fn card_id(card: &CardFacts) -> CardId {
    CardId::new(Scheme::Pboc, *card.serial.as_bytes())
}

/// Why a sale ends when a card answers so before any debit. The one map from a card's errors to a sale's end.
pub(crate) fn close_reason(error: CardError) -> CloseReason {
    match error {
        CardError::ForeignCard => CloseReason::ForeignCard,
        CardError::PinBlocked => CloseReason::PinBlocked,
        CardError::PinNeeded | CardError::WrongPin { .. } => CloseReason::PinNotPossible,
        CardError::InsufficientFunds => CloseReason::InsufficientFunds,
        CardError::CounterExhausted => CloseReason::CardExhausted,
        CardError::ApplicationBlocked
        | CardError::ApplicationPermanentlyBlocked
        | CardError::NotSupportedOrBlocked => CloseReason::CardBlocked,
        CardError::KeyIndexNotSupported => CloseReason::KeyMissing,
        _ => CloseReason::CardMisbehaved,
    }
}
