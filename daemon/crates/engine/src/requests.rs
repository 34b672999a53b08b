//! What clients ask, and what the store finds for them.

use purser_ledger::{
    Asked, Conclusion, Damaged, Find, Kind, Operation, OperationId, Owner, Reference, Refused, Stored,
    StoredKind,
};
use purser_purse::pboc::Pin;
use purser_purse::pboc::PurseAmount;

use crate::devices::CardAt;
use crate::limits::SALES_OF_USER_MAX;
use crate::sale::{Phase, SALES_MAX, Sale, WAITING_MAX};
use crate::visit::Serving;
use crate::{
    BeginSale, Engine, FindId, Output, Peer, Reply, Request, RequestError, RequestId, SaleView, Told,
};

/// Why the store was asked.
#[derive(Debug)]
pub(crate) enum PendingFind {
    /// To see whether the reference of this new sale is known.
    Begin(OperationId),
    /// To tell a stored outcome.
    Tell(RequestId, Peer),
    /// To conclude a sale.
    Conclude(RequestId, Peer, Conclusion),
}

impl Engine {
    pub(crate) fn handle_request(
        &mut self,
        id: RequestId,
        peer: Peer,
        request: Request,
        operation: OperationId,
    ) {
        let handled = match request {
            Request::BeginSale(asked) => self.begin_sale(id, peer, asked, operation),
            Request::BeginLoad(_) => Err(RequestError::ProviderNotConfigured),
            Request::Attach(reference) => self.attach(id, peer, reference),
            Request::ProvidePin {
                reference,
                pin,
                presentation,
                last_try,
            } => self.provide_pin(id, peer.owner, &reference, (pin, presentation), last_try),
            Request::Cancel(reference) => self.cancel(id, peer, reference),
            Request::Conclude(reference, conclusion) => {
                self.find(reference, PendingFind::Conclude(id, peer, conclusion));
                Ok(())
            }
            Request::ReadPurse(reader) => self.read_purse(id, reader),
            Request::Settle(currency) => self.settle(id, peer, currency, operation),
            Request::VoidBatch(batch) => self.void_batch(id, peer, batch),
            Request::Stop => {
                self.begin_stop(id);
                Ok(())
            }
        };
        if let Err(error) = handled {
            self.reply(id, Err(error));
        }
    }

    fn find(&mut self, reference: Reference, pending: PendingFind) {
        let id = self.next_find();
        self.finds.insert(id, pending);
        self.outputs
            .push_back(Output::Find(id, Find::Reference(reference)));
    }

    fn begin_sale(
        &mut self,
        id: RequestId,
        peer: Peer,
        asked: BeginSale,
        operation: OperationId,
    ) -> Result<(), RequestError> {
        if asked.amount.is_zero() {
            return Err(RequestError::AmountZero);
        }
        if let Some(sale) = self.sale_by_reference(&asked.reference) {
            let same = sale_refusal(sale, peer.owner, &asked);
            return match (same, &sale.phase) {
                (Some(refused), _) => Err(RequestError::Refused(refused)),
                (None, Phase::Recording | Phase::Ending) => wait(sale, id),
                (None, _) => {
                    self.reply_progress(id, &asked.reference, false);
                    Ok(())
                }
            };
        }
        if PurseAmount::try_from(asked.amount).is_err() {
            return Err(RequestError::AmountTooLarge);
        }
        if self.sales.len() >= SALES_MAX {
            return Err(RequestError::TooManySales);
        }
        let own = self.sales.iter().filter(|sale| sale.owner == peer.owner);
        if own.count() >= SALES_OF_USER_MAX {
            return Err(RequestError::QuotaSales);
        }
        let reference = asked.reference.clone();
        self.sales.push(Sale::new(operation, peer.owner, asked, id));
        self.find(reference, PendingFind::Begin(operation));
        Ok(())
    }

    pub(crate) fn handle_found(&mut self, id: FindId, stored: Result<Option<Stored>, Damaged>) {
        let stored = stored.map_err(|_damaged| RequestError::Damaged);
        match self.finds.remove(&id).expect("a find is answered once") {
            PendingFind::Begin(operation) => self.begin_found(operation, stored),
            PendingFind::Tell(request, peer) => match stored.and_then(|stored| visible_sale(stored, peer)) {
                Ok(stored) => self.tell_stored(vec![request], stored),
                Err(error) => self.reply(request, Err(error)),
            },
            PendingFind::Conclude(request, peer, conclusion) => {
                if let Err(error) = self.conclude_found(request, peer, conclusion, stored) {
                    self.reply(request, Err(error));
                }
            }
        }
    }

