//! Finding out what became of an earlier payment: after a crash, a tear, a dead driver (money rules P1, P2, P6).

use purser_ledger::{
    Conclusion, DeviceName, DoubtReason, Entry, Operation, OperationId, PaidProof, QueryReason, SaleInDoubt,
    SalePaid, SaleQueried, SaleVoided, Scheme, SchemeBytes, Standing, VoidProof,
};
use purser_purse::CardError;
use purser_purse::pboc::{
    Attempt, ClaimEvidence, DebitAnswer, PinState, Proof, PurseAmount, Recover, Verdict,
};

use crate::Engine;
use crate::commits::Resolved;
use crate::psam::{AskedAt, Question};
use crate::visit::{State, Visit, card_id};

/// The outcome of one debit, ready to be recorded.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) operation: OperationId,
    pub(crate) outcome: Outcome,
}

/// What became of a debit.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Paid {
        answer: Option<DebitAnswer>,
        proof: Proof,
        /// True when the proof is the answer to the debit itself.
        at_debit: bool,
    },
    Voided(VoidProof),
    /// With the card's answer, where it gave one whose MAC2 was not found right.
    InDoubt(DoubtReason, Option<DebitAnswer>),
    /// With the proof that the card handed out, where that may be right.
    Queried(QueryReason, Option<DebitAnswer>),
}

/// What follows when a card says that its earlier debit happened.
enum Later {
    Known(Outcome),
    /// The PSAM has that debit open still, and is asked.
    Ask(Question),
}

impl Engine {
    /// An open payment of whose debit nothing can be told keeps its card from being debited: the card's next debit would
    /// overwrite the only proof (money rule P1).
    pub(crate) fn hold_cards_that_cannot_be_asked(&mut self) {
        let cannot_be_asked =
            |operation: &&Operation| operation.waits_for_card() && attempt_of(operation).is_none();
        let keys = self
            .open
            .values()
            .filter(cannot_be_asked)
            .filter_map(Operation::key);
        self.held.extend(keys.map(|key| key.card.clone()));
    }

    /// A payment with this card whose outcome the card can tell and has not been asked for in this visit.
    pub(crate) fn earlier_payment(&self, visit: &Visit) -> Option<(OperationId, Attempt)> {
        let card = visit.card.as_ref()?;
        let id = card_id(card);
        let of_this_card = |operation: &&Operation| {
            self.can_be_asked(operation)
                && operation.key().is_some_and(|key| key.card == id)
                && !visit.asked.contains(&operation.id)
        };
        self.open.values().filter(of_this_card).find_map(|operation| {
            let attempt = attempt_of(operation)?;
            attempt.is_of(card).then_some((operation.id, attempt))
        })
    }

    /// True for a debit that a card can still tell about. One that is under way at its own reader is decided there, by its
    /// own answer, whatever another card says.
    pub(crate) fn can_be_asked(&self, operation: &Operation) -> bool {
        operation.waits_for_card() && self.sale(operation.id).is_none()
    }

    /// Asks the card what became of an earlier payment.
    pub(crate) fn ask_about(
        &mut self,
        reader: &DeviceName,
        visit: Visit,
        operation: OperationId,
        attempt: &Attempt,
    ) {
        let recover = self.recovery(&visit, attempt.clone());
        let state = move |dialogue: Recover| State::Recovering(operation, dialogue);
        self.transmit(reader, visit, recover, state);
    }

    pub(crate) fn recovery(&self, visit: &Visit, attempt: Attempt) -> Recover {
        let pin = if visit.pin_verified {
            PinState::Verified
        } else {
            PinState::NotVerified
        };
        Recover::new(
            attempt.clone(),
            self.sam.mac2_check(&attempt),
            pin,
            visit.protocol(),
        )
    }

