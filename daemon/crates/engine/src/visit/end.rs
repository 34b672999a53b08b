//! Visits that end early, or have taken too long.

use purser_ledger::{CloseReason, DeviceName};

use super::{Serving, State};
use crate::{Engine, RequestError};

impl Engine {
    /// Ends the sale at this reader before its debit. From the intent on it does nothing: the outcome answers.
    pub(crate) fn end_sale_at_card(&mut self, reader: &DeviceName, reason: CloseReason) {
        let Some(visit) = self.visits.remove(reader) else {
            return;
        };
        match visit.sale() {
            Some(operation) if !visit.is_committed_to(operation) => {
                self.close_sale(operation, reason);
                self.leave(reader, visit);
            }
            Some(_) | None => {
                self.visits.insert(reader.clone(), visit);
            }
        }
    }

    /// Ends a visit that serves no sale and has nothing to record.
    pub(crate) fn end_idle_visit(&mut self, reader: &DeviceName) {
        let Some(visit) = self.visits.remove(reader) else {
            return;
        };
        if visit.served().is_some() || matches!(visit.state, State::Leaving) {
            self.visits.insert(reader.clone(), visit);
            return;
        }
        if let Serving::Reader(request) = visit.serving {
            self.reply(request, Err(RequestError::Stopping));
        }
        self.leave(reader, visit);
    }

    pub(crate) fn handle_visit_expired(&mut self, reader: &DeviceName) {
        let mut visit = self.visits.remove(reader).expect("the caller saw the visit");
        match visit.state {
            // The end of this process ends its drivers, and they take the cards' power.
            State::Leaving if self.is_stopping => {}
            State::WaitingForPin { .. } => self.end_wait_for_pin(reader, visit, CloseReason::NoPinInTime),
            State::AwaitingPsam(_) => self.give_up_psam(reader, visit),
            State::AskingProvider(_) => self.provider_wait_expired(reader, visit),
            State::Intending { .. }
            | State::RecordingAttempt(_)
            | State::Releasing(_)
            | State::Leaving
            | State::Authorising(_)
            | State::CheckingMac2(_) => {
                // The store answers, or the process ends; the driver answers, or leaves; the PSAM has a time limit of its
                // own: there is nothing to give up here.
                visit.deadline = self.call_deadline();
                self.visits.insert(reader.clone(), visit);
            }
            _ => self.give_up_visit(reader, visit),
        }
    }
}