    fn begin_found(&mut self, operation: OperationId, stored: Result<Option<Stored>, RequestError>) {
        let index = self.sales.iter().position(|sale| sale.operation == operation);
        let index = index.expect("a sale is under way while its reference is checked");
        let Phase::Checking { begun_by, cancelled } = self.sales[index].phase else {
            unreachable!("a sale stays in this phase until its reference is checked");
        };
        let refusal = match stored {
            Err(damaged) => Err(damaged),
            Ok(Some(stored)) => {
                let sale = &self.sales[index];
                let refused =
                    Refused::by_asked(stored.operation().asked(), asked_for(sale.owner, &sale.asked));
                match (refused, stored.into_kind()) {
                    (Refused::Exists, StoredKind::Sale(stored)) => {
                        let sale = self.sales.remove(index);
                        let requests = sale.waiting.into_iter().chain([begun_by]).collect();
                        return self.tell_stored(requests, stored);
                    }
                    (refused, _) => Err(RequestError::Refused(refused)),
                }
            }
            Ok(None) => self.may_begin(&self.sales[index]),
        };
        if let Err(error) = refusal {
            let sale = self.sales.remove(index);
            for request in sale.waiting.into_iter().chain([begun_by]) {
                self.reply(request, Err(error));
            }
            return;
        }
        if cancelled {
            self.sales[index].waiting.push(begun_by);
            self.close_sale(operation, purser_ledger::CloseReason::CancelledByPos);
            return;
        }
        self.wait_for_card(operation);
        let reference = self.sales[index].asked.reference.clone();
        self.reply_progress(begun_by, &reference, true);
    }

    /// Whether a sale that is not known yet may begin now.
    fn may_begin(&self, new: &Sale) -> Result<(), RequestError> {
        let asked = &new.asked;
        let reader = asked.reader.as_ref();
        if self.is_stopping {
            return Err(RequestError::Stopping);
        }
        if self.is_held {
            return Err(RequestError::Held);
        }
        if asked.pin_through_api && !self.config.pin_through_api {
            return Err(RequestError::PinThroughApiOff);
        }
        if !self
            .config
            .issuers
            .values()
            .any(|currency| *currency == asked.amount.currency())
        {
            return Err(RequestError::CurrencyNotAccepted);
        }
        if !self.has_room {
            return Err(RequestError::Refused(Refused::NoRoom));
        }
        self.within_limits(asked.amount)?;
        if self.devices.readers(reader).next().is_none() {
            return Err(if reader.is_some() {
                RequestError::UnknownReader
            } else {
                RequestError::NoReader
            });
        }
        if self
            .sales
            .iter()
            .any(|sale| sale.operation != new.operation && sale.competes_for(reader))
        {
            return Err(RequestError::ReaderInUse);
        }
        Ok(())
    }

    fn reply_progress(&mut self, request: RequestId, reference: &Reference, is_new: bool) {
        if let Some(sale) = self.sales.iter().find(|sale| sale.asked.reference == *reference) {
            let view = self.view_of_sale(sale);
            self.reply(request, Ok(Reply::Sale { is_new, view }));
        }
    }

    fn tell_stored(&mut self, requests: Vec<RequestId>, stored: Stored<Operation>) {
        let told = stored.authorise(|operation| Told {
            requests,
            view: SaleView::of(&operation),
        });
        self.outputs.push_back(Output::Tell(told));
    }

    fn attach(&mut self, id: RequestId, peer: Peer, reference: Reference) -> Result<(), RequestError> {
        match self.sale_by_reference(&reference) {
            Some(sale) if !may_see(peer, sale.owner) => Err(RequestError::NotOwner),
            Some(sale) if matches!(sale.phase, Phase::Recording | Phase::Ending) => wait(sale, id),
            Some(_) => {
                self.reply_progress(id, &reference, false);
                Ok(())
            }
            None => {
                self.find(reference, PendingFind::Tell(id, peer));
                Ok(())
            }
        }
    }

    fn cancel(&mut self, id: RequestId, peer: Peer, reference: Reference) -> Result<(), RequestError> {
        let Some(sale) = self.sale_by_reference(&reference) else {
            self.find(reference, PendingFind::Tell(id, peer));
            return Ok(());
        };
        if !may_see(peer, sale.owner) {
            return Err(RequestError::NotOwner);
        }
        wait(sale, id)?;
        let operation = sale.operation;
        match &mut sale.phase {
            Phase::Checking { cancelled, .. } => *cancelled = true,
            Phase::WaitingForCard => self.close_sale(operation, purser_ledger::CloseReason::CancelledByPos),
            Phase::AtCard(reader) => {
                let reader = reader.clone();
                self.end_sale_at_card(&reader, purser_ledger::CloseReason::CancelledByPos);
            }
            Phase::Recording | Phase::Ending => {}
        }
        Ok(())
    }

