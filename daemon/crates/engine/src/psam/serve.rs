//! Sales in line for the PSAM: the 8070 that authorises a debit, and the 8072 that checks its MAC2.

use purser_ledger::{CardId, CloseReason, DeviceName, OperationId};
use purser_purse::pboc::psam::{CreditSamForPurchase, InitSamForPurchase, SamAnswer, SamRequest};
use purser_purse::pboc::{InitAnswer, PsamError, TerminalTime};
use purser_purse::{Dialogue, Turn};

use super::{
    Authorising, Authority, Call, Checking, Link, PsamFault, Question, Service, State, TURN_WAIT_MS, Then,
    Unchecked, Waiting,
};
use crate::visit::{self, Visit};
use crate::{CallFailure, Engine};

impl Engine {
    /// Puts a sale whose card has answered INITIALIZE at the end of the line.
    pub(crate) fn wait_for_psam(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        operation: OperationId,
        init: InitAnswer,
    ) {
        let waiting = Waiting {
            init,
            until: self.now.monotonic.after_ms(TURN_WAIT_MS),
            was_refused: false,
        };
        self.await_psam(reader, visit, waiting);
        let queue = &mut self.psam_mut().queue;
        // A place that its sale left, because its card was pulled, is not kept.
        queue.retain(|waiting| *waiting != operation);
        queue.push_back(operation);
    }

    fn await_psam(&mut self, reader: &DeviceName, mut visit: Visit, waiting: Waiting) {
        visit.deadline = waiting.until;
        visit.state = visit::State::AwaitingPsam(waiting);
        self.visits.insert(reader.clone(), visit);
    }

    /// Takes the places away that their sales have left, so that the line is never longer than there are readers.
    fn shorten_line(&mut self) {
        let visits = &self.visits;
        let Authority::Psam(psam) = &mut self.sam else {
            return;
        };
        let waits = |operation: &OperationId| {
            let mut visits = visits.values();
            visits
                .any(|it| it.sale() == Some(*operation) && matches!(it.state, visit::State::AwaitingPsam(_)))
        };
        psam.queue.retain(waits);
    }

    /// Ends a sale that has waited for the PSAM for too long.
    pub(crate) fn give_up_psam(&mut self, reader: &DeviceName, visit: Visit) {
        let reason = self.psam_mut().late_reason();
        self.close_at(reader, visit, reason);
    }

    pub(crate) fn close_at(&mut self, reader: &DeviceName, visit: Visit, reason: CloseReason) {
        if let Some(operation) = visit.sale() {
            self.close_sale(operation, reason);
        }
        self.leave(reader, visit);
    }

    /// Lets the PSAM serve the first in line, if it is free.
    pub(crate) fn serve_psam(&mut self) {
        self.shorten_line();
        let Some(psam) = self.psam_card() else { return };
        if psam.queue.is_empty() {
            return;
        }
        if let Some(reason) = psam.refusal() {
            for operation in std::mem::take(&mut self.psam_mut().queue) {
                if let Some((reader, visit)) = self.take_waiting(operation) {
                    self.close_at(&reader, visit, reason);
                }
            }
            return;
        }
        let State::Ready(link) = psam.state else { return };
        if psam.open.is_some_and(|open| self.is_deciding(open)) {
            return;
        }
        while let Some(operation) = self.psam_mut().queue.pop_front() {
            if let Some((reader, visit)) = self.take_waiting(operation) {
                self.authorise(link, &reader, visit, operation);
                return;
            }
        }
    }

    /// True while the sale's debit is intended and not decided: the PSAM is kept for it.
    fn is_deciding(&self, operation: OperationId) -> bool {
        self.visits.values().any(|visit| visit.is_committed_to(operation))
    }

    fn take_waiting(&mut self, operation: OperationId) -> Option<(DeviceName, Visit)> {
        self.take_visit(operation, |state| matches!(state, visit::State::AwaitingPsam(_)))
    }

