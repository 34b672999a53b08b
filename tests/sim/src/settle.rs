//! The end of every run: the faults stop, every card comes back to every shop that waits for it, and every sale must end.

use purser_engine::Progress;
use purser_ledger::{Operation, Standing, StoreBroken};
use purser_purse::pboc::Attempt;

use crate::plastic::Place;
use crate::pos::TicketState;
use crate::rule::{Rule, Violation, hold};
use crate::trace::tell;
use crate::world::{Step, World};

/// Steps after which a world without faults must have come to rest: many times what the longest sale takes.
const REST_STEPS_MAX: u32 = 4_000;

/// Time limits that a world without faults may have to sit out, one after the other.
const TIMEOUTS_MAX: u32 = 40;

impl World {
    /// Lets everything that is under way come to rest. PINs are typed rightly; nobody else does anything.
    pub(crate) fn rest(&mut self) -> Result<(), Violation> {
        let mut steps: Vec<Step> = Vec::new();
        for _ in 0..REST_STEPS_MAX {
            self.steps(&mut steps);
            if let Some(step) = steps.first() {
                self.take(*step)?;
            } else if !self.unstall() && !self.give_pins() {
                return Ok(());
            }
        }
        Err(Violation::new(
            Rule::NeverHangs,
            "the world does not come to rest",
        ))
    }

    fn unstall(&mut self) -> bool {
        let mut was_stalled = false;
        for shop in &mut self.shops {
            was_stalled |= std::mem::take(&mut shop.journal_stalled) > 0;
            for device in &mut shop.devices {
                was_stalled |= std::mem::take(&mut device.stalled) > 0;
            }
        }
        was_stalled
    }

    fn give_pins(&mut self) -> bool {
        let mut is_given = false;
        for s in 0..self.shops.len() {
            if self.pad_asks(s).is_some() {
                is_given |= self.type_pin(s, true);
            } else if let Some(ticket) = self.waits_for_api_pin(s)
                && !self.shops[s].pos.is_asking(ticket, crate::pos::Ask::Pin)
            {
                self.shops[s].pos.tickets[ticket].progress = Some(Progress::CheckingPin);
                self.provide_pin(s, ticket, true);
                is_given = true;
            } else if let Some(ticket) = self.waits_for_load_pin(s)
                && !self.shops[s].pos.is_giving_pin(ticket)
            {
                self.provide_load_pin(s, ticket);
                is_given = true;
            }
        }
        is_given
    }