    /// The card was asked about an earlier payment.
    pub(crate) fn recovered(
        &mut self,
        reader: &DeviceName,
        mut visit: Visit,
        operation: OperationId,
        result: Result<Verdict, CardError>,
    ) {
        let outcome = match result {
            Ok(Verdict::Happened { answer, proof }) => match self.proven_later(operation, answer, proof) {
                Later::Known(outcome) => outcome,
                Later::Ask(question) => {
                    visit.asked.insert(operation);
                    return self.check_mac2(reader, visit, question);
                }
            },
            Ok(Verdict::DidNotHappen) => Outcome::Voided(VoidProof::CounterUnchanged),
            // It gave an answer to the debit once: that TAC is worth asking the provider about.
            Ok(Verdict::AnotherHappened) if self.has_answered(operation) => {
                Outcome::Queried(QueryReason::CardContradicts, None)
            }
            Ok(Verdict::AnotherHappened) => Outcome::Voided(VoidProof::OtherDebit),
            Ok(Verdict::InDoubt(reason)) if is_final(reason, &visit) => {
                Outcome::Queried(query_reason(reason), None)
            }
            Ok(Verdict::PinNeeded) if visit.pin_verified => Outcome::Queried(QueryReason::CardRefuses, None),
            Ok(Verdict::PinNeeded) if self.can_have_pin(reader, &visit) => {
                return self.wait_for_pin(reader, visit);
            }
            Ok(Verdict::PinNeeded | Verdict::InDoubt(_)) => {
                // Nobody can type the PIN, or the card refuses for a reason that may pass: it is asked again when it is
                // presented again, and may buy meanwhile (money rule P1).
                visit.asked.insert(operation);
                return self.advance(reader, visit);
            }
            Err(error) => {
                // No verdict: the payment stays in doubt, and what the card is here for waits (money rule P1).
                return self.refuse_card(reader, visit, error);
            }
        };
        visit.asked.insert(operation);
        self.decide(reader, visit, Decision { operation, outcome });
    }

    /// True for a payment whose card gave an answer to the debit that was not found right.
    fn has_answered(&self, operation: OperationId) -> bool {
        let operation = self.open.get(&operation);
        operation.is_some_and(|operation| operation.unproven_answer.is_some())
    }

    /// What a card's word that its earlier debit happened comes to.
    fn proven_later(&self, id: OperationId, proved: Option<DebitAnswer>, proof: Proof) -> Later {
        let paid = |answer, proof| {
            Later::Known(Outcome::Paid {
                answer,
                proof,
                at_debit: false,
            })
        };
        let Some(operation) = self.open.get(&id) else {
            return paid(proved, proof);
        };
        let is_disputed = operation.standing == Standing::InDoubt(DoubtReason::Mac2Refused);
        let stored = operation.unproven_answer.as_ref();
        let stored = stored.and_then(|bytes| DebitAnswer::decode(bytes.bytes()).ok());
        let verifies = |answer| attempt_of(operation).and_then(|attempt| self.sam.check(&attempt, answer));
        match (proof, proved, stored) {
            (Proof::Mac2Verified, _, _) => paid(proved, proof),
            (_, _, Some(stored)) if verifies(stored) == Some(true) => paid(Some(stored), Proof::Mac2Verified),
            // Its MAC2 was found wrong once: no log record makes that good.
            _ if is_disputed => Later::Known(Outcome::Queried(QueryReason::CardContradicts, proved)),
            (Proof::Mac2NotCheckable, Some(answer), _) if self.is_open_in_psam(id) => Later::Ask(Question {
                operation: id,
                answer,
                asked_at: AskedAt::Return,
            }),
            // Nor one that the PSAM did not tell about, and now cannot.
            _ if self.was_unanswered(id) => Later::Known(Outcome::Queried(QueryReason::Mac2Unproven, proved)),
            // The card has lost its TAC meanwhile, and the journal has it.
            (Proof::LogRecord, None, Some(stored)) if verifies(stored).is_none() => {
                paid(Some(stored), Proof::Mac2NotCheckable)
            }
            _ => paid(proved, proof),
        }
    }

    /// Records an outcome; then the visit goes on, or ends with its own sale.
    pub(crate) fn decide(&mut self, reader: &DeviceName, visit: Visit, decision: Decision) {
        let is_own = visit.sale() == Some(decision.operation);
        self.record(decision);
        if is_own {
            self.leave(reader, visit);
        } else {
            self.advance(reader, visit);
        }
    }

