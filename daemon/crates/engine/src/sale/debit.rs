//! The debit and its outcome (S22–S24).

use purser_ledger::{
    DeviceName, DoubtReason, Entry, JournalReceipt, Operation, OperationId, SaleVoided, VoidProof,
};
use purser_purse::CardError;
use purser_purse::Dialogue;
use purser_purse::pboc::{Attempt, Debit, DebitAnswer, Proof, Verdict};

use super::resume::{Decision, Outcome};
use crate::commits::Resolved;
use crate::psam::{AskedAt, Known, Question};
use crate::visit::{State, Visit};
use crate::{Act, CallFailure, Engine, Output};

/// How long a card may take to tell what came of a debit that it did not prove, in milliseconds: several times what an honest
/// one takes for its whole log. Whoever waits for the outcome is told then that it is in doubt.
pub(crate) const CHECK_WAIT_MS: u64 = 20_000;

impl Engine {
    /// The intent is durable: sends DEBIT, once (S22). If card or PSAM have left meanwhile, it is not sent; the terminal SN is
    /// used up.
    pub(crate) fn send_debit(&mut self, operation: &Operation, receipt: JournalReceipt) {
        let Some((reader, mut visit)) = self.take_intending(operation.id) else {
            self.void_unsent(operation);
            return;
        };
        let is_card_in = visit.has_its_card(&reader, &self.devices);
        if !is_card_in || (self.psam_card().is_some() && !self.is_open_in_psam(operation.id)) {
            // The card is known to be gone, or the PSAM, which could not check the card's answer: better not to debit at all.
            self.void_unsent(operation);
            self.leave(&reader, visit);
            return;
        }
        let State::Intending { attempt, mac1 } = std::mem::replace(&mut visit.state, State::Leaving) else {
            unreachable!("the visit was found by this state");
        };
        let dialogue = Debit::new(&attempt, &mac1, visit.protocol());
        let connection = visit
            .connection
            .expect("a card that answered is connected")
            .number;
        let act = Act::Debit {
            connection,
            command: dialogue.command().clone(),
        };
        let call = self.next_call();
        self.outputs
            .push_back(Output::Move(call, reader.clone(), receipt.authorise(act)));
        visit.call = Some(call);
        visit.deadline = self.call_deadline();
        visit.state = State::Debiting { attempt, dialogue };
        self.visits.insert(reader, visit);
    }

    fn void_unsent(&mut self, operation: &Operation) {
        let voided = SaleVoided {
            amount: operation.amount,
            proof: VoidProof::NotSent,
            answer: None,
        };
        self.change_open(operation.id, Entry::SaleVoided(voided), Resolved::Tell);
    }

    /// The card answered the debit. Only 9000 with a valid MAC2 is a payment; all else is asked about at once (money rule P2).
    pub(crate) fn debit_answered(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        attempt: &Attempt,
        result: Result<DebitAnswer, CardError>,
    ) {
        let operation = visit.sale().expect("a debit belongs to a sale");
        match result {
            Ok(answer) if self.psam_card().is_some() => {
                self.ask_psam_about(reader, visit, operation, answer);
            }
            Ok(answer) if self.sam.check(attempt, answer) == Some(true) => {
                let outcome = Outcome::Paid {
                    answer: Some(answer),
                    proof: Proof::Mac2Verified,
                    at_debit: true,
                };
                self.decide(reader, visit, Decision { operation, outcome });
            }
            Ok(answer) => self.check_debit(reader, visit, operation, Known::Invalid(answer)),
            Err(_) => self.check_debit(reader, visit, operation, Known::Nothing),
        }
    }

    /// The card was asked at once what came of a debit without a proof.
    pub(crate) fn debit_checked(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        operation: OperationId,
        known: Known,
        result: Result<Verdict, CardError>,
    ) {
        let outcome = match result {
            Ok(Verdict::Happened {
                answer,
                proof: proof @ Proof::Mac2Verified,
            }) => Outcome::Paid {
                answer,
                proof,
                at_debit: false,
            },
            Ok(Verdict::DidNotHappen) => Outcome::Voided(VoidProof::CounterUnchanged),
            // Nobody else could debit it since INITIALIZE: a card that says so contradicts itself, and may have paid.
            Ok(Verdict::AnotherHappened) => in_doubt(known),
            Ok(Verdict::Happened {
                answer: proved,
                proof,
            }) => match (known, proved, proof) {
                // Counter and log say what the answer said; only MAC2 could not be checked, and the claim tells so (P6).
                (Known::NotChecked(answer), _, _) if proved.is_none_or(|proved| proved == answer) => {
                    Outcome::Paid {
                        answer: Some(answer),
                        proof: Proof::Mac2NotCheckable,
                        at_debit: false,
                    }
                }
                (Known::Nothing, Some(answer), Proof::Mac2NotCheckable)
                    if self.is_open_in_psam(operation) =>
                {
                    let asked_at = AskedAt::Check;
                    let question = Question {
                        operation,
                        answer,
                        asked_at,
                    };
                    return self.check_mac2(reader, visit, question);
                }
                // A card that has just failed to prove the debit is not believed when its log claims it.
                _ => in_doubt(known),
            },
            Ok(Verdict::PinNeeded | Verdict::InDoubt(_)) | Err(_) => in_doubt(known),
        };
        self.decide(reader, visit, Decision { operation, outcome });
    }

    /// The answer to the debit is lost: the sale is in doubt until its card is presented again.
    pub(crate) fn lose_debit(&mut self, reader: &DeviceName, visit: &Visit, failure: CallFailure) {
        let Some(operation) = visit.sale() else { return };
        self.devices.set_unresolved(reader);
        let known = match visit.state {
            State::Debiting { .. } => Known::Nothing,
            State::CheckingDebit { known, .. } => known,
            _ => return,
        };
        let lost = match failure {
            CallFailure::DriverLost | CallFailure::DeviceGone => DoubtReason::DriverLost,
            _ => DoubtReason::AnswerLost,
        };
        let outcome = Outcome::InDoubt(known.doubt_or(lost), known.answer());
        self.record(Decision { operation, outcome });
    }
}

fn in_doubt(known: Known) -> Outcome {
    Outcome::InDoubt(known.doubt_or(DoubtReason::AnswerInvalid), known.answer())
}
