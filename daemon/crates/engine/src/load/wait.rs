//! What a load does without a card: it waits for one, is voided, or owed.

use purser_ledger::{DeviceName, LoadStanding, Monotonic, OperationId};

use super::{Aim, Load, LoadOutcome, LoadProgress, LoadView, OwedReason, Phase};
use crate::devices::CardAt;
use crate::requests::PendingFind;
use crate::sale::PRESENTATIONS_MAX;
use crate::visit::{Serving, State, Visit};
use crate::{Engine, Output};

impl Engine {
    pub(crate) fn load(&self, id: OperationId) -> &Load {
        self.loads.get(&id).expect("a load is known until it has ended")
    }

    pub(super) fn load_mut(&mut self, id: OperationId) -> &mut Load {
        self.loads
            .get_mut(&id)
            .expect("a load is known until it has ended")
    }

    /// Puts a load back to waiting for a card.
    pub(crate) fn load_waits_for_card(&mut self, id: OperationId) {
        let deadline = self.now.monotonic.after_ms(self.config.card_wait_ms);
        if self.is_stopping {
            self.owe(id, OwedReason::Stopped);
        } else if self.load(id).aim == Aim::Void && self.load(id).challenge.is_none() {
            // It may need no card.
            self.begin_void(id);
        } else if self.load(id).presentations >= PRESENTATIONS_MAX {
            self.give_up_cards(id, OwedReason::CardsFailed);
        } else {
            let load = self.load_mut(id);
            load.phase = Phase::WaitingForCard;
            load.deadline = Some(deadline);
        }
    }

    /// No card does: a load that none can have is voided (money rule L4), another one stays owed.
    pub(super) fn give_up_cards(&mut self, id: OperationId, why: OwedReason) {
        let load = self.load_mut(id);
        load.why = Some(why);
        if load.aim == Aim::Load && load.released().is_none() {
            self.begin_void(id);
        } else {
            self.owe(id, why);
        }
    }

    /// Has the provider asked for a void, without a card.
    pub(super) fn begin_void(&mut self, id: OperationId) {
        let load = self.load_mut(id);
        load.aim = Aim::Void;
        load.phase = Phase::Ending;
        // What was asked before says nothing about the void.
        load.call = None;
        load.deadline = None;
        load.retry_at = None;
        load.challenge = None;
    }

    /// Nobody works on the load any more: whoever waits is told what is owed, as the store has it.
    pub(super) fn owe(&mut self, id: OperationId, why: OwedReason) {
        self.free_card(id);
        let load = self.load_mut(id);
        load.phase = Phase::Owed;
        load.call = None;
        load.deadline = None;
        load.why = Some(why);
        self.tell_owed(id);
    }

    /// Tells how the load stands in the store, to all who wait.
    pub(super) fn tell_owed(&mut self, id: OperationId) {
        let load = self.load_mut(id);
        let requests = std::mem::take(&mut load.waiting);
        let (why, reference) = (load.why, load.asked.reference.clone());
        self.find(reference, PendingFind::TellLoad(requests, why));
    }

    /// Ends waits for a card that have taken too long.
    pub(crate) fn handle_expired_loads(&mut self) {
        let now = self.now.monotonic;
        let is_due = |load: &&Load| load.deadline.is_some_and(|at| at <= now) && load.changing.is_none();
        let due: Vec<OperationId> = self.loads.values().filter(is_due).map(|load| load.id).collect();
        for id in due {
            self.load_mut(id).deadline = None;
            if !self.is_stopping {
                self.give_up_cards(id, OwedReason::NoCardInTime);
            }
        }
    }

    /// When a load needs the engine next, if nothing else comes before.
    pub(crate) fn load_timeout(&self) -> Option<Monotonic> {
        let is_served = |load: &&Load| load.changing.is_none() && !self.is_stopping;
        let next = |load: &Load| {
            let retry_at = load
                .retry_at
                .filter(|_| load.is_free() && load.errand().is_some());
            load.deadline.into_iter().chain(retry_at).min()
        };
        self.loads.values().filter(is_served).filter_map(next).min()
    }

