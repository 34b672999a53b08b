//! What the PSAM says of a MAC2, and what follows for the sale (money rules P2, P6).
//!
//! | the PSAM says | about the answer to the debit | about PROVE, after a garbled answer | about PROVE, when the card came back |
//! | --- | --- | --- | --- |
//! | right | paid | paid | paid |
//! | wrong | the card is asked: not debited, else in doubt | in doubt | provider asked |
//! | nothing | the card is asked: its counter and log decide | in doubt | paid, MAC2 not checked |
//!
//! In doubt for a wrong MAC2 is a dispute: no later log record makes it a payment, only a MAC2 that verifies. Where MAC2 is
//! right nothing else is asked. An answer that was not checked is kept with the doubt: its TAC is what the provider pays for.

use purser_ledger::{DeviceName, DoubtReason, OperationId, QueryReason};
use purser_purse::pboc::{DebitAnswer, Proof, Recover};

use super::debit::CHECK_WAIT_MS;
use super::resume::{Decision, Outcome, attempt_of};
use crate::Engine;
use crate::psam::{AskedAt, Known, Question};
use crate::visit::{State, Visit};

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
            self.check_debit(reader, visit, operation, Known::NotChecked(answer));
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
                self.end_question(operation, Outcome::Queried(QueryReason::CardContradicts));
            }
        }
    }

    /// The PSAM was lost before it could tell.
    pub(crate) fn mac2_is_not_checked(&mut self, question: Question) {
        let Question {
            operation, answer, ..
        } = question;
        let doubt = Outcome::InDoubt(DoubtReason::Mac2NotChecked, Some(answer));
        match question.asked_at {
            AskedAt::Debit => self.ask_card(operation, Known::NotChecked(answer), doubt),
            AskedAt::Check => self.end_question(operation, doubt),
            AskedAt::Return => {
                let outcome = Outcome::Paid {
                    answer: Some(answer),
                    proof: Proof::Mac2NotCheckable,
                    at_debit: false,
                };
                self.end_question(operation, outcome);
            }
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
