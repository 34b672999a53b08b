//! The debit and its outcome (S22–S24).

use purser_ledger::{
    DeviceName, DoubtReason, Entry, JournalReceipt, Operation, OperationId, SaleVoided, VoidProof,
};
use purser_purse::CardError;
use purser_purse::Dialogue;
use purser_purse::pboc::{Attempt, Debit, DebitAnswer, Proof, Recover, Verdict};

use super::resume::{Decision, Outcome};
use crate::commits::Resolved;
use crate::visit::{State, Visit};
use crate::{Act, CallFailure, Engine, Output};

/// How long a card may take to tell what came of a debit that it did not prove, in milliseconds: several times what an honest
/// one takes for its whole log. Whoever waits for the outcome is told then that it is in doubt.
const CHECK_WAIT_MS: u64 = 20_000;

impl Engine {
    /// The intent is durable: sends DEBIT, once (S22). If the card has left meanwhile, the debit is known not to have been sent.
    pub(crate) fn send_debit(&mut self, operation: &Operation, receipt: JournalReceipt) {
        let Some((reader, mut visit)) = self.take_intending(operation.id) else {
            let voided = SaleVoided {
                amount: operation.amount,
                proof: VoidProof::NotSent,
            };
            self.change_open(operation.id, Entry::SaleVoided(voided), Resolved::Tell);
            return;
        };
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

    /// The card answered the debit. Only 9000 with a valid MAC2 is a payment; all else is asked about at once (money rule P2).
    pub(crate) fn debit_answered(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        attempt: Attempt,
        result: Result<DebitAnswer, CardError>,
    ) {
        let operation = visit.sale().expect("a debit belongs to a sale");
        match result {
            Ok(answer) if self.sam.check_mac2(&attempt, answer.mac2) == Ok(true) => {
                let outcome = Outcome::Paid {
                    answer: Some(answer),
                    proof: Proof::Mac2Verified,
                    at_debit: true,
                };
                self.decide(reader, visit, Decision { operation, outcome });
            }
            Ok(_) | Err(_) => {
                let recover = self.recovery(&visit, attempt);
                visit.checked_until = Some(self.now.monotonic.after_ms(CHECK_WAIT_MS));
                let state = move |dialogue: Recover| State::CheckingDebit(operation, dialogue);
                self.transmit(reader, visit, recover, state);
            }
        }
    }

    /// The card was asked at once what came of a debit without a valid answer.
    pub(crate) fn debit_checked(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        operation: OperationId,
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
            Ok(Verdict::AnotherHappened) => Outcome::Voided(VoidProof::OtherDebit),
            // A card that has just failed to prove the debit is not believed when its log claims it.
            Ok(Verdict::Happened { .. } | Verdict::PinNeeded | Verdict::InDoubt(_)) | Err(_) => {
                Outcome::InDoubt(DoubtReason::AnswerInvalid)
            }
        };
        self.decide(reader, visit, Decision { operation, outcome });
    }

    /// The answer to the debit is lost: the sale is in doubt until its card is presented again.
    pub(crate) fn lose_debit(&mut self, reader: &DeviceName, visit: &Visit, failure: CallFailure) {
        let Some(operation) = visit.sale() else { return };
        self.devices.set_unresolved(reader);
        if matches!(visit.state, State::Debiting { .. } | State::CheckingDebit(..)) {
            let reason = match failure {
                CallFailure::DriverLost | CallFailure::DeviceGone => DoubtReason::DriverLost,
                _ => DoubtReason::AnswerLost,
            };
            self.record(Decision {
                operation,
                outcome: Outcome::InDoubt(reason),
            });
        }
    }
}
