//! Commits on their way to the store, and what follows when they are durable or refused.

use purser_ledger::{
    Commit, Entry, JournalReceipt, Operation, OperationId, Refused, SaleConcluded, SaleInDoubt, Standing,
};

use crate::sale::Phase;
use crate::{Engine, Output, Reply, RequestError, RequestId, SaleView, Told};

/// An operation's commit that is on its way to the store.
#[derive(Debug)]
pub(crate) struct Changing {
    pub(crate) commit: Commit,
    /// The operation as the commits before this one left it; none for its first commit.
    pub(crate) before: Option<Operation>,
    pub(crate) then: Resolved,
}

/// What follows when a commit is durable.
#[derive(Debug)]
pub(crate) enum Resolved {
    /// The debit may be sent (S22).
    Debit,
    /// The outcome is told to all who wait for it.
    Tell,
    /// The conclusion is told to the one who asked for it.
    Conclude(RequestId),
    /// The claim is presented again.
    PresentAgain,
}

impl Engine {
    pub(crate) fn put_interrupted_sales_in_doubt(&mut self) {
        let interrupted: Vec<_> = self
            .open
            .values()
            .filter(|operation| operation.standing == Standing::Intended)
            .cloned()
            .collect();
        for operation in interrupted {
            let reason = purser_ledger::DoubtReason::Restarted;
            self.change_open(
                operation.id,
                Entry::SaleInDoubt(SaleInDoubt { reason, answer: None }),
                Resolved::Tell,
            );
        }
    }

    /// Sends an open operation's next entry to the store.
    pub(crate) fn change_open(&mut self, id: OperationId, entry: Entry, then: Resolved) {
        let operation = self
            .open
            .get(&id)
            .expect("the caller saw the operation open")
            .clone();
        self.change(operation, entry, then);
    }

    /// Sends an operation's next entry to the store.
    pub(crate) fn change(&mut self, operation: Operation, entry: Entry, then: Resolved) {
        if let Some(sale) = self.sale_mut(operation.id) {
            sale.phase = Phase::Recording;
        }
        let at = self.stamp();
        let commit = Commit {
            operation: operation.id,
            step: operation.next_step,
            at,
            entry,
        };
        self.commit(commit, Some(operation), then);
    }

    /// True while a commit of the operation is on its way.
    pub(crate) fn is_changing(&self, id: OperationId) -> bool {
        self.changing.contains_key(&id)
    }

    pub(crate) fn handle_committed(&mut self, receipt: JournalReceipt) {
        let Some(receipt) = self.handle_batch_committed(receipt) else {
            return;
        };
        let Some(receipt) = self.handle_load_committed(receipt) else {
            return;
        };
        let id = receipt.operation();
        let changing = self
            .changing
            .remove(&id)
            .expect("a receipt answers a commit that was sent");
        assert!(
            changing.commit.step == receipt.step(),
            "a receipt answers the commit that was sent"
        );
        self.count_claim(&changing.commit);
        let operation = fold(changing.commit, changing.before, receipt.head());
        if operation.is_open() {
            self.open.insert(id, operation.clone());
        } else {
            self.open.remove(&id);
        }
        match changing.then {
            Resolved::Debit => self.send_debit(&operation, receipt),
            Resolved::Tell => self.tell(&operation, receipt, Vec::new()),
            Resolved::Conclude(request) => self.tell(&operation, receipt, vec![request]),
            Resolved::PresentAgain => {
                self.tell(&operation, receipt, Vec::new());
                self.handle_presented(Ok(operation.amount));
            }
        }
        self.record_decisions();
    }

    fn tell(&mut self, operation: &Operation, receipt: JournalReceipt, mut requests: Vec<RequestId>) {
        if let Some(index) = self.sales.iter().position(|sale| sale.operation == operation.id) {
            requests.extend(self.sales.remove(index).waiting);
        }
        let told = Told {
            requests,
            view: SaleView::of(operation),
        };
        self.outputs.push_back(Output::Tell(receipt.authorise(told)));
    }

    pub(crate) fn handle_refused(&mut self, id: OperationId, step: u8, refused: Refused) {
        if self.handle_batch_refused(id, refused) || self.handle_load_refused(id, step, refused) {
            return;
        }
        let changing = self
            .changing
            .remove(&id)
            .expect("a refusal answers a commit that was sent");
        assert!(
            changing.commit.step == step,
            "a refusal answers the commit that was sent"
        );
        match (changing.then, changing.commit.entry) {
            (Resolved::Conclude(request), Entry::SaleConcluded(_)) => {
                self.reply(request, Err(RequestError::Refused(refused)));
            }
            (Resolved::PresentAgain, _) => self.handle_presented(Err(RequestError::Refused(refused))),
            (Resolved::Debit, Entry::SaleIntended(_)) => self.handle_intent_refused(id, refused),
            (Resolved::Tell, Entry::SaleClosed(_)) => self.forget_sale(id, refused),
            (_, entry) => {
                // Evidence that the store does not take is a broken invariant: end the process, and let the card tell
                // after the restart what became of its money.
                unreachable!(
                    "the store refuses {entry:?} for an operation that reserved its room: {refused}"
                );
            }
        }
        self.record_decisions();
    }

    pub(crate) fn conclude(
        &mut self,
        request: RequestId,
        operation: Operation,
        conclusion: purser_ledger::Conclusion,
    ) {
        let refund_owed = operation.owed_when(conclusion);
        let entry = Entry::SaleConcluded(SaleConcluded {
            conclusion,
            refund_owed,
        });
        self.change(operation, entry, Resolved::Conclude(request));
    }

    pub(crate) fn reply(&mut self, request: RequestId, reply: Result<Reply, RequestError>) {
        self.outputs.push_back(Output::Reply(request, reply));
    }
}

fn fold(commit: Commit, before: Option<Operation>, head: purser_ledger::Head) -> Operation {
    let content = commit.content();
    match before {
        None => Operation::begin(&content, head).expect("the store took the entry by the same rules"),
        Some(mut operation) => {
            operation
                .apply(&content, head)
                .expect("the store took the entry by the same rules");
            operation
        }
    }
}
