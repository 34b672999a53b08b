//! What clients ask, and what the store finds for them.

use purser_ledger::{
    Asked, Conclusion, Currency, Damaged, DeviceName, Find, Kind, Operation, OperationId, Owner, Reference,
    Refused, Stored, StoredKind,
};
use purser_purse::pboc::Pin;
use purser_purse::pboc::PurseAmount;

use crate::devices::CardAt;
use crate::limits::SALES_OF_USER_MAX;
use crate::load::{self, OwedReason};
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
    /// To see whether the reference of this new load is known.
    BeginLoad(OperationId),
    /// To tell a stored outcome.
    Tell(RequestId, Peer),
    /// To tell how a load is stored, and why it does not get on. Whoever asks may see it.
    TellLoad(Vec<RequestId>, Option<OwedReason>),
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
            Request::BeginLoad(asked) => self.begin_load(id, peer, asked),
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
            Request::PresentAgain(batch, place) => self.present_again(id, peer, batch, place),
            Request::Stop => {
                self.begin_stop(id);
                Ok(())
            }
        };
        if let Err(error) = handled {
            self.reply(id, Err(error));
        }
    }

    pub(crate) fn find(&mut self, reference: Reference, pending: PendingFind) {
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
        let new = asked_for(peer.owner, &asked);
        if let Some(load) = self.load_by_reference(&asked.reference) {
            return Err(RequestError::Refused(Refused::by_asked(load.asked_for(), new)));
        }
        if let Some(sale) = self.sale_by_reference(&asked.reference) {
            let same = sale_refusal(sale, new);
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
            PendingFind::BeginLoad(load) => self.load_found(load, stored),
            PendingFind::Tell(request, peer) => match stored.and_then(|stored| visible(stored, peer)) {
                Ok(stored) => self.tell_found(vec![request], stored, None),
                Err(error) => self.reply(request, Err(error)),
            },
            PendingFind::TellLoad(requests, why) => {
                match stored.and_then(|stored| stored.ok_or(RequestError::Damaged)) {
                    Ok(stored) => self.tell_found(requests, stored, why),
                    Err(error) => {
                        for request in requests {
                            self.reply(request, Err(error));
                        }
                    }
                }
            }
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
                let new = self.sales[index].asked_for();
                match Refused::by_asked(stored.operation().asked(), new) {
                    Refused::Exists => {
                        let sale = self.sales.remove(index);
                        let requests = sale.waiting.into_iter().chain([begun_by]).collect();
                        return self.tell_found(requests, stored, None);
                    }
                    refused => Err(RequestError::Refused(refused)),
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
        self.may_work(asked.pin_through_api, asked.amount.currency())?;
        self.permitted_by_parameters(asked.amount)?;
        self.within_limits(asked.amount)?;
        self.has_reader(reader)?;
        let takes = |sale: &Sale| sale.operation != new.operation && sale.competes_for(reader);
        let mut loads = self.loads.values();
        if self.sales.iter().any(takes) || loads.any(|load| load.competes_for(reader)) {
            return Err(RequestError::ReaderInUse);
        }
        Ok(())
    }

    /// Whether a sale or a load in this currency may begin now.
    pub(crate) fn may_work(&self, pin_through_api: bool, currency: Currency) -> Result<(), RequestError> {
        if self.is_stopping {
            return Err(RequestError::Stopping);
        }
        if self.is_held {
            return Err(RequestError::Held);
        }
        if pin_through_api && !self.config.pin_through_api {
            return Err(RequestError::PinThroughApiOff);
        }
        if !self.config.issuers.values().any(|known| *known == currency) {
            return Err(RequestError::CurrencyNotAccepted);
        }
        if !self.has_room {
            return Err(RequestError::Refused(Refused::NoRoom));
        }
        Ok(())
    }

    /// Whether the named reader is there, or any.
    pub(crate) fn has_reader(&self, named: Option<&DeviceName>) -> Result<(), RequestError> {
        match (self.devices.readers(named).next(), named) {
            (Some(_), _) => Ok(()),
            (None, Some(_)) => Err(RequestError::UnknownReader),
            (None, None) => Err(RequestError::NoReader),
        }
    }

    fn reply_progress(&mut self, request: RequestId, reference: &Reference, is_new: bool) {
        if let Some(sale) = self.sales.iter().find(|sale| sale.asked.reference == *reference) {
            let view = self.view_of_sale(sale);
            self.reply(request, Ok(Reply::Sale { is_new, view }));
        }
    }

    pub(crate) fn tell_stored(&mut self, requests: Vec<RequestId>, stored: Stored<Operation>) {
        let told = stored.authorise(|operation| Told {
            requests,
            view: SaleView::of(&operation),
        });
        self.outputs.push_back(Output::Tell(told));
    }

    fn attach(&mut self, id: RequestId, peer: Peer, reference: Reference) -> Result<(), RequestError> {
        if self.attach_to_load(id, peer, &reference)? {
            return Ok(());
        }
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
        if self.cancel_load(id, peer, &reference)? {
            return Ok(());
        }
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
        let StoredKind::Sale(stored) = visible(stored?, peer)?.into_kind() else {
            return Err(RequestError::LoadNotConcluded);
        };
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
        let (waits_for, at_card, presented) =
            self.waits_for_pin(reference).ok_or(RequestError::NoPinExpected)?;
        if waits_for != owner {
            return Err(RequestError::NotOwner);
        }
        let reader = at_card
            .filter(|_| presented == presentation)
            .ok_or(RequestError::NoPinExpected)?;
        self.take_api_pin(&reader, pin, last_try)?;
        match self.load_by_reference(reference).map(|load| load.id) {
            Some(load) => self.reply_load(id, load, false),
            None => self.reply_progress(id, reference, false),
        }
        Ok(())
    }

    /// Whose the sale or load under this reference is, the reader that serves its card, and which presentation that is.
    fn waits_for_pin(&mut self, reference: &Reference) -> Option<(Owner, Option<DeviceName>, u8)> {
        if let Some(load) = self.load_by_reference(reference) {
            let at_card = match &load.phase {
                load::Phase::AtCard(reader) => Some(reader.clone()),
                _ => None,
            };
            return Some((load.owner, at_card, load.presentations));
        }
        let sale = self.sale_by_reference(reference)?;
        let at_card = match &sale.phase {
            Phase::AtCard(reader) => Some(reader.clone()),
            _ => None,
        };
        Some((sale.owner, at_card, sale.presentations))
    }

    fn read_purse(
        &mut self,
        id: RequestId,
        named: Option<purser_ledger::DeviceName>,
    ) -> Result<(), RequestError> {
        if self.is_stopping {
            return Err(RequestError::Stopping);
        }
        self.has_reader(named.as_ref())?;
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
        self.stop_loads();
        self.stop_settlements();
        self.stop_presenting();
        let readers: Vec<_> = self.visits.keys().cloned().collect();
        for reader in readers {
            self.end_idle_visit(&reader);
        }
    }
}

pub(crate) fn may_see(peer: Peer, owner: Owner) -> bool {
    peer.operator || peer.owner == owner
}

fn visible(stored: Option<Stored>, peer: Peer) -> Result<Stored, RequestError> {
    let stored = stored.ok_or(RequestError::UnknownReference)?;
    if may_see(peer, stored.operation().owner()) {
        Ok(stored)
    } else {
        Err(RequestError::NotOwner)
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
fn sale_refusal(sale: &Sale, new: Asked) -> Option<Refused> {
    let refused = Refused::by_asked(sale.asked_for(), new);
    (refused != Refused::Exists).then_some(refused)
}

fn asked_for(owner: Owner, asked: &BeginSale) -> Asked {
    Asked {
        owner,
        kind: Kind::Sale,
        amount: asked.amount,
    }
}