    fn take_visit(
        &mut self,
        operation: OperationId,
        is_in: impl Fn(&visit::State) -> bool,
    ) -> Option<(DeviceName, Visit)> {
        let mut visits = self.visits.iter();
        let (reader, _) = visits.find(|(_, it)| it.sale() == Some(operation) && is_in(&it.state))?;
        let reader = reader.clone();
        self.visits.remove_entry(&reader)
    }

    fn authorise(&mut self, link: Link, reader: &DeviceName, mut visit: Visit, operation: OperationId) {
        let visit::State::AwaitingPsam(waiting) = visit.state else {
            unreachable!("the visit was found by this state");
        };
        let at = self.stamp_intent();
        let request = SamRequest {
            card: visit.card(),
            init: &waiting.init,
            purse: self.config.profile.purse,
            amount: self.amount_of(operation),
            time: TerminalTime::from_local(at.local_seconds())
                .expect("the clock is kept in a card's range of dates"),
        };
        let profile = &self.psam_mut().settings.profile.clone();
        let dialogue = InitSamForPurchase::new(profile, request, link.protocol);
        let authorising = Authorising {
            operation,
            dialogue,
            at,
        };
        self.ask_to_authorise(link, authorising);
        visit.deadline = self.call_deadline();
        visit.state = visit::State::Authorising(waiting);
        self.visits.insert(reader.clone(), visit);
    }

    fn ask_to_authorise(&mut self, link: Link, authorising: Authorising) {
        let call = self.ask_psam(link, authorising.dialogue.command());
        self.psam_mut().open = None;
        self.set_psam(State::Authorising(link, call, Box::new(authorising)));
    }

    pub(super) fn authorise_response(&mut self, link: Link, authorising: Authorising, response: &[u8]) {
        let Authorising {
            operation,
            dialogue,
            at,
        } = authorising;
        match dialogue.handle_response(response) {
            Turn::Transmit(dialogue) => {
                let authorising = Authorising {
                    operation,
                    dialogue,
                    at,
                };
                self.ask_to_authorise(link, authorising);
            }
            Turn::Done(Ok(_)) if !self.is_psam_in(link) => {
                // It was taken out meanwhile, and could not check MAC2. The terminal SN is used up.
                let fault = PsamFault::Unreachable(CallFailure::CardChanged);
                let service = Service::Authorising(operation);
                self.fail_psam(Some(link), service, fault, Then::TryAgain);
            }
            Turn::Done(Ok(answer)) => {
                let psam = self.psam_mut();
                psam.state = State::Ready(link);
                psam.open = Some(operation);
                psam.unpowered = None;
                psam.failures = 0;
                psam.fault = psam.fault.filter(|fault| *fault == PsamFault::RepeatsNumbers);
                self.authorised(operation, answer, at);
            }
            Turn::Done(Err(error)) => self.authorisation_refused(link, operation, error.into()),
        }
    }

    /// The terminal SN is used up from here on, whether its sale is still there or not.
    fn authorised(&mut self, operation: OperationId, answer: SamAnswer, at: purser_ledger::Wall) {
        self.terminal_sn_last = self.terminal_sn_last.max(answer.terminal_sn.value());
        let Some((reader, visit)) = self.take_authorising(operation) else {
            return;
        };
        let visit::State::Authorising(Waiting { init, .. }) = visit.state else {
            unreachable!("the visit was found by this state");
        };
        let attempt = self.attempt(&visit, operation, &init, answer.terminal_sn, at);
        self.intend(&reader, visit, operation, attempt, answer.mac1, at);
    }

    fn take_authorising(&mut self, operation: OperationId) -> Option<(DeviceName, Visit)> {
        self.take_visit(operation, |state| matches!(state, visit::State::Authorising(_)))
    }

