//! What clients ask about loads.

use purser_ledger::{
    Asked, Entry, Kind, LoadBegun, LoadStanding, OperationId, Owner, Reference, Refused, Stored, StoredKind,
};
use purser_purse::pboc::PurseAmount;

use super::{Aim, LOADS_MAX, Load, LoadPhase, LoadProgress, LoadTold, LoadView, LoadWhat, OwedReason, Phase};
use crate::requests::{PendingFind, may_see};
use crate::sale::WAITING_MAX;
use crate::visit::State;
use crate::{BeginLoad, Engine, Output, Peer, Reply, RequestError, RequestId};

impl Engine {
    pub(crate) fn load_by_reference(&self, reference: &Reference) -> Option<&Load> {
        self.loads
            .values()
            .find(|load| load.asked.reference == *reference)
    }

    /// Begins a load, or goes on with the one that has this reference.
    pub(crate) fn begin_load(
        &mut self,
        id: RequestId,
        peer: Peer,
        asked: BeginLoad,
    ) -> Result<(), RequestError> {
        if asked.amount.is_zero() {
            return Err(RequestError::AmountZero);
        }
        let new = asked_for(peer.owner, &asked);
        if let Some(load) = self.load_by_reference(&asked.reference) {
            let known = load.id;
            return match Refused::by_asked(load.asked_for(), new) {
                Refused::Exists if known == asked.load => self.go_on_with_load(id, known, asked),
                Refused::Exists => Err(RequestError::OtherLoad),
                refused => Err(RequestError::Refused(refused)),
            };
        }
        if let Some(sale) = self.sale_by_reference(&asked.reference) {
            return Err(RequestError::Refused(Refused::by_asked(sale.asked_for(), new)));
        }
        if self.is_number_known(asked.load) {
            return Err(RequestError::OtherReference);
        }
        if PurseAmount::try_from(asked.amount).is_err() {
            return Err(RequestError::AmountTooLarge);
        }
        self.has_place_for_load()?;
        let (load, reference) = (asked.load, asked.reference.clone());
        self.loads
            .insert(load, Load::new(peer.owner, asked, Phase::Checking(id)));
        self.find(reference, PendingFind::BeginLoad(load));
        Ok(())
    }

    fn has_place_for_load(&self) -> Result<(), RequestError> {
        // One that only waits for the provider's void keeps no place.
        let takes_place =
            |load: &&Load| load.is_under_way() && (load.phase != Phase::Ending || !load.waiting.is_empty());
        if self.loads.values().filter(takes_place).count() >= LOADS_MAX {
            return Err(RequestError::TooManyLoads);
        }
        Ok(())
    }

    /// True for the number of another operation that this process has in hand. A load's comes from outside.
    fn is_number_known(&self, id: OperationId) -> bool {
        self.loads.contains_key(&id)
            || self.sale(id).is_some()
            || self.open.contains_key(&id)
            || self.is_changing(id)
            || self.settling.values().any(|settling| settling.is_of(id))
    }

    /// A repeat of a load that is open: it waits for a card again. Where only the provider's answer is missing, that is asked for at
    /// once.
    fn go_on_with_load(
        &mut self,
        request: RequestId,
        id: OperationId,
        asked: BeginLoad,
    ) -> Result<(), RequestError> {
        let load = self.load(id);
        let is_proven = matches!(load.standing(), Some(LoadStanding::Proven(_)));
        let is_voiding = load.phase == Phase::Ending && load.aim == Aim::Void;
        let rests = load.phase == Phase::Owed || (is_voiding && load.fetched.is_none());
        if is_proven || (load.phase == Phase::Owed && load.fetched.is_some()) {
            let why = load.why;
            self.load_mut(id).retry_at = None;
            self.find(asked.reference, PendingFind::TellLoad(vec![request], why));
            return Ok(());
        }
        if load.phase == Phase::WaitingForCard {
            self.load_mut(id).aim = Aim::Load;
        } else if rests && load.changing.is_none() {
            self.may_begin_load(&asked, id)?;
            if load.phase == Phase::Owed {
                self.has_place_for_load()?;
            }
            let load = self.load_mut(id);
            load.asked = asked;
            load.aim = Aim::Load;
            load.last_attempt = None;
            load.presentations = 0;
            load.refused = None;
            load.why = None;
            self.load_waits_for_card(id);
        }
        self.reply_load(request, id, false);
        Ok(())
    }

    pub(crate) fn reply_load(&mut self, request: RequestId, id: OperationId, is_new: bool) {
        let load = self.load(id);
        let view = load.view(self.load_progress(load));
        self.reply(request, Ok(Reply::Load { is_new, view }));
    }

