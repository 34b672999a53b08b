//! The end of a run with both parties: all lines are up, every card is presented, and everything is decided.

use purser_engine::LoadProgress;
use purser_ledger::{BatchStanding, LoadStanding};
use purser_provider_link::LoadId;
use purser_provider_rules::load::Phase;

use crate::kit::CARDS;
use crate::pos::TicketState;
use crate::rule::{Violation, hold};
use crate::trace::tell;
use crate::world::World;

/// Rounds in which every load is asked for once, and every card is presented.
const ROUNDS_MAX: u32 = 12;
/// Time limits that a settlement may have to sit out: the line's pauses.
const PAUSES_MAX: u32 = 12;

impl World {
    /// The line is good from now on.
    pub(crate) fn heal_lines(&mut self) {
        for shop in &mut self.shops {
            shop.uplink.fates.clear();
            shop.uplink.stalled = 0;
        }
    }

    /// Ends every load.
    pub(crate) fn end_loads(&mut self) -> Result<(), Violation> {
        for _ in 0..ROUNDS_MAX {
            if self.are_loads_decided() {
                return Ok(());
            }
            for s in 0..self.shops.len() {
                for ticket in 0..self.shops[s].pos.loads.len() {
                    self.end_load(s, ticket)?;
                }
            }
        }
        let open = self.provider.iter().flat_map(|it| it.loads.iter());
        let open: Vec<_> = open.map(|(id, kept)| (id, kept.record.stored())).collect();
        hold!(
            NeverHangs,
            self.are_loads_decided(),
            "a load has no end: {open:?}; the tills {:?}",
            self.shops.iter().map(|shop| &shop.pos.loads).collect::<Vec<_>>()
        );
        Ok(())
    }

    fn are_loads_decided(&self) -> bool {
        let here = self.shops.iter().flat_map(|shop| shop.store.loads());
        let mut there = self.provider.iter().flat_map(|it| it.loads.values());
        here.into_iter()
            .all(|it| matches!(it.standing, LoadStanding::Confirmed(_) | LoadStanding::Voided))
            && there.all(|it| matches!(it.record.phase(), Phase::Done | Phase::Voided))
    }

    /// The POS asks for the load, and its holder comes with the card that it may be on, or with any.
    fn end_load(&mut self, s: usize, ticket: usize) -> Result<(), Violation> {
        let load = &self.shops[s].pos.loads[ticket];
        let id = load.load;
        let here = self.shops[s].store.load(id).map(|load| load.standing.clone());
        let there = self
            .provider
            .as_ref()
            .and_then(|it| it.phase(LoadId(*id.bytes())));
        let is_over = matches!(here, Some(LoadStanding::Confirmed(_) | LoadStanding::Voided));
        if is_over || (here.is_none() && matches!(there, Some(Phase::Done | Phase::Voided))) {
            return Ok(());
        }
        tell!(self, "shop {s}: load {ticket} is to end: {here:?}, {there:?}");
        self.ask_load(s, ticket);
        self.rest()?;
        for card in self.cards_for(id) {
            let progress = self.shops[s].pos.loads[ticket].progress;
            // A removal that nobody noticed looks like a card that lies there.
            let is_asked_for = matches!(
                progress,
                Some(LoadProgress::WaitingForCard { .. } | LoadProgress::TakeCardOut { .. })
            );
            let may_prove = self.shops[s].pos.loads[ticket].state == TicketState::Told;
            if is_asked_for || may_prove {
                self.insert(card, s, 0);
                self.rest()?;
                self.remove(card);
                self.rest()?;
            }
        }
        // Whatever the engine waits for: the line's pause, or a card that does not come.
        if self.pass_to_timeout(s) {
            self.rest()?;
        }
        Ok(())
    }

    /// The card that may have the value; else each.
    fn cards_for(&self, id: purser_ledger::OperationId) -> Vec<usize> {
        let kept = self
            .provider
            .as_ref()
            .and_then(|it| it.loads.get(&LoadId(*id.bytes())));
        let bound = kept.and_then(|kept| kept.record.card());
        let serial = |card: usize| self.cards[card].card.personalisation().serial.0;
        let is_it = |card: &usize| bound.is_none_or(|bound| *bound.serial() == serial(*card));
        (0..CARDS).filter(is_it).collect()
    }

    /// Settles until nothing is left, then judges both parties.
    pub(crate) fn settle_up(&mut self) -> Result<(), Violation> {
        for s in 0..self.shops.len() {
            for _ in 0..PAUSES_MAX {
                self.ask_settle(s);
                self.rest()?;
                if self.is_settled(s) {
                    break;
                }
                self.pass_to_timeout(s);
                self.rest()?;
            }
            hold!(
                NeverHangs,
                self.is_settled(s),
                "shop {s} is never settled: {:?}",
                self.shops[s].store.settlements()
            );
            hold!(
                AnsweredOnce,
                self.shops[s].pos.pending.is_empty(),
                "shop {s} never answers {:?}",
                self.shops[s].pos.pending
            );
        }
        self.check_agreement()
    }

    fn is_settled(&self, s: usize) -> bool {
        let store = &self.shops[s].store;
        let is_under_way = store
            .settlements()
            .iter()
            .any(|it| it.standing == BatchStanding::Sealed);
        let (_, open) = store.range(self.kit.currency);
        !is_under_way && open.count == 0
    }
}