    /// The faults stop, then everything ends that can end; then the ends are judged.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        tell!(self, "the faults stop");
        self.heal_lines();
        self.heal()?;
        self.rest()?;
        self.end_sales()?;
        self.end_loads()?;
        for card in 0..self.cards.len() {
            self.present_everywhere(card)?;
        }
        for s in 0..self.shops.len() {
            self.conclude_doubts(s)?;
        }
        if self.provider.is_some() {
            self.settle_up()?;
        }
        self.judge()
    }

    fn heal(&mut self) -> Result<(), Violation> {
        for s in 0..self.shops.len() {
            let shop = &mut self.shops[s];
            shop.store.has_room = true;
            shop.store.refusals = 0;
            shop.store.dies = None;
            for device in &mut shop.devices {
                device.loses_answer = false;
                device.misses_removal = false;
                device.busy = 0;
                device.bouncing = 0;
            }
            shop.has_pad = true;
            if !shop.has_key || shop.is_stopping {
                shop.has_key = true;
                self.crash(s);
            }
            if self.shops[s].engine.is_none() {
                self.restart(s)?;
            }
            for d in 0..self.shops[s].devices.len() {
                if self.shops[s].uses(d) && !self.shops[s].devices[d].is_up {
                    self.shops[s].devices[d].arrive();
                }
            }
            self.repair_psam(s);
        }
        for card in 0..self.cards.len() {
            self.cards[card].card.clear_script();
            self.cards[card].scripted = None;
            self.cards[card].set_blocked(false);
            self.remove(card);
        }
        Ok(())
    }

    /// Starts a shop's process.
    pub(crate) fn restart(&mut self, s: usize) -> Result<(), Violation> {
        self.start(s)
            .map_err(|StoreBroken(cause)| Violation::new(Rule::NeverHangs, cause.to_string()))
    }

    /// No card comes any more: what waits for one ends by its time limit, and the POS asks how.
    fn end_sales(&mut self) -> Result<(), Violation> {
        for s in 0..self.shops.len() {
            for ticket in 0..self.shops[s].pos.tickets.len() {
                if self.shops[s].pos.tickets[ticket].state == TicketState::UnderWay {
                    self.attach(s, ticket);
                }
            }
            self.rest()?;
            let mut timeouts = 0;
            while self.is_selling(s) && self.pass_to_timeout(s) {
                self.rest()?;
                timeouts += 1;
                hold!(NeverHangs, timeouts < TIMEOUTS_MAX, "shop {s} waits for ever");
            }
            hold!(
                NeverHangs,
                !self.is_selling(s),
                "a sale of shop {s} is under way, and nothing will end it: {:?}",
                self.shops[s].pos.tickets
            );
            // What is asked of a load may wait for its card.
            let mut pending = self.shops[s].pos.pending.iter();
            hold!(
                AnsweredOnce,
                pending.all(|it| it.ask.is_of_party()),
                "shop {s} never answers {:?}",
                self.shops[s].pos.pending
            );
        }
        Ok(())
    }

    fn is_selling(&self, s: usize) -> bool {
        let tickets = &self.shops[s].pos.tickets;
        tickets.iter().any(|it| it.state == TicketState::UnderWay)
    }

    /// Puts a card into each shop that holds a sale with it in doubt, twice: a broken attempt may begin again.
    fn present_everywhere(&mut self, card: usize) -> Result<(), Violation> {
        for s in 0..self.shops.len() {
            for _ in 0..2 {
                if self.doubts(s, card) == 0 {
                    break;
                }
                self.insert(card, s, 0);
                self.rest()?;
                self.remove(card);
                self.rest()?;
            }
        }
        Ok(())
    }

    /// How many sales of this shop wait for this card.
    pub(crate) fn doubts(&self, s: usize, card: usize) -> usize {
        let asn = self.cards[card].card.personalisation().serial;
        let operations = self.shops[s].store.operations().iter();
        let waiting = operations.filter(|it| it.waits_for_card());
        waiting
            .filter(|it| it.key().is_some_and(|key| *key.card.serial() == asn.0))
            .count()
    }

    /// The POS decides about what stayed in doubt, and repeats what was refused.
    fn conclude_doubts(&mut self, s: usize) -> Result<(), Violation> {
        for ticket in 0..self.shops[s].pos.tickets.len() {
            let it = &self.shops[s].pos.tickets[ticket];
            if let Some(chosen) = it.chose {
                self.conclude(s, ticket, chosen);
            } else if it.is_in_doubt() {
                let conclusion = if self.rng.one_in(2) {
                    purser_ledger::Conclusion::GoodsGiven
                } else {
                    purser_ledger::Conclusion::Abandoned
                };
                self.conclude(s, ticket, conclusion);
            } else if it.state == TicketState::Told {
                self.attach(s, ticket);
            }
            self.rest()?;
        }
        Ok(())
    }

    /// Every sale has the end that it must have.
    fn judge(&mut self) -> Result<(), Violation> {
        for s in 0..self.shops.len() {
            hold!(
                AnsweredOnce,
                self.shops[s].pos.pending.is_empty(),
                "shop {s} never answers {:?}",
                self.shops[s].pos.pending
            );
            self.judge_operations(s)?;
            self.judge_tickets(s)?;
        }
        self.tally.steps += self.steps;
        Ok(())
    }

    fn judge_operations(&mut self, s: usize) -> Result<(), Violation> {
        let shop = &self.shops[s];
        for operation in shop.store.operations() {
            let Some(intended) = &operation.intended else {
                continue;
            };
            let serial = intended.key.card.serial();
            let of_card = self
                .cards
                .iter()
                .find(|it| it.card.personalisation().serial.0 == *serial);
            let can_tell = of_card.is_some_and(|it| !it.is_pin_blocked());
            hold!(
                Resolved,
                !(can_tell && operation.waits_for_card()),
                "{} of shop {s} is {:?} although its card came back",
                operation.reference,
                operation.standing
            );
            let attempt = Attempt::decode(intended.attempt.bytes());
            hold!(
                Resolved,
                attempt.is_ok(),
                "the attempt of {} cannot be read",
                operation.reference
            );
        }
        self.tally.sales += u64::try_from(shop.store.operations().len()).unwrap_or(0);
        Ok(())
    }

    fn judge_tickets(&self, s: usize) -> Result<(), Violation> {
        let shop = &self.shops[s];
        for ticket in &shop.pos.tickets {
            let of_ticket = |it: &&Operation| it.reference == ticket.reference;
            let operation = shop.store.operations().iter().find(of_ticket);
            let told = ticket.told.as_ref();
            // A reference used again with another amount, before the ticket's own request was taken, is another's sale.
            let is_anothers = operation.is_some_and(|it| it.amount != ticket.amount) && told.is_none();
            hold!(
                ToldIsTrue,
                is_anothers || told.map(|it| it.operation) == operation.map(|it| it.id),
                "{} was told {told:?}, and the journal has {operation:?}",
                ticket.reference
            );
            let Some(operation) = operation else {
                hold!(
                    ToldIsTrue,
                    !ticket.has_goods,
                    "goods went out for {}",
                    ticket.reference
                );
                continue;
            };
            hold!(
                ToldIsTrue,
                operation.conclusion == ticket.chose,
                "the POS chose {:?} for {}, and the journal has {:?}",
                ticket.chose,
                ticket.reference,
                operation.conclusion
            );
            let is_paid = matches!(operation.standing, Standing::Paid(_));
            let is_settled = is_paid || ticket.chose.is_some();
            hold!(
                ToldIsTrue,
                !ticket.has_goods || is_settled,
                "goods went out for {}, which is {:?}",
                ticket.reference,
                operation.standing
            );
        }
        Ok(())
    }

    /// True when the card is in a reader of this shop.
    pub(crate) fn is_in(&self, card: usize, s: usize) -> bool {
        matches!(self.cards[card].place, Place::In { shop, .. } if shop == s)
    }
}