    /// The store has told whether the reference of a new load is known.
    pub(crate) fn load_found(&mut self, id: OperationId, stored: Result<Option<Stored>, RequestError>) {
        let load = self.load(id);
        let new = load.asked_for();
        let refusal = match stored {
            Err(damaged) => Err(damaged),
            Ok(None) => self.may_begin_load(&load.asked.clone(), id),
            Ok(Some(stored)) => match Refused::by_asked(stored.operation().asked(), new) {
                Refused::Exists if stored.operation().id() == id => {
                    let requests = self.forget_load(id);
                    return self.tell_found(requests, stored, None);
                }
                Refused::Exists => Err(RequestError::OtherLoad),
                refused => Err(RequestError::Refused(refused)),
            },
        };
        match (refusal, self.load(id).phase.clone()) {
            (Ok(()), Phase::Checking(begun_by)) => {
                self.load_mut(id).phase = Phase::Opening(begun_by);
                self.ask_provider(id, LoadWhat::Show);
            }
            (Ok(()), _) => unreachable!("a load stays in this phase until its reference is checked"),
            (Err(error), _) => self.refuse_to_begin(id, error),
        }
    }

    /// Whether a load may begin, or go on, now.
    fn may_begin_load(&self, asked: &BeginLoad, id: OperationId) -> Result<(), RequestError> {
        let reader = asked.reader.as_ref();
        if self.config.provider.is_none() {
            return Err(RequestError::ProviderNotConfigured);
        }
        self.may_work(asked.pin_through_api, asked.amount.currency())?;
        self.has_reader(reader)?;
        let takes = |load: &&Load| load.id != id && load.competes_for(reader);
        if self.sales.iter().any(|sale| sale.competes_for(reader)) || self.loads.values().any(|it| takes(&it))
        {
            return Err(RequestError::ReaderInUse);
        }
        Ok(())
    }

    /// The provider knows the load: from its first entry on the user is owed its value.
    pub(super) fn load_opened(&mut self, id: OperationId, phase: LoadPhase) {
        let load = self.load(id);
        match phase {
            LoadPhase::Done | LoadPhase::Voided => self.refuse_to_begin(id, RequestError::LoadEnded),
            LoadPhase::Open | LoadPhase::Released if self.is_stopping => {
                self.refuse_to_begin(id, RequestError::Stopping);
            }
            LoadPhase::Open | LoadPhase::Released => {
                let begun = LoadBegun {
                    reference: load.asked.reference.clone(),
                    owner: load.owner,
                    amount: load.asked.amount,
                };
                self.commit_load(id, Entry::LoadBegun(begun));
            }
        }
    }

    /// The load's first entry is durable.
    pub(super) fn load_begun(&mut self, id: OperationId) {
        let is_stopping = self.is_stopping;
        let load = self.load_mut(id);
        let Phase::Opening(begun_by) = load.phase else {
            unreachable!("a load stays in this phase until it has begun");
        };
        let is_cancelled = load.aim == Aim::Void;
        if is_stopping || is_cancelled {
            load.waiting.push(begun_by);
        }
        if is_stopping {
            self.owe(id, OwedReason::Stopped);
        } else if is_cancelled {
            self.begin_void(id);
        } else {
            self.load_waits_for_card(id);
            self.reply_load(begun_by, id, true);
        }
    }

    /// A load that is not begun after all: nothing was recorded of it.
    pub(super) fn refuse_to_begin(&mut self, id: OperationId, error: RequestError) {
        let hint = self.load(id).view(LoadProgress::NotRecorded);
        for request in self.forget_load(id) {
            self.reply(request, Err(error));
        }
        self.outputs.push_back(Output::HintLoad(hint));
    }

    /// Forgets a load of which nothing is recorded; gives who waits for it.
    fn forget_load(&mut self, id: OperationId) -> Vec<RequestId> {
        let Some(load) = self.loads.remove(&id) else {
            return Vec::new();
        };
        let begun_by = match load.phase {
            Phase::Checking(begun_by) | Phase::Opening(begun_by) => Some(begun_by),
            _ => None,
        };
        load.waiting.into_iter().chain(begun_by).collect()
    }

    /// Tells a stored operation to these requests, as what it is.
    pub(crate) fn tell_found(&mut self, requests: Vec<RequestId>, stored: Stored, why: Option<OwedReason>) {
        match stored.into_kind() {
            StoredKind::Sale(stored) => self.tell_stored(requests, stored),
            StoredKind::Load(stored) => {
                let told = stored.authorise(|load| LoadTold {
                    requests,
                    view: LoadView::told(&load, why),
                });
                self.outputs.push_back(Output::TellLoad(told));
            }
            StoredKind::Settlement(_) => unreachable!("no store finds a settlement by a reference"),
        }
    }

