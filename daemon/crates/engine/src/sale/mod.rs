//! The sale (S20–S24): from the caller's request to a durable outcome.
//!
//! ```text
//!  BeginSale ─► Checking ─► WaitingForCard ─► AtCard ─────────────► told: paid, not debited, in doubt
//!                  │  known      │  │  ▲        │ │
//!                  ▼             │  │  └ card ──┘ │ (declined, cancelled, no PIN, stop)
//!            told as stored      │  │   pulled    │
//!                                ▼  ▼  early      ▼
//!                               (cancel,) ─────► Ending ─► told: closed
//!                               (no card)
//! ```
//! Up to `Ending` and up to the intent's commit inside `AtCard` ([`crate::visit`]) nothing is stored: after a crash there the
//! reference is unknown and may be used again. From the intent on, the sale ends by its outcome only; a cancel then waits for
//! that outcome and is answered with it.

mod debit;
mod proof;
mod resume;
mod serve;

use purser_ledger::{
    Asked, CloseReason, Commit, DeviceName, Entry, Kind, Monotonic, OperationId, Owner, Refused, SaleClosed,
};

pub(crate) use debit::CHECK_WAIT_MS;

#[cfg(test)]
pub(crate) use resume::Outcome;
pub(crate) use resume::{Decision, attempt_of};

use crate::commits::Resolved;
use crate::devices::CardAt;
use crate::visit::Serving;
use crate::{BeginSale, Engine, Output, Progress, RequestError, RequestId, SaleView};

/// How many sales may be under way: more than any till has readers, few enough to keep every list short.
pub(crate) const SALES_MAX: usize = 64;

/// How many requests may wait for one sale's outcome: a till asks once or twice, a loop asks for ever.
pub(crate) const WAITING_MAX: usize = 16;

/// How often one sale begins with a card anew, when cards are pulled out early or readers fail: bounds a flapping contact.
pub(crate) const PRESENTATIONS_MAX: u8 = 20;

/// A sale under way.
#[derive(Debug)]
pub(crate) struct Sale {
    pub(crate) operation: OperationId,
    pub(crate) owner: Owner,
    pub(crate) asked: BeginSale,
    pub(crate) phase: Phase,
    /// Requests that are answered with the outcome.
    pub(crate) waiting: Vec<RequestId>,
    /// When the phase ends by itself.
    pub(crate) deadline: Option<Monotonic>,
    pub(crate) presentations: u8,
    hinted: Option<Progress>,
}

/// Where a sale under way is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The store is asked whether the reference is known.
    Checking {
        /// The request to answer.
        begun_by: RequestId,
        /// A cancel came meanwhile.
        cancelled: bool,
    },
    /// Waiting for a card (S20).
    WaitingForCard,
    /// A card is being served at this reader.
    AtCard(DeviceName),
    /// The outcome of its debit is on its way to the journal.
    Recording,
    /// The closing entry is on its way.
    Ending,
}

impl Sale {
    pub(crate) fn new(operation: OperationId, owner: Owner, asked: BeginSale, begun_by: RequestId) -> Self {
        Self {
            operation,
            owner,
            asked,
            phase: Phase::Checking {
                begun_by,
                cancelled: false,
            },
            waiting: Vec::new(),
            deadline: None,
            presentations: 0,
            hinted: None,
        }
    }

    /// What is asked for under its reference.
    pub(crate) fn asked_for(&self) -> Asked {
        Asked {
            owner: self.owner,
            kind: Kind::Sale,
            amount: self.asked.amount,
        }
    }

    /// True when the sale could take the card that another sale is meant to be paid with.
    pub(crate) fn competes_for(&self, reader: Option<&DeviceName>) -> bool {
        let holds = match &self.phase {
            Phase::WaitingForCard => self.asked.reader.as_ref(),
            Phase::AtCard(at) => Some(at),
            Phase::Checking { .. } | Phase::Recording | Phase::Ending => return false,
        };
        holds.is_none() || reader.is_none() || holds == reader
    }

    fn view(&self, state: Progress) -> SaleView<Progress> {
        SaleView {
            operation: self.operation,
            reference: self.asked.reference.clone(),
            owner: self.owner,
            amount: self.asked.amount,
            reader: match &self.phase {
                Phase::AtCard(reader) => Some(reader.clone()),
                Phase::Checking { .. } | Phase::WaitingForCard | Phase::Recording | Phase::Ending => None,
            },
            presentation: match &self.phase {
                Phase::AtCard(_) => self.presentations,
                Phase::Checking { .. } | Phase::WaitingForCard | Phase::Recording | Phase::Ending => 0,
            },
            state,
        }
    }
}

impl Engine {
    /// Ends a sale for which no debit was intended: one closing entry.
    pub(crate) fn close_sale(&mut self, operation: OperationId, reason: CloseReason) {
        let at = self.stamp();
        let sale = self
            .sale_mut(operation)
            .expect("a sale is closed while it is under way");
        sale.phase = Phase::Ending;
        sale.deadline = None;
        let closed = SaleClosed {
            reference: sale.asked.reference.clone(),
            owner: sale.owner,
            amount: sale.asked.amount,
            reason,
        };
        let commit = Commit {
            operation,
            step: 0,
            at,
            entry: Entry::SaleClosed(closed),
        };
        self.commit(commit, None, Resolved::Tell);
    }

    /// Ends a sale whose closing entry was refused: nothing moved and nothing is stored.
    pub(crate) fn forget_sale(&mut self, operation: OperationId, refused: Refused) {
        let index = self.sales.iter().position(|sale| sale.operation == operation);
        let sale = self
            .sales
            .remove(index.expect("a sale ends while it is under way"));
        for request in &sale.waiting {
            self.reply(*request, Err(RequestError::Refused(refused)));
        }
        self.outputs
            .push_back(Output::Hint(sale.view(Progress::NotRecorded)));
    }

