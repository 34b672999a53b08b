//! How a batch looks from outside.

use purser_ledger::{Amount, BatchStanding, Currency, OperationId, Owner, Part, Settlement};

use super::{Settling, State};

/// What is being done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchState {
    /// Its items are being counted; nothing is sealed.
    Counting,
    /// Its seal is being recorded.
    Sealing,
    /// The provider has it, or is being asked to take it.
    Sending,
    /// The provider did not answer, and will be asked again.
    Waiting,
    /// The provider's permit or void is being recorded.
    Exchanging,
    /// Its claims have left, its permit has entered.
    Exchanged,
    /// It will never be paid: its claims are free again.
    Voided,
    /// It could not be counted or sealed: there is no such batch.
    NotSealed,
}

/// A batch as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// Its number.
    pub id: OperationId,
    /// Who asked for it.
    pub owner: Owner,
    /// Its currency.
    pub currency: Currency,
    /// What is being done with it.
    pub state: BatchState,
    /// How many items it has; 0 before it is counted.
    pub count: u32,
    /// How many of them the provider has taken so far, while it is sent.
    pub sent: Option<u32>,
    /// Its claims.
    pub claims: Part,
    /// What its items owe to buyers.
    pub refunds: Amount,
    /// What its permit is worth, once it has one.
    pub total: Option<Amount>,
    /// The claims that the provider did not pay, once there is a permit.
    pub held: Option<Part>,
    /// The number of its newest journal entry; none before it is sealed.
    pub entry: Option<u64>,
    /// Why it does not get on: a name, and a sentence.
    pub why: Option<(&'static str, String)>,
}

/// The durable end of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTold {
    /// How it stands.
    pub view: BatchView,
}

impl BatchView {
    /// The view of a settlement as the journal tells it.
    pub fn of(settlement: &Settlement) -> Self {
        let sealed = &settlement.sealed;
        let (state, total, held) = match &settlement.standing {
            BatchStanding::Sealed => (BatchState::Waiting, None, None),
            BatchStanding::Exchanged(end) => (BatchState::Exchanged, Some(end.total), Some(end.held)),
            BatchStanding::Voided(_) => (BatchState::Voided, None, None),
        };
        Self {
            id: settlement.id,
            owner: sealed.owner,
            currency: sealed.currency(),
            state,
            count: sealed.count,
            sent: None,
            claims: sealed.claims,
            refunds: sealed.refunds,
            total,
            held,
            entry: Some(settlement.head.number),
            why: None,
        }
    }

    pub(super) fn under_way(currency: Currency, settling: &Settling) -> Self {
        let unsealed = |state| Self {
            id: settling.id,
            owner: settling.owner,
            currency,
            state,
            count: 0,
            sent: None,
            claims: Part::none(currency),
            refunds: Amount::zero(currency),
            total: None,
            held: None,
            entry: None,
            why: None,
        };
        let view = match &settling.state {
            State::Counting(_) => unsealed(BatchState::Counting),
            State::Sealing(_) => unsealed(BatchState::Sealing),
            State::Sending(_, sealed) => BatchView {
                sent: settling.sent,
                ..sealed.view(BatchState::Sending)
            },
            State::Waiting(_, sealed) => sealed.view(BatchState::Waiting),
            State::Exchanging(sealed, _) => sealed.view(BatchState::Exchanging),
            State::Parked(settlement) => BatchView::of(settlement),
        };
        let why = settling.why.as_ref().map(|why| (why.name, why.text.clone()));
        Self { why, ..view }
    }
}

impl super::SealedBatch {
    fn view(&self, state: BatchState) -> BatchView {
        BatchView {
            state,
            ..BatchView::of(&self.settlement)
        }
    }
}