    /// Tells how the load under this reference stands; false where it is none that is in hand.
    pub(crate) fn attach_to_load(
        &mut self,
        request: RequestId,
        peer: Peer,
        reference: &Reference,
    ) -> Result<bool, RequestError> {
        let Some(load) = self.load_by_reference(reference) else {
            return Ok(false);
        };
        if !may_see(peer, load.owner) {
            return Err(RequestError::NotOwner);
        }
        let (id, why) = (load.id, load.why);
        if load.phase == Phase::Owed {
            self.find(reference.clone(), PendingFind::TellLoad(vec![request], why));
        } else {
            self.reply_load(request, id, false);
        }
        Ok(true)
    }

    /// Has the load under this reference voided, if no card gets its value first; false where it is none that is in hand.
    pub(crate) fn cancel_load(
        &mut self,
        request: RequestId,
        peer: Peer,
        reference: &Reference,
    ) -> Result<bool, RequestError> {
        let Some(load) = self.load_by_reference(reference) else {
            return Ok(false);
        };
        if !may_see(peer, load.owner) {
            return Err(RequestError::NotOwner);
        }
        if load.waiting.len() >= WAITING_MAX {
            return Err(RequestError::TooManyLoads);
        }
        let (id, phase, why) = (load.id, load.phase.clone(), load.why);
        let is_proven = matches!(load.standing(), Some(LoadStanding::Proven(_)));
        let is_judged = load.fetched.is_some();
        if phase == Phase::Owed && (is_proven || is_judged || self.is_stopping) {
            self.load_mut(id).retry_at = None;
            self.find(reference.clone(), PendingFind::TellLoad(vec![request], why));
            return Ok(true);
        }
        if self.config.provider.is_none() {
            // Only it can void.
            return Err(RequestError::ProviderNotConfigured);
        }
        self.load_mut(id).waiting.push(request);
        match phase {
            Phase::Checking(_) | Phase::Opening(_) => self.load_mut(id).aim = Aim::Void,
            // An entry of it may be on its way, of a card that has left: the void is asked for when that is recorded.
            Phase::WaitingForCard | Phase::Owed => {
                self.load_mut(id).presentations = 0;
                self.begin_void(id);
            }
            Phase::AtCard(reader) => {
                let is_too_late = self.visits.get(&reader).is_some_and(|it| it.is_committed_to(id));
                if !is_too_late {
                    self.load_mut(id).aim = Aim::Void;
                    self.void_at_card(&reader, id);
                }
            }
            Phase::Ending => {}
        }
        Ok(true)
    }

    /// A visit that waits for a PIN or the provider goes on with the void at once; another one when its answer has come.
    fn void_at_card(&mut self, reader: &purser_ledger::DeviceName, id: OperationId) {
        let waits = |state: &State| matches!(state, State::WaitingForPin { .. } | State::AskingProvider(_));
        if !self.visits.get(reader).is_some_and(|visit| waits(&visit.state)) {
            return;
        }
        if let Some(mut visit) = self.visits.remove(reader) {
            self.abort_pin_entry(&mut visit);
            self.serve_load(reader, visit, id);
        }
    }

    /// Purser stops: every load stays as it is recorded, and whoever waits is told so.
    pub(crate) fn stop_loads(&mut self) {
        let ids: Vec<OperationId> = self.loads.keys().copied().collect();
        for id in ids {
            self.stop_load(id);
        }
    }

    /// Stops one, unless an entry of it is on its way: then when that is recorded.
    fn stop_load(&mut self, id: OperationId) {
        let load = self.load(id);
        match load.phase.clone() {
            Phase::Opening(_) if load.changing.is_none() => {
                self.refuse_to_begin(id, RequestError::Stopping);
            }
            Phase::WaitingForCard | Phase::Ending if load.changing.is_none() => {
                self.owe(id, OwedReason::Stopped);
            }
            Phase::AtCard(reader) => {
                let visit = self.visits.get(&reader);
                let waits = |state: &State| !matches!(state, State::RecordingAttempt(_));
                if visit.is_some_and(|it| !it.is_committed_to(id) && waits(&it.state)) {
                    self.owe(id, OwedReason::Stopped);
                }
            }
            Phase::Checking(_) | Phase::Opening(_) | Phase::WaitingForCard | Phase::Ending | Phase::Owed => {}
        }
    }

    /// True while something about a load is still to be recorded or told.
    pub(crate) fn is_recording_load(&self) -> bool {
        let is_busy = |load: &Load| {
            let is_at_work = matches!(
                load.phase,
                Phase::Checking(_) | Phase::Opening(_) | Phase::AtCard(_)
            );
            is_at_work || load.changing.is_some() || !load.waiting.is_empty()
        };
        let tells = |find: &PendingFind| matches!(find, PendingFind::TellLoad(..));
        self.loads.values().any(is_busy) || self.finds.values().any(tells)
    }
}

fn asked_for(owner: Owner, asked: &BeginLoad) -> Asked {
    Asked {
        owner,
        kind: Kind::Load,
        amount: asked.amount,
    }
}