    /// Puts a sale whose card left before any debit back to waiting for one.
    pub(crate) fn wait_for_card(&mut self, operation: OperationId) {
        let deadline = self.now.monotonic.after_ms(self.config.card_wait_ms);
        let stopping = self.is_stopping;
        let sale = self
            .sale_mut(operation)
            .expect("a sale waits while it is under way");
        if stopping {
            self.close_sale(operation, CloseReason::Stopped);
        } else if sale.presentations >= PRESENTATIONS_MAX {
            self.close_sale(operation, CloseReason::ReaderFailed);
        } else {
            sale.phase = Phase::WaitingForCard;
            sale.deadline = Some(deadline);
        }
    }

    /// Ends what has waited too long.
    pub(crate) fn handle_expired(&mut self) {
        let now = self.now.monotonic;
        self.devices.forget_due_retries(now);
        let due = |deadline: Option<Monotonic>| deadline.is_some_and(|deadline| deadline <= now);
        let sales: Vec<_> = self
            .sales
            .iter()
            .filter(|sale| due(sale.deadline))
            .map(|sale| sale.operation)
            .collect();
        for operation in sales {
            self.close_sale(operation, CloseReason::NoCardInTime);
        }
        let readers: Vec<_> = self
            .visits
            .iter()
            .filter(|(_, visit)| due(Some(visit.deadline)))
            .map(|(name, _)| name.clone())
            .collect();
        for reader in readers {
            self.handle_visit_expired(&reader);
        }
        self.handle_psam_expired();
        self.handle_expired_loads();
    }

    /// Tells how a sale under way stands.
    pub(crate) fn view_of_sale(&self, sale: &Sale) -> SaleView<Progress> {
        sale.view(self.progress(sale))
    }

    /// Tells listeners what changed since they were last told.
    pub(crate) fn hint_progress(&mut self) {
        for index in 0..self.sales.len() {
            let progress = self.progress(&self.sales[index]);
            let sale = &mut self.sales[index];
            if sale.hinted != Some(progress) && progress != Progress::CheckingReference {
                sale.hinted = Some(progress);
                self.outputs.push_back(Output::Hint(sale.view(progress)));
            }
        }
    }

    fn progress(&self, sale: &Sale) -> Progress {
        match &sale.phase {
            Phase::Checking { .. } => Progress::CheckingReference,
            Phase::Recording => Progress::Debiting,
            Phase::Ending => Progress::Ending,
            Phase::WaitingForCard => self.waiting_progress(sale),
            Phase::AtCard(reader) => self
                .visits
                .get(reader)
                .map_or(Progress::ReadingCard, |visit| visit.progress()),
        }
    }

    fn waiting_progress(&self, sale: &Sale) -> Progress {
        match self.cards_there(sale.asked.reader.as_ref()) {
            (0, 0) => Progress::WaitingForCard,
            (0, _) => Progress::TakeCardOut,
            (1, _) => Progress::ReadingCard,
            (_, _) => Progress::SeveralCards,
        }
    }

    /// Gives each card that waits to be served to the sale or the earlier payment that it is for.
    pub(crate) fn serve_cards(&mut self) {
        for index in 0..self.sales.len() {
            self.find_card_for(index);
        }
        self.find_cards_for_loads();
        self.look_for_earlier_payments();
    }

    fn find_card_for(&mut self, index: usize) {
        let sale = &self.sales[index];
        if sale.phase != Phase::WaitingForCard {
            return;
        }
        let (operation, named) = (sale.operation, sale.asked.reader.clone());
        if let Some(reader) = self.take_card(named.as_ref(), Serving::Sale(operation)) {
            let sale = &mut self.sales[index];
            sale.phase = Phase::AtCard(reader);
            sale.deadline = None;
            sale.presentations = sale.presentations.saturating_add(1);
        }
    }

    /// Has the only fresh card at the named reader, or at all, served for this; none where there is none to be had now.
    pub(crate) fn take_card(&mut self, named: Option<&DeviceName>, serving: Serving) -> Option<DeviceName> {
        let mut fresh = self
            .devices
            .readers(named)
            .filter(|reader| self.devices.card_at(reader) == CardAt::Fresh);
        let reader = fresh.next()?.clone();
        if fresh.next().is_some() {
            return None;
        }
        drop(fresh);
        let is_served = match self.visits.get_mut(&reader) {
            Some(visit) => visit.adopt(serving),
            None => {
                let is_free = self.devices.may_connect(&reader, self.now.monotonic);
                if is_free {
                    self.begin_visit(&reader, serving);
                }
                is_free
            }
        };
        is_served.then_some(reader)
    }

    fn look_for_earlier_payments(&mut self) {
        // An operation with an entry on its way is looked at when that is recorded: it may be the outcome.
        let mut open = self.open.values();
        let card_could_tell = open.any(|it| self.can_be_asked(it) && !self.is_changing(it.id));
        if !(card_could_tell || self.loads_ask_for_cards()) || self.is_stopping {
            return;
        }
        let waiting: Vec<_> = self
            .devices
            .readers(None)
            .filter(|reader| self.devices.is_unresolved(reader) && !self.visits.contains_key(*reader))
            .filter(|reader| self.devices.may_connect(reader, self.now.monotonic))
            .cloned()
            .collect();
        for reader in waiting {
            self.begin_visit(&reader, Serving::Nobody);
        }
    }
}
