//! What the PSAM says of a MAC2, and what follows for the sale (money rules P2, P6).
//!
//! | the PSAM says | about the answer to the debit | about PROVE, after a garbled answer | about PROVE, when the card came back |
//! | --- | --- | --- | --- |
//! | right | paid | paid | paid |
//! | wrong | the card is asked: not debited, else in doubt | in doubt | provider asked |
//! | it has lost its power | the card is asked: its counter and log decide | in doubt | paid, MAC2 not checked |
//! | nothing, or no | the card is asked: not debited, else in doubt | in doubt | provider asked |
//! | it was busy, and not asked | the same | in doubt | it stays in doubt |
//!
//! *It has lost its power* is what the PSAM's reader tells; a PSAM that refuses, takes too long or loses its driver says nothing: a
//! card that answers slowly, at a reader of the same driver, can have that. Another sale's INIT_SAM ends what the PSAM can check
//! just as a lost power does, and any card can have that: then counter and log decide when a torn card comes back (money rule P1).
//!
//! In doubt for a wrong MAC2 is a dispute: no later log record makes it a payment, only a MAC2 that verifies. So is one that the
//! PSAM did not tell about: the provider is asked, unless the PSAM can still be. Where MAC2 is
//! right nothing else is asked. An answer that was not checked is kept with the doubt: its TAC is what the provider pays for.

use purser_ledger::{CloseReason, DeviceName, DoubtReason, OperationId, QueryReason, Standing};
use purser_purse::pboc::{DebitAnswer, Proof, Recover};

use super::CHECK_WAIT_MS;
use super::resume::{Decision, Outcome, attempt_of};
use crate::psam::{AskedAt, Known, Question, Unchecked};
use crate::visit::{Serving, State, Visit};
use crate::{Engine, LoadRefusal, RequestError};

impl Engine {
    /// The card answered the debit with a TAC and a MAC2 that only the PSAM can check.
    pub(crate) fn ask_psam_about(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        operation: OperationId,
        answer: DebitAnswer,
    ) {
        if self.is_open_in_psam(operation) {
            let asked_at = AskedAt::Debit;
            let question = Question {
                operation,
                answer,
                asked_at,
            };
            self.check_mac2(reader, visit, question);
        } else {
            let unpowered = self.psam_card().and_then(|psam| psam.unpowered);
            let known = if unpowered == Some(operation) {
                Known::NotChecked(answer)
            } else {
                Known::Unanswered(answer)
            };
            self.check_debit(reader, visit, operation, known);
        }
    }

    /// Asks the card at once what came of its debit: its counter has to be read (money rule P2).
    pub(crate) fn check_debit(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        operation: OperationId,
        known: Known,
    ) {
        let attempt = self.open.get(&operation).and_then(attempt_of);
        let recover = self.recovery(&visit, attempt.expect("the intent of a debit is stored"));
        visit.checked_until = Some(self.now.monotonic.after_ms(CHECK_WAIT_MS));
        let state = move |dialogue: Recover| State::CheckingDebit {
            operation,
            known,
            dialogue,
        };
        self.transmit(reader, visit, recover, state);
    }

    /// The PSAM says that MAC2 is the card's.
    pub(crate) fn mac2_is_right(&mut self, question: Question) {
        let outcome = Outcome::Paid {
            answer: Some(question.answer),
            proof: Proof::Mac2Verified,
            at_debit: question.asked_at == AskedAt::Debit,
        };
        self.end_question(question.operation, outcome);
    }

    /// The PSAM says that MAC2 is not the card's.
    pub(crate) fn mac2_is_wrong(&mut self, question: Question) {
        let Question {
            operation, answer, ..
        } = question;
        let doubt = Outcome::InDoubt(DoubtReason::Mac2Refused, Some(answer));
        match question.asked_at {
            AskedAt::Debit => self.ask_card(operation, Known::Refused(answer), doubt),
            AskedAt::Check => self.end_question(operation, doubt),
            AskedAt::Return => {
                self.end_question(
                    operation,
                    Outcome::Queried(QueryReason::CardContradicts, Some(answer)),
                );
            }
        }
    }

    /// The PSAM did not tell.
    pub(crate) fn mac2_is_not_checked(&mut self, question: Question, how: Unchecked) {
        let Question {
            operation, answer, ..
        } = question;
        let known = match how {
            Unchecked::PowerLost => Known::NotChecked(answer),
            Unchecked::Unanswered | Unchecked::NotAsked => Known::Unanswered(answer),
        };
        let doubt = Outcome::InDoubt(known.doubt_or(DoubtReason::AnswerInvalid), Some(answer));
        match (question.asked_at, known) {
            (AskedAt::Debit, _) => self.ask_card(operation, known, doubt),
            (AskedAt::Check, _) => self.end_question(operation, doubt),
            (AskedAt::Return, Known::NotChecked(_)) if !self.was_unanswered(operation) => {
                let outcome = Outcome::Paid {
                    answer: Some(answer),
                    proof: Proof::Mac2NotCheckable,
                    at_debit: false,
                };
                self.end_question(operation, outcome);
            }
            (AskedAt::Return, _) if how == Unchecked::NotAsked => self.stay_in_doubt(operation),
            // It can be asked no more: were this forgotten, the card's word alone would pay at its next visit.
            (AskedAt::Return, _) => {
                self.end_question(
                    operation,
                    Outcome::Queried(QueryReason::Mac2Unproven, Some(answer)),
                );
            }
        }
    }

    /// True for a sale that is in doubt because the PSAM did not tell about its MAC2.
    pub(crate) fn was_unanswered(&self, operation: OperationId) -> bool {
        let standing = self.open.get(&operation).map(|operation| &operation.standing);
        standing == Some(&Standing::InDoubt(DoubtReason::Mac2Unanswered))
    }

    /// An earlier payment stays in doubt, and its card keeps the proof: it is not debited again, and is asked again when it is
    /// put in again.
    fn stay_in_doubt(&mut self, operation: OperationId) {
        let Some((reader, visit)) = self.take_checking_mac2(operation) else {
            return;
        };
        self.devices.set_resolved(&reader);
        match visit.serving {
            Serving::Sale(_) => self.close_at(&reader, visit, CloseReason::PsamNotReady),
            Serving::Load(_) => {
                self.refuse_load(&reader, visit, LoadRefusal::Card(CloseReason::PsamNotReady));
            }
            Serving::Reader(request) => {
                self.reply(request, Err(RequestError::CardNotReadable));
                self.leave(&reader, visit);
            }
            Serving::Nobody => self.leave(&reader, visit),
        }
    }

    /// Asks the card, if it is still there; else the sale ends so.
    fn ask_card(&mut self, operation: OperationId, known: Known, otherwise: Outcome) {
        match self.take_checking_mac2(operation) {
            Some((reader, visit)) => self.check_debit(&reader, visit, operation, known),
            None => self.record(Decision {
                operation,
                outcome: otherwise,
            }),
        }
    }

    /// Records what the answer came to; the visit that waited for it goes on.
    fn end_question(&mut self, operation: OperationId, outcome: Outcome) {
        let decision = Decision { operation, outcome };
        match self.take_checking_mac2(operation) {
            Some((reader, visit)) => self.decide(&reader, visit, decision),
            None => self.record(decision),
        }
    }
}
