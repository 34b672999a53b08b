//! A POS: what it asks, what it is told, and what it hands out for it.

use purser_engine::{End, Outcome, Progress, RequestError, RequestId, SaleView};
use purser_ledger::{Amount, Conclusion, DeviceName, Owner, Reference};

use crate::parties::LoadTicket;

/// One sale as its POS knows it.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) reference: Reference,
    pub(crate) amount: Amount,
    pub(crate) reader: Option<DeviceName>,
    pub(crate) through_api: bool,
    pub(crate) state: TicketState,
    /// The durable outcome that was told last.
    pub(crate) told: Option<SaleView<Outcome>>,
    /// What the POS decided about a sale in doubt, as soon as it asked for it.
    pub(crate) chose: Option<Conclusion>,
    pub(crate) has_goods: bool,
    pub(crate) progress: Option<Progress>,
    /// Which presentation of a card the progress was about.
    pub(crate) presentation: u8,
}

/// Where a sale stands for its POS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketState {
    /// Not asked for, or refused before it began: the reference may be used.
    New,
    /// Asked for.
    UnderWay,
    /// Told an outcome.
    Told,
    /// Given up without ever having been an operation.
    Dropped,
}

/// What a request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Begin,
    Attach,
    Pin,
    Cancel,
    Conclude(Conclusion),
    Purse,
    Stop,
    Load,
    LoadPin,
    CancelLoad,
    Settle,
    VoidBatch,
}

impl Ask {
    /// True for what the provider takes part in. Its ticket, if it has one, is a load's.
    pub(crate) fn is_of_party(self) -> bool {
        match self {
            Self::Load | Self::LoadPin | Self::CancelLoad | Self::Settle | Self::VoidBatch => true,
            Self::Begin | Self::Attach | Self::Pin | Self::Cancel => false,
            Self::Conclude(_) | Self::Purse | Self::Stop => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) id: RequestId,
    pub(crate) ticket: Option<usize>,
    pub(crate) ask: Ask,
}

#[derive(Debug, Default)]
pub(crate) struct Pos {
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) loads: Vec<LoadTicket>,
    /// Requests that have not been answered.
    pub(crate) pending: Vec<Pending>,
    request_last: u64,
}

/// The user that every POS runs as.
pub(crate) const OWNER: Owner = Owner(1000);

impl Pos {
    pub(crate) fn next_request(&mut self) -> RequestId {
        self.request_last += 1;
        RequestId(self.request_last)
    }

    /// The first sale that the POS is busy with.
    pub(crate) fn active(&self) -> Option<usize> {
        self.tickets.iter().position(Ticket::is_active)
    }

    /// The last sale that the POS is busy with.
    pub(crate) fn active_last(&self) -> Option<usize> {
        self.tickets.iter().rposition(Ticket::is_active)
    }

    pub(crate) fn by_reference(&mut self, reference: &Reference) -> Option<&mut Ticket> {
        self.tickets
            .iter_mut()
            .find(|ticket| ticket.reference == *reference)
    }

    /// What a sale or a load of this reference is over, in minor units.
    pub(crate) fn price_of(&mut self, reference: &Reference) -> Option<u64> {
        let load = self.loads.iter().find(|load| load.reference == *reference);
        let load = load.map(|load| load.amount.minor());
        load.or_else(|| self.by_reference(reference).map(|ticket| ticket.amount.minor()))
    }

    /// Takes a request off the list. None when it was answered before, or never asked.
    pub(crate) fn take(&mut self, id: RequestId) -> Option<Pending> {
        let index = self.pending.iter().position(|pending| pending.id == id)?;
        Some(self.pending.swap_remove(index))
    }

    pub(crate) fn is_asking(&self, ticket: usize, ask: Ask) -> bool {
        let same = |pending: &Pending| pending.ticket == Some(ticket) && pending.ask == ask;
        self.pending.iter().any(same)
    }

    /// Progress of a sale. That an earlier try left no record says nothing of the one that is being asked for.
    pub(crate) fn hint(&mut self, view: &SaleView<Progress>) {
        let of = |ticket: &Ticket| ticket.reference == view.reference;
        let Some(index) = self.tickets.iter().position(of) else {
            return;
        };
        if view.state != Progress::NotRecorded || !self.is_asking(index, Ask::Begin) {
            self.tickets[index].hint(view);
        }
    }

    /// The process that would have answered is gone.
    pub(crate) fn lose_requests(&mut self) {
        self.pending.clear();
        for ticket in &mut self.tickets {
            ticket.progress = None;
        }
        for load in &mut self.loads {
            load.progress = None;
        }
    }
}

impl Ticket {
    pub(crate) fn new(reference: Reference, amount: Amount) -> Self {
        Self {
            reference,
            amount,
            reader: None,
            through_api: false,
            state: TicketState::New,
            told: None,
            chose: None,
            has_goods: false,
            progress: None,
            presentation: 0,
        }
    }

    fn is_active(&self) -> bool {
        matches!(self.state, TicketState::New | TicketState::UnderWay)
    }

    /// True when the outcome that was told never changes.
    pub(crate) fn is_certain(&self) -> bool {
        self.told.as_ref().is_some_and(|told| is_certain(&told.state.end))
    }

    /// True when it was told that the debit is in doubt, or that the provider is asked.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.told
            .as_ref()
            .is_some_and(|told| !is_certain(&told.state.end))
    }

    /// An outcome was told: goods go out for what is paid, and not for what was given up.
    pub(crate) fn hear(&mut self, told: SaleView<Outcome>) {
        let abandoned = self.chose == Some(Conclusion::Abandoned);
        self.has_goods |= matches!(told.state.end, End::Paid(_)) && !abandoned;
        self.state = TicketState::Told;
        self.progress = None;
        self.told = Some(told);
    }

    /// Progress: a sale that ended without a record is no sale.
    pub(crate) fn hint(&mut self, view: &SaleView<Progress>) {
        if self.state != TicketState::UnderWay {
            return;
        }
        self.progress = Some(view.state);
        self.presentation = view.presentation;
        if view.state == Progress::NotRecorded {
            self.state = TicketState::New;
            self.progress = None;
        }
    }

    /// A request was refused. A begin that was refused began nothing; an attach that finds nothing knows of nothing.
    /// None of them says anything about a begin that has not been answered.
    pub(crate) fn refused(&mut self, ask: Ask, error: RequestError, is_beginning: bool) {
        let is_unknown = error == RequestError::UnknownReference && !is_beginning;
        let nothing_began = match ask {
            Ask::Begin => !is_beginning,
            Ask::Attach | Ask::Cancel => is_unknown || matches!(error, RequestError::Refused(_)),
            Ask::Pin | Ask::Conclude(_) | Ask::Purse | Ask::Stop => false,
            Ask::Load | Ask::LoadPin | Ask::CancelLoad | Ask::Settle | Ask::VoidBatch => false,
        };
        if nothing_began && self.state == TicketState::UnderWay && self.told.is_none() {
            self.state = TicketState::New;
            self.progress = None;
        }
    }
}

pub(crate) fn is_certain(end: &End) -> bool {
    match end {
        End::Paid(_) | End::Closed(_) | End::NotDebited(_) => true,
        End::InDoubt(_) | End::Queried(_) => false,
    }
}