    /// Sends the outcome's entry to the store, or holds it while another entry of the operation is on its way.
    pub(crate) fn record(&mut self, decision: Decision) {
        if self.is_changing(decision.operation) {
            self.decided.push(decision);
            return;
        }
        let Some(operation) = self.open.get(&decision.operation) else {
            return;
        };
        let entry = entry_for(operation, decision.outcome);
        // A card can be asked twice before the first answer is recorded: the later one then has nothing to add.
        if operation.admits(&entry) {
            self.change_open(decision.operation, entry, Resolved::Tell);
        }
    }

    /// Takes up the outcomes that waited for another entry of their operation.
    pub(crate) fn record_decisions(&mut self) {
        let decided = std::mem::take(&mut self.decided);
        let (waiting, ready): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|it| self.is_changing(it.operation));
        self.decided = waiting;
        for decision in ready {
            self.record(decision);
        }
    }
}

fn query_reason(reason: purser_purse::pboc::DoubtReason) -> QueryReason {
    use purser_purse::pboc::DoubtReason;
    match reason {
        DoubtReason::NotInLog => QueryReason::CardMovedOn,
        DoubtReason::LogNotReadable { .. } | DoubtReason::CounterNotReadable { .. } => {
            QueryReason::CardRefuses
        }
        DoubtReason::CounterWentDown | DoubtReason::ProofWithoutDebit => QueryReason::CardContradicts,
    }
}

/// True where asking the same card again would give the same answer.
fn is_final(reason: purser_purse::pboc::DoubtReason, visit: &Visit) -> bool {
    use purser_purse::pboc::DoubtReason;
    match reason {
        DoubtReason::NotInLog | DoubtReason::CounterWentDown | DoubtReason::ProofWithoutDebit => true,
        DoubtReason::LogNotReadable { .. } | DoubtReason::CounterNotReadable { .. } => visit.pin_verified,
    }
}

pub(crate) fn attempt_of(operation: &Operation) -> Option<Attempt> {
    Attempt::decode(operation.intended.as_ref()?.attempt.bytes()).ok()
}

fn entry_for(operation: &Operation, outcome: Outcome) -> Entry {
    let amount = operation.amount;
    match outcome {
        Outcome::Voided(proof) => Entry::SaleVoided(SaleVoided {
            amount,
            proof,
            answer: None,
        }),
        Outcome::InDoubt(reason, answer) => Entry::SaleInDoubt(SaleInDoubt {
            reason,
            answer: answer.map(stored_answer),
        }),
        Outcome::Queried(reason, answer) => Entry::SaleQueried(SaleQueried {
            reason,
            answer: answer.map(stored_answer),
        }),
        Outcome::Paid {
            answer,
            proof,
            at_debit,
        } => {
            let attempt = attempt_of(operation).expect("the attempt was read when the card was asked");
            let left = attempt
                .old_balance
                .minor()
                .checked_sub(attempt.amount.minor())
                .filter(|_| at_debit);
            let balance_after = left.map(|left| PurseAmount::new(left).in_currency(amount.currency()));
            let evidence =
                ClaimEvidence::new(attempt, answer, proof).expect("a proof by MAC2 comes with the answer");
            Entry::SalePaid(SalePaid {
                amount,
                proof: paid_proof(proof, at_debit),
                evidence: SchemeBytes::new(Scheme::Pboc, evidence.encode()).expect("evidence is short"),
                balance_after,
                refund_owed: operation.conclusion == Some(Conclusion::Abandoned),
                answer: None,
            })
        }
    }
}

fn stored_answer(answer: DebitAnswer) -> SchemeBytes {
    SchemeBytes::new(Scheme::Pboc, answer.encode()).expect("an answer is short")
}

fn paid_proof(proof: Proof, at_debit: bool) -> PaidProof {
    match proof {
        Proof::Mac2Verified if at_debit => PaidProof::Answer,
        Proof::Mac2Verified => PaidProof::Prove,
        Proof::Mac2NotCheckable => PaidProof::ProveNotCheckable,
        Proof::LogRecord => PaidProof::LogOnly,
        Proof::Provider => PaidProof::Provider,
    }
}