    fn conclude_found(
        &mut self,
        request: RequestId,
        peer: Peer,
        conclusion: Conclusion,
        stored: Result<Option<Stored>, RequestError>,
    ) -> Result<(), RequestError> {
        let stored = visible_sale(stored?, peer)?;
        let operation = stored.operation();
        if !operation.was_in_doubt {
            return Err(RequestError::NeverInDoubt);
        }
        match operation.conclusion {
            Some(earlier) if earlier == conclusion => self.tell_stored(vec![request], stored),
            Some(_) => return Err(RequestError::Refused(Refused::ExistsWithDifferentConclusion)),
            None if self.is_changing(operation.id) => return Err(RequestError::Changing),
            None => {
                let operation = operation.clone();
                self.conclude(request, operation, conclusion);
            }
        }
        Ok(())
    }

    fn provide_pin(
        &mut self,
        id: RequestId,
        owner: Owner,
        reference: &Reference,
        (pin, presentation): (Pin, u8),
        last_try: bool,
    ) -> Result<(), RequestError> {
        if !self.config.pin_through_api {
            return Err(RequestError::PinThroughApiOff);
        }
        let sale = self
            .sale_by_reference(reference)
            .ok_or(RequestError::NoPinExpected)?;
        if sale.owner != owner {
            return Err(RequestError::NotOwner);
        }
        let Phase::AtCard(reader) = sale.phase.clone() else {
            return Err(RequestError::NoPinExpected);
        };
        if sale.presentations != presentation {
            return Err(RequestError::NoPinExpected);
        }
        self.take_api_pin(&reader, pin, last_try)?;
        self.reply_progress(id, reference, false);
        Ok(())
    }

    fn read_purse(
        &mut self,
        id: RequestId,
        named: Option<purser_ledger::DeviceName>,
    ) -> Result<(), RequestError> {
        if self.is_stopping {
            return Err(RequestError::Stopping);
        }
        if self.devices.readers(named.as_ref()).next().is_none() {
            return Err(if named.is_some() {
                RequestError::UnknownReader
            } else {
                RequestError::NoReader
            });
        }
        let with_card: Vec<_> = self
            .devices
            .readers(named.as_ref())
            .filter(|reader| self.devices.card_at(reader) != CardAt::None)
            .cloned()
            .collect();
        let reader = match with_card.as_slice() {
            [] => return Err(RequestError::NoCard),
            [reader] => reader,
            _ => return Err(RequestError::SeveralCards),
        };
        let free = self.devices.may_connect(reader, self.now.monotonic) && !self.visits.contains_key(reader);
        if !free {
            return Err(RequestError::ReaderInUse);
        }
        self.begin_visit(reader, Serving::Reader(id));
        Ok(())
    }

    fn begin_stop(&mut self, id: RequestId) {
        self.is_stopping = true;
        if let Some(earlier) = self.stop.replace(id) {
            self.reply(earlier, Err(RequestError::Stopping));
        }
        let sales: Vec<_> = self
            .sales
            .iter()
            .map(|sale| (sale.operation, sale.phase.clone()))
            .collect();
        for (operation, phase) in sales {
            match phase {
                Phase::WaitingForCard => self.close_sale(operation, purser_ledger::CloseReason::Stopped),
                Phase::AtCard(reader) => self.end_sale_at_card(&reader, purser_ledger::CloseReason::Stopped),
                Phase::Checking { .. } | Phase::Recording | Phase::Ending => {}
            }
        }
        self.stop_settlements();
        let readers: Vec<_> = self.visits.keys().cloned().collect();
        for reader in readers {
            self.end_idle_visit(&reader);
        }
    }
}

fn may_see(peer: Peer, owner: Owner) -> bool {
    peer.operator || peer.owner == owner
}

/// A stored sale for whoever may see it. A load is refused by its kind.
fn visible_sale(stored: Option<Stored>, peer: Peer) -> Result<Stored<Operation>, RequestError> {
    let stored = stored.ok_or(RequestError::UnknownReference)?;
    if !may_see(peer, stored.operation().owner()) {
        return Err(RequestError::NotOwner);
    }
    match stored.into_kind() {
        StoredKind::Sale(stored) => Ok(stored),
        StoredKind::Load(_) | StoredKind::Settlement(_) => {
            Err(RequestError::Refused(Refused::ExistsWithDifferentKind))
        }
    }
}

/// What makes a repeat of this sale one.
fn asked_for(owner: Owner, asked: &BeginSale) -> Asked {
    Asked {
        owner,
        kind: Kind::Sale,
        amount: asked.amount,
    }
}

fn wait(sale: &mut Sale, request: RequestId) -> Result<(), RequestError> {
    if sale.waiting.len() >= WAITING_MAX {
        return Err(RequestError::TooManySales);
    }
    sale.waiting.push(request);
    Ok(())
}

/// Why a repeated request is not the sale under way; none when it is.
fn sale_refusal(sale: &Sale, owner: Owner, asked: &BeginSale) -> Option<Refused> {
    let refused = Refused::by_asked(asked_for(sale.owner, &sale.asked), asked_for(owner, asked));
    (refused != Refused::Exists).then_some(refused)
}