    /// The card chose a part of what the PSAM refuses, so the refusal says nothing of the PSAM: it is reset, tells then how it
    /// does, and is asked once more, when the others in line had their turn.
    fn authorisation_refused(&mut self, link: Link, operation: OperationId, error: PsamError) {
        let fault = PsamFault::RefusedCard(error);
        let reason = match error {
            PsamError::KeyMissing => Some(CloseReason::KeyMissing),
            PsamError::DataRefused => Some(CloseReason::PsamMismatch),
            PsamError::NotAPsam
            | PsamError::Locked
            | PsamError::CounterExhausted
            | PsamError::Mac2Wrong
            | PsamError::WrongState
            | PsamError::Misbehaved(_) => None,
        };
        let sale = self.take_authorising(operation);
        if reason.is_some() {
            self.psam_mut().fault = Some(fault);
            self.psam_is_free(link);
        } else {
            self.fail_psam(Some(link), Service::Nothing, fault, Then::TryAgain);
        }
        let Some((reader, visit)) = sale else { return };
        let visit::State::Authorising(waiting) = visit.state else {
            unreachable!("the visit was found by this state");
        };
        let reason = reason.or(waiting.was_refused.then_some(CloseReason::PsamRefuses));
        if let Some(reason) = reason {
            self.close_at(&reader, visit, reason);
        } else {
            let was_refused = true;
            self.await_psam(
                &reader,
                visit,
                Waiting {
                    was_refused,
                    ..waiting
                },
            );
            self.psam_mut().queue.push_back(operation);
        }
    }

    /// True when the PSAM can still check the MAC2 of this operation's debit.
    pub(crate) fn is_open_in_psam(&self, operation: OperationId) -> bool {
        self.psam_card()
            .is_some_and(|psam| psam.open == Some(operation) && matches!(psam.state, State::Ready(_)))
    }

    /// Asks the PSAM about a MAC2, once; the visit waits for it.
    pub(crate) fn check_mac2(&mut self, reader: &DeviceName, mut visit: Visit, question: Question) {
        let State::Ready(link) = self.psam_mut().state else {
            unreachable!("the caller saw that the PSAM can be asked");
        };
        let dialogue = CreditSamForPurchase::new(question.answer.mac2, link.protocol);
        let has_begun = false;
        self.ask_to_check(
            link,
            Checking {
                question,
                dialogue,
                has_begun,
            },
        );
        visit.deadline = self.call_deadline();
        visit.state = visit::State::CheckingMac2(question.operation);
        self.visits.insert(reader.clone(), visit);
    }

    fn ask_to_check(&mut self, link: Link, checking: Checking) {
        let call = self.ask_psam(link, checking.dialogue.command());
        self.psam_mut().open = None;
        self.set_psam(State::Checking(link, call, Box::new(checking)));
    }

    pub(super) fn check_response(&mut self, link: Link, checking: Checking, response: &[u8]) {
        let Checking {
            question, dialogue, ..
        } = checking;
        let result = match dialogue.handle_response(response) {
            Turn::Transmit(dialogue) => {
                let has_begun = true;
                let checking = Checking {
                    question,
                    dialogue,
                    has_begun,
                };
                return self.ask_to_check(link, checking);
            }
            Turn::Done(result) => result,
        };
        match result.map_err(PsamError::from) {
            Ok(()) => {
                self.count_mac2(question.operation, true);
                self.psam_is_free(link);
                self.mac2_is_right(question);
            }
            Err(error @ PsamError::Mac2Wrong) => {
                self.count_mac2(question.operation, false);
                self.psam_mut().fault = Some(PsamFault::RefusedCard(error));
                self.psam_is_free(link);
                self.mac2_is_wrong(question);
            }
            Err(error) => {
                let service = Service::Checking(question, unchecked_by(error));
                self.fail_psam(Some(link), service, PsamFault::RefusedCard(error), Then::TryAgain);
            }
        }
    }