    /// Gives a card that waits to be served to each load that waits for one.
    pub(crate) fn find_cards_for_loads(&mut self) {
        let is_waiting = |load: &&Load| load.phase == Phase::WaitingForCard && load.changing.is_none();
        let waiting: Vec<_> = self
            .loads
            .values()
            .filter(is_waiting)
            .map(|load| (load.id, load.asked.reader.clone()))
            .collect();
        for (id, named) in waiting {
            let Some(reader) = self.take_card(named.as_ref(), Serving::Load(id)) else {
                continue;
            };
            let load = self.load_mut(id);
            load.phase = Phase::AtCard(reader);
            load.deadline = None;
            load.presentations = load.presentations.saturating_add(1);
        }
    }

    /// True when a card could tell about a load that nobody works on.
    pub(crate) fn loads_ask_for_cards(&self) -> bool {
        self.loads
            .values()
            .any(|load| load.phase == Phase::Owed && load.waits_for_proof())
    }

    /// Every load that is open or about to begin, and why it does not get on, where that is known.
    pub fn loads(&self) -> Vec<(LoadView<LoadProgress>, Option<OwedReason>)> {
        let view = |load: &Load| (load.view(self.load_progress(load)), load.why);
        self.loads.values().map(view).collect()
    }

    /// What is durable of a load that is open.
    pub fn stored_load(&self, id: OperationId) -> Option<LoadView<LoadOutcome>> {
        self.loads.get(&id)?.stored.as_ref().map(LoadView::of)
    }

    /// Tells listeners what changed since they were last told.
    pub(crate) fn hint_loads(&mut self) {
        let ids: Vec<OperationId> = self.loads.keys().copied().collect();
        for id in ids {
            let progress = self.load_progress(self.load(id));
            // Of one that nobody works on, what is durable is told.
            let is_news = progress != LoadProgress::CheckingReference && self.load(id).is_under_way();
            let load = self.load_mut(id);
            if load.hinted != Some(progress) {
                load.hinted = Some(progress);
                let view = load.view(progress);
                if is_news {
                    self.outputs.push_back(Output::HintLoad(view));
                }
            }
        }
    }

    pub(super) fn load_progress(&self, load: &Load) -> LoadProgress {
        match &load.phase {
            Phase::Checking(_) => LoadProgress::CheckingReference,
            Phase::Opening(_) => LoadProgress::AskingProvider,
            Phase::WaitingForCard => self.load_waiting_progress(load),
            Phase::AtCard(reader) => self
                .visits
                .get(reader)
                .map_or(LoadProgress::ReadingCard, |visit| at_card_progress(visit, load)),
            Phase::Ending if load.aim == Aim::Void => LoadProgress::Voiding,
            Phase::Ending => LoadProgress::Loading,
            Phase::Owed if matches!(load.standing(), Some(LoadStanding::Proven(_))) => LoadProgress::Loading,
            Phase::Owed => LoadProgress::Owed,
        }
    }

    fn load_waiting_progress(&self, load: &Load) -> LoadProgress {
        let refused = load.refused;
        match self.cards_there(load.asked.reader.as_ref()) {
            (0, 0) => LoadProgress::WaitingForCard { refused },
            (0, _) => LoadProgress::TakeCardOut { refused },
            (1, _) => LoadProgress::ReadingCard,
            (_, _) => LoadProgress::SeveralCards,
        }
    }

    /// How many cards there are at the named reader, or at all: fresh ones, and ones that have served.
    pub(crate) fn cards_there(&self, named: Option<&DeviceName>) -> (usize, usize) {
        let cards = self
            .devices
            .readers(named)
            .map(|reader| self.devices.card_at(reader));
        cards.fold((0_usize, 0_usize), |(fresh, served), card| match card {
            CardAt::None => (fresh, served),
            CardAt::Fresh => (fresh.saturating_add(1), served),
            CardAt::Served => (fresh, served.saturating_add(1)),
        })
    }
}

fn at_card_progress(visit: &Visit, load: &Load) -> LoadProgress {
    match &visit.state {
        State::Connecting | State::Identifying(_) => LoadProgress::ReadingCard,
        State::WaitingForPin { pad } => LoadProgress::WaitingForPin {
            tries_left: visit.tries_left,
            through_api: pad.is_none(),
        },
        State::VerifyingPin(_) => LoadProgress::CheckingPin,
        State::Recovering(..) | State::ProvingLoad(..) | State::CheckingMac2(_) => LoadProgress::Resolving,
        _ if load.aim == Aim::Void => LoadProgress::Voiding,
        _ => LoadProgress::Loading,
    }
}
