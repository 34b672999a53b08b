//! What people do between two steps where both parties take part: loads at the counter and elsewhere, settlement, cards carried.

use purser_engine::LoadProgress;
use purser_ledger::OperationId;
use purser_provider_link::LoadId;
use purser_provider_rules::load::Phase;

use crate::fault::FaultKind;
use crate::kit::SHOPS;
use crate::line::Fate;
use crate::pos::TicketState;
use crate::schedule::Schedule;
use crate::world::World;

/// The shop that is the provider's counter: most loads are made there.
const COUNTER: usize = 1;
/// How often a POS asks for a load that is refused.
const TRIES_MAX: u8 = 3;
/// Messages that an outage swallows, at most.
const OUTAGE: usize = 6;

/// Messages that pass before one is lost, without this one.
const SKIPPED_MAX: usize = 5;

/// What is to be done with the provider in a schedule.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    /// Loads that nobody has asked for yet.
    pub(crate) loads: u8,
    /// Settlements that nobody has asked for yet.
    pub(crate) settlements: u8,
}

impl Schedule {
    /// Somebody at this shop goes on with what the provider takes part in. False when there is nothing to do.
    pub(crate) fn run_errand(&mut self, s: usize) -> bool {
        if self.world.provider.is_none() {
            return false;
        }
        let is_busy = self.world.shops[s].pos.active().is_some();
        if let Some(ticket) = self.world.shops[s].pos.active_load() {
            return self.serve_load(s, ticket);
        }
        let has_place = !is_busy || self.world.rng.one_in(8);
        if self.errands.loads > 0 && has_place && self.world.rng.one_in(2) {
            if s != COUNTER && !self.world.rng.one_in(6) {
                return false;
            }
            self.errands.loads -= 1;
            let ticket = self.world.new_load(s, None);
            let through_api = self.world.rng.one_in(6);
            self.world.shops[s].pos.loads[ticket].through_api = through_api;
            self.world.ask_load(s, ticket);
            return true;
        }
        if self.errands.settlements > 0 && self.world.rng.one_in(8) {
            self.errands.settlements -= 1;
            self.world.ask_settle(s);
            return true;
        }
        false
    }

    fn serve_load(&mut self, s: usize, ticket: usize) -> bool {
        let pos = &self.world.shops[s].pos;
        let load = &pos.loads[ticket];
        let is_asked = pos.is_asking_load(ticket);
        match (load.state, load.progress) {
            (TicketState::New, _) if load.tries >= TRIES_MAX => {
                self.world.shops[s].pos.loads[ticket].state = TicketState::Dropped;
                true
            }
            (TicketState::New, _) if !is_asked => {
                self.world.ask_load(s, ticket);
                true
            }
            (TicketState::UnderWay, None) if !is_asked => {
                self.world.ask_load(s, ticket);
                true
            }
            (_, Some(LoadProgress::WaitingForCard { .. })) => self.put_card_in(s),
            (_, Some(LoadProgress::TakeCardOut { .. } | LoadProgress::SeveralCards)) => self.take_card_out(s),
            (
                _,
                Some(LoadProgress::WaitingForPin {
                    through_api: true, ..
                }),
            ) if !self.world.shops[s].pos.is_giving_pin(ticket) => {
                self.world.provide_load_pin(s, ticket);
                true
            }
            (_, Some(LoadProgress::NotRecorded)) if !is_asked => {
                self.world.shops[s].pos.loads[ticket].state = TicketState::New;
                self.world.shops[s].pos.loads[ticket].progress = None;
                true
            }
            _ => false,
        }
    }

    /// A fault of a message waits for its message; it is counted when it strikes.
    pub(crate) fn arm_message(&mut self, fault: FaultKind, s: usize) -> bool {
        let skipped = self.world.rng.below(SKIPPED_MAX);
        let fates = &mut self.world.shops[s].uplink.fates;
        fates.extend(std::iter::repeat_n(Fate::Arrives, skipped));
        fates.push_back(match fault {
            FaultKind::MessageLost => Fate::Lost,
            FaultKind::MessageUnanswered => Fate::Unanswered,
            _ => Fate::Twice,
        });
        self.fired += 1;
        true
    }

    /// A fault of the line, of the provider, or of somebody who changes his mind.
    pub(crate) fn at_provider(&mut self, fault: FaultKind, s: usize) -> bool {
        let world = &mut self.world;
        match fault {
            FaultKind::LineDown => {
                let messages = 2 + world.rng.below(OUTAGE);
                world.shops[s]
                    .uplink
                    .fates
                    .extend(std::iter::repeat_n(Fate::Lost, messages));
                true
            }
            FaultKind::LineSlow => {
                let is_talking = world.shops[s].uplink.is_talking();
                world.shops[s].uplink.stalled = 10 + u32::try_from(world.rng.below(60)).unwrap_or(0);
                is_talking
            }
            FaultKind::MessageLate => world.arrives_late(),
            FaultKind::ProviderDied => world.kill_provider(s),
            FaultKind::LoadCancelled => world.cancel_some_load(s),
            FaultKind::LoadElsewhere => world.load_elsewhere(s),
            FaultKind::BatchGivenUp => world.give_up_batch(),
            _ => world.ask_void_batch(s),
        }
    }
}

impl World {
    /// The provider's process dies between its commit and its answer.
    fn kill_provider(&mut self, s: usize) -> bool {
        let is_talking = self.shops[s].uplink.is_talking();
        if is_talking {
            self.shops[s].uplink.fates.clear();
            self.shops[s].uplink.fates.push_back(Fate::Unanswered);
            self.go_on(s);
        }
        if let Some(provider) = &mut self.provider {
            provider.crash();
        }
        self.is_dirty = true;
        is_talking
    }

    /// A POS wants a load void that has not ended, or again the load.
    fn cancel_some_load(&mut self, s: usize) -> bool {
        if self.shops[s].engine.is_none() || self.shops[s].pos.loads.is_empty() {
            return false;
        }
        let ticket = self.rng.below(self.shops[s].pos.loads.len());
        let load = &mut self.shops[s].pos.loads[ticket];
        if load.has_end() || load.state == TicketState::Dropped {
            return false;
        }
        load.wants_void = !load.wants_void;
        self.ask_load(s, ticket);
        true
    }

    /// The holder goes to the other shop with a load that has not ended.
    fn load_elsewhere(&mut self, s: usize) -> bool {
        if self.shops[s].engine.is_none() {
            return false;
        }
        let is_known = |load: &OperationId| self.shops[s].pos.loads.iter().any(|it| it.load == *load);
        let provider = self.provider.iter().flat_map(|it| it.loads.iter());
        let open = provider.filter(|(_, kept)| matches!(kept.record.phase(), Phase::Open | Phase::Released));
        let mut there = open
            .map(|(LoadId(id), _)| OperationId::new(*id))
            .filter(|it| !is_known(it));
        let Some(load) = there.next() else {
            return false;
        };
        drop(there);
        let ticket = self.new_load(s, Some(load));
        self.ask_load(s, ticket);
        true
    }

    /// An operator of the provider gives a batch up.
    fn give_up_batch(&mut self) -> bool {
        let Some(provider) = &mut self.provider else {
            return false;
        };
        let ids: Vec<_> = provider.batches.keys().copied().collect();
        if ids.is_empty() {
            return false;
        }
        provider.give_up(ids[self.rng.below(ids.len())]);
        self.is_dirty = true;
        true
    }

    /// How many shops have a load under way, or one that its POS has not given up.
    pub(crate) fn are_loads_over(&self) -> bool {
        (0..SHOPS).all(|s| self.shops[s].pos.active_load().is_none())
    }
}