    /// The PSAM's reader tells why there is no answer about a MAC2. Only a PSAM that has lost its power makes one that cannot be
    /// checked (money rule P6).
    pub(super) fn check_failed(&mut self, link: Link, call: Call, checking: Checking, failure: CallFailure) {
        let is_prompt = self.now.monotonic < call.prompt_until;
        let how = match failure {
            CallFailure::NoCard | CallFailure::CardChanged => Unchecked::PowerLost,
            CallFailure::OutcomeUnknown if is_prompt => Unchecked::PowerLost,
            CallFailure::Busy if !checking.has_begun => Unchecked::NotAsked,
            CallFailure::OutcomeUnknown
            | CallFailure::Busy
            | CallFailure::CardMute
            | CallFailure::DeviceGone
            | CallFailure::DriverLost
            | CallFailure::Cancelled
            | CallFailure::TimedOut
            | CallFailure::Unsupported => Unchecked::Unanswered,
        };
        let question = checking.question;
        if how == Unchecked::NotAsked {
            self.psam_mut().open = Some(question.operation);
            self.psam_is_free(link);
            self.mac2_is_not_checked(question, how);
        } else {
            let service = Service::Checking(question, how);
            let fault = PsamFault::Unreachable(failure);
            self.fail_psam(Some(link), service, fault, Then::TryAgain);
        }
    }

    /// Counts how the cards' MAC2s were found, for the alarm and for the card that brings the PSAM nearer to locking itself.
    fn count_mac2(&mut self, operation: OperationId, is_right: bool) {
        let wrong = &mut self.psam_mut().wrong_in_a_row;
        *wrong = if is_right { 0 } else { wrong.saturating_add(1) };
        let card: Option<CardId> = self
            .open
            .get(&operation)
            .and_then(|it| Some(it.key()?.card.clone()));
        match card {
            Some(card) if is_right => self.suspects.clear(&card),
            Some(card) => self.suspects.add(card, self.now.monotonic),
            None => {}
        }
    }

    /// The PSAM is lost in the middle of what it did for a sale.
    pub(super) fn end_psam_service(&mut self, service: Service) {
        match service {
            Service::Nothing => {}
            Service::Authorising(operation) => {
                let Some((reader, visit)) = self.take_authorising(operation) else {
                    return;
                };
                let visit::State::Authorising(waiting) = visit.state else {
                    unreachable!("the visit was found by this state");
                };
                // Nothing has moved: it keeps its place in the line, and its time limit.
                self.await_psam(&reader, visit, waiting);
                self.psam_mut().queue.push_front(operation);
            }
            Service::Checking(question, how) => self.mac2_is_not_checked(question, how),
        }
    }

    /// The visit that waits for the answer about this operation's MAC2.
    pub(crate) fn take_checking_mac2(&mut self, operation: OperationId) -> Option<(DeviceName, Visit)> {
        let is_it =
            |state: &visit::State| matches!(state, visit::State::CheckingMac2(it) if *it == operation);
        let (reader, _) = self.visits.iter().find(|(_, it)| is_it(&it.state))?;
        let reader = reader.clone();
        self.visits.remove_entry(&reader)
    }

    /// The store has refused a debit because its terminal serial number was used before.
    pub(crate) fn psam_repeats_numbers(&mut self) {
        if let Authority::Psam(psam) = &mut self.sam {
            psam.fault = Some(PsamFault::RepeatsNumbers);
        }
    }
}

/// How a check ends that the PSAM refused so. The wrong state is what follows from a power loss that nobody saw: 8072 was asked
/// directly after its 8070. Every other refusal may be about this card's answer.
fn unchecked_by(error: PsamError) -> Unchecked {
    match error {
        PsamError::WrongState => Unchecked::PowerLost,
        PsamError::NotAPsam
        | PsamError::Locked
        | PsamError::CounterExhausted
        | PsamError::KeyMissing
        | PsamError::Mac2Wrong
        | PsamError::DataRefused
        | PsamError::Misbehaved(_) => Unchecked::Unanswered,
    }
}
