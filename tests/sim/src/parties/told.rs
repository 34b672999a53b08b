//! What the POS is told of loads and batches, beside what is durable.

use purser_engine::settlement::{BatchState, BatchView};
use purser_engine::{LoadEnd, LoadTold};

use crate::flaw::Flaw;
use crate::pos::TicketState;
use crate::rule::{Violation, hold};
use crate::told::load_is_kept;
use crate::trace::tell;
use crate::world::World;

impl World {
    /// What a door that breaks its rules makes of what it is to tell.
    pub(super) fn distort_load(&self, told: &mut LoadTold) {
        let is_owed = matches!(told.view.state.end, LoadEnd::Owed { .. });
        if self.flaw == Flaw::DoorVoidsLoads && is_owed {
            told.view.state.end = LoadEnd::Voided;
        }
    }

    /// A load is told to the POS: it is as the disk has it, and answers what was asked.
    pub(super) fn load_told(&mut self, s: usize, told: &LoadTold) -> Result<(), Violation> {
        let shop = &mut self.shops[s];
        let kept = load_is_kept(&shop.store, &told.view);
        hold!(ToldIsTrue, kept.is_ok(), "shop {s}: {kept:?}");
        for request in &told.requests {
            let pending = shop.pos.take(*request);
            hold!(AnsweredOnce, pending.is_some(), "{request:?} is answered twice");
        }
        let ticket = shop
            .pos
            .loads
            .iter_mut()
            .find(|it| it.reference == told.view.reference);
        hold!(
            ReferenceIsOneSale,
            ticket.is_some(),
            "nobody asked for {}",
            told.view.reference
        );
        let ticket = ticket.expect("it was just seen");
        let (before, now) = (ticket.told.as_ref().map(|it| it.state.end), told.view.state.end);
        let contradicts = match (before, now) {
            (Some(LoadEnd::Loaded { .. }), now) => !matches!(now, LoadEnd::Loaded { .. }),
            (Some(LoadEnd::Voided), now) => now != LoadEnd::Voided,
            _ => false,
        };
        hold!(
            ToldIsTrue,
            !contradicts,
            "{} was told as {before:?}, and is now {now:?}",
            ticket.reference
        );
        ticket.told = Some(told.view.clone());
        ticket.progress = None;
        ticket.state = TicketState::Told;
        tell!(self, "shop {s}: the POS hears of its load {now:?}");
        self.is_dirty = true;
        self.tally.load_told(now);
        Ok(())
    }

    /// The end of a batch is told: it is as the disk has it.
    pub(super) fn batch_told(&mut self, s: usize, view: &BatchView) -> Result<(), Violation> {
        let store = &self.shops[s].store;
        let settlement = store.settlements().iter().find(|it| it.id == view.id);
        let is_kept = settlement.is_some_and(|it| BatchView::of(it) == *view && store.is_on_disk(&it.head));
        hold!(
            ToldIsDurable,
            is_kept,
            "shop {s} tells {view:?}, and the disk has {settlement:?}"
        );
        tell!(self, "shop {s}: the batch is {:?}", view.state);
        self.tally.batch_told(view.state);
        Ok(())
    }

    /// A batch that a request is answered with is sealed on the disk, or is none.
    pub(super) fn batch_hinted(&self, s: usize, view: &BatchView) -> Result<(), Violation> {
        let store = &self.shops[s].store;
        let settlement = store.settlements().iter().find(|it| it.id == view.id);
        let is_sealed = settlement.is_some_and(|it| store.is_on_disk(&it.head));
        hold!(
            ToldIsDurable,
            is_sealed || view.state == BatchState::NotSealed,
            "shop {s} answers with {view:?}, and the disk has {settlement:?}"
        );
        Ok(())
    }
}
