//! Sales in line for the PSAM: the 8070 that authorises a debit, and the 8072 that checks its MAC2.

use purser_ledger::{CloseReason, DeviceName, Monotonic, OperationId};
use purser_purse::pboc::psam::{CreditSamForPurchase, InitSamForPurchase, SamAnswer, SamRequest};
use purser_purse::pboc::{InitAnswer, PsamError, TerminalTime};
use purser_purse::{Dialogue, Turn};

use super::link::after;
use super::{Authorising, Checking, Link, PsamFault, Question, Service, State, TURN_WAIT_MS};
use crate::Engine;
use crate::visit::{self, Visit};

impl Engine {
    /// Puts a sale whose card has answered INITIALIZE at the end of the line.
    pub(crate) fn wait_for_psam(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        operation: OperationId,
        init: InitAnswer,
    ) {
        let until = self.now.monotonic.after_ms(TURN_WAIT_MS);
        self.await_psam(reader, visit, init, until);
        let queue = &mut self.psam_mut().queue;
        // A place that its sale left, because its card was pulled, is not kept.
        queue.retain(|waiting| *waiting != operation);
        queue.push_back(operation);
    }

    fn await_psam(&mut self, reader: &DeviceName, mut visit: Visit, init: InitAnswer, until: Monotonic) {
        visit.deadline = until;
        visit.state = visit::State::AwaitingPsam { init, until };
        self.visits.insert(reader.clone(), visit);
    }

    /// Ends a sale that has waited for the PSAM for too long.
    pub(crate) fn give_up_psam(&mut self, reader: &DeviceName, visit: Visit) {
        let reason = self.psam_mut().late_reason();
        self.close_at(reader, visit, reason);
    }

    fn close_at(&mut self, reader: &DeviceName, visit: Visit, reason: CloseReason) {
        if let Some(operation) = visit.sale() {
            self.close_sale(operation, reason);
        }
        self.leave(reader, visit);
    }

    /// Lets the PSAM serve the first in line, if it is free.
    pub(crate) fn serve_psam(&mut self) {
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
        self.take_visit(operation, |state| {
            matches!(state, visit::State::AwaitingPsam { .. })
        })
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
        let visit::State::AwaitingPsam { init, until } = visit.state else {
            unreachable!("the visit was found by this state");
        };
        let at = self.stamp_intent();
        let request = SamRequest {
            card: visit.card(),
            init: &init,
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
        visit.state = visit::State::Authorising { init, until };
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
            Turn::Done(Ok(answer)) => {
                let psam = self.psam_mut();
                psam.state = State::Ready(link);
                psam.open = Some(operation);
                psam.failures = 0;
                psam.fault = psam.fault.filter(|fault| *fault == PsamFault::RepeatsNumbers);
                self.authorised(operation, answer, at);
            }
            Turn::Done(Err(error)) => self.authorisation_refused(link, operation, error.into()),
        }
    }

    /// The terminal SN is used up from here on, whether its sale is still there or not.
    fn authorised(&mut self, operation: OperationId, answer: SamAnswer, at: purser_ledger::Wall) {
        let Some((reader, visit)) = self.take_authorising(operation) else {
            return;
        };
        let visit::State::Authorising { init, .. } = visit.state else {
            unreachable!("the visit was found by this state");
        };
        let attempt = self.attempt(&visit, operation, &init, answer.terminal_sn, at);
        self.intend(&reader, visit, operation, attempt, answer.mac1, at);
    }

    fn take_authorising(&mut self, operation: OperationId) -> Option<(DeviceName, Visit)> {
        self.take_visit(operation, |state| {
            matches!(state, visit::State::Authorising { .. })
        })
    }

    fn authorisation_refused(&mut self, link: Link, operation: OperationId, error: PsamError) {
        let reason = match error {
            PsamError::KeyMissing => CloseReason::KeyMissing,
            PsamError::DataRefused => CloseReason::PsamMismatch,
            PsamError::NotAPsam
            | PsamError::Locked
            | PsamError::CounterExhausted
            | PsamError::Mac2Wrong
            | PsamError::WrongState
            | PsamError::Misbehaved(_) => {
                let service = Service::Authorising(operation);
                return self.fail_psam(Some(link), service, PsamFault::Error(error), after(error));
            }
        };
        // About this card only: one card must not put the PSAM out of service.
        self.psam_mut().fault = Some(PsamFault::Error(error));
        self.set_psam(State::Ready(link));
        if let Some((reader, visit)) = self.take_authorising(operation) {
            self.close_at(&reader, visit, reason);
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
        self.ask_to_check(link, Checking { question, dialogue });
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
        let Checking { question, dialogue } = checking;
        let result = match dialogue.handle_response(response) {
            Turn::Transmit(dialogue) => return self.ask_to_check(link, Checking { question, dialogue }),
            Turn::Done(result) => result,
        };
        match result.map_err(PsamError::from) {
            Ok(()) => {
                self.set_psam(State::Ready(link));
                self.mac2_is_right(question);
            }
            Err(error @ PsamError::Mac2Wrong) => {
                self.psam_mut().fault = Some(PsamFault::Error(error));
                self.set_psam(State::Ready(link));
                self.mac2_is_wrong(question);
            }
            Err(error) => {
                let service = Service::Checking(question);
                self.fail_psam(Some(link), service, PsamFault::Error(error), after(error));
            }
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
                let visit::State::Authorising { init, until } = visit.state else {
                    unreachable!("the visit was found by this state");
                };
                // Nothing has moved: it keeps its place in the line, and its time limit.
                self.await_psam(&reader, visit, init, until);
                self.psam_mut().queue.push_front(operation);
            }
            Service::Checking(question) => self.mac2_is_not_checked(question),
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
        self.psam_mut().fault = Some(PsamFault::RepeatsNumbers);
    }
}
