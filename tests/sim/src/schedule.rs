//! One schedule: what the seed draws, and how the people in it go about their business.

use std::sync::Arc;

use purser_engine::Progress;

use crate::fault::FaultKind;
use crate::flaw::Flaw;
use crate::kit::{CARDS, CardKind, Kit, PIN_FREE_UP_TO, SHOPS};
use crate::parties::Errands;
use crate::plastic::Plastic;
use crate::pos::TicketState;
use crate::rule::{Rule, Violation};
use crate::tally::Tally;
use crate::trace::Trace;
use crate::world::{Step, World};

/// The sales of one schedule: three, and now and then one more.
const SALES: usize = 3;
/// Turns after which a schedule goes to its end, whatever is still under way.
const TURNS_MAX: u32 = 1_200;
/// Turns without any event after which a fault that has not found its moment is given up.
const IDLE_TURNS_MAX: u32 = 48;
/// How often a POS tries to begin a sale that is refused.
const TRIES_MAX: u8 = 3;
pub(crate) struct Schedule {
    pub(crate) world: World,
    /// Good cards, one price, one card in most hands, and faults that put sales in doubt.
    pub(crate) is_hard: bool,
    /// Faults that have not found their moment.
    pub(crate) faults: Vec<FaultKind>,
    pub(crate) fired: u32,
    /// How many more wrong PINs the buyer types.
    pub(crate) wrong_pins: u8,
    /// A broken card is kept for the shop that waits for it.
    pub(crate) only_shop: [Option<usize>; CARDS],
    pub(crate) errands: Errands,
    tries: [Vec<u8>; SHOPS],
    sales: usize,
    /// How many sales a schedule must have begun.
    sales_least: usize,
}

impl Schedule {
    pub(crate) fn new(kit: &Arc<Kit>, seed: u64, tally: Tally, trace: Trace, flaw: Flaw) -> Self {
        let mut world = World::new(Arc::clone(kit), seed, tally, trace, flaw);
        let is_hard = world.rng.one_in(4);
        for number in 0..CARDS {
            let kind = if is_hard {
                world.rng.pick(&CardKind::ALL[..5])
            } else {
                world.rng.pick(&KINDS)
            };
            let balance = if is_hard {
                5_000
            } else {
                world.rng.pick(&[1_000, 1_000, 650, 300])
            };
            let sn = world.rng.pick(&[0, 7, 300]);
            world.tally.card(kind);
            let card = Plastic::new(kit, kind, number, balance, sn);
            world.cards.push(card);
        }
        for s in 0..SHOPS {
            let shop = &mut world.shops[s];
            shop.readers = if world.rng.one_in(4) { 2 } else { 1 };
            shop.has_pad = !world.rng.one_in(8);
            let has_psam = world.rng.one_in(2);
            if world.rng.one_in(3) {
                let mut config = kit.configs[s].clone();
                config.pin_free_up_to.insert(kit.currency, PIN_FREE_UP_TO);
                shop.config = Some(config);
            }
            if has_psam {
                world.give_psam(s);
            }
        }
        let from: &[FaultKind] = if is_hard { &HARD } else { &FaultKind::ALL };
        let faults = 1 + world.rng.below(if is_hard { 6 } else { 4 });
        let faults = (0..faults).map(|_| world.rng.pick(from)).collect();
        let more = if is_hard { 3 } else { 2 };
        let sales = SALES + world.rng.below(more);
        Self {
            is_hard,
            world,
            faults,
            fired: 0,
            wrong_pins: 0,
            only_shop: [None; CARDS],
            errands: Errands::default(),
            tries: Default::default(),
            sales,
            sales_least: SALES,
        }
    }

    /// A schedule with both parties: good cards, few sales, and the errands that take a provider.
    pub(crate) fn of_parties(kit: &Arc<Kit>, seed: u64, tally: Tally, trace: Trace, flaw: Flaw) -> Self {
        let mut world = World::new(Arc::clone(kit), seed, tally, trace, flaw);
        for number in 0..CARDS {
            let kind = world.rng.pick(&CardKind::ALL[..5]);
            let balance = world.rng.pick(&[0, 300, 650, 1_000]);
            let sn = world.rng.pick(&[0, 7, 300]);
            world.tally.card(kind);
            let card = Plastic::new(kit, kind, number, balance, sn);
            world.cards.push(card);
        }
        for shop in &mut world.shops {
            shop.readers = 1;
        }
        world.enrol();
        let faults = 1 + world.rng.below(5);
        let faults = (0..faults).map(|_| match world.rng.one_in(2) {
            true => world.rng.pick(&TEARING),
            false => world.rng.pick(&FaultKind::OF_PARTIES),
        });
        let faults = faults.collect();
        let loads = u8::from(!world.rng.one_in(6)) + u8::from(world.rng.one_in(6));
        let settlements = u8::from(world.rng.one_in(2));
        let sales = 1 + usize::from(world.rng.one_in(6));
        Self {
            is_hard: false,
            world,
            faults,
            fired: 0,
            wrong_pins: 0,
            only_shop: [None; CARDS],
            errands: Errands { loads, settlements },
            tries: Default::default(),
            sales,
            sales_least: 0,
        }
    }

    pub(crate) fn play(&mut self) -> Result<(), Violation> {
        for s in 0..SHOPS {
            self.world.restart(s)?;
        }
        let mut steps = Vec::new();
        let (mut turns, mut idle) = (0, 0);
        while turns < TURNS_MAX && !self.is_over(idle) {
            turns += 1;
            idle += u32::from(!self.turn(&mut steps)?);
        }
        if self.fired == 0 {
            self.fire(FaultKind::Crash)?;
        }
        self.world.settle()?;
        self.world.tally.schedules += 1;
        let begun: usize = self.world.shops.iter().map(|shop| shop.pos.tickets.len()).sum();
        if begun < self.sales_least {
            return Err(Violation::new(
                Rule::NeverHangs,
                format!("only {begun} sales began"),
            ));
        }
        Ok(())
    }

    /// True when every sale has its end, and the faults that are left have had their chances.
    fn is_over(&self, idle: u32) -> bool {
        let tickets = || self.world.shops.iter().flat_map(|shop| &shop.pos.tickets);
        let is_done = |state| matches!(state, TicketState::Told | TicketState::Dropped);
        (self.faults.is_empty() || idle > IDLE_TURNS_MAX)
            && tickets().count() >= self.sales
            && self.errands.loads == 0
            && self.world.are_loads_over()
            && tickets().all(|ticket| is_done(ticket.state))
    }

    /// One turn of the world. False when nothing happened in it.
    fn turn(&mut self, steps: &mut Vec<Step>) -> Result<bool, Violation> {
        let dice = self.world.rng.below(64);
        if dice < 4 && !self.faults.is_empty() {
            let index = self.world.rng.below(self.faults.len());
            if self.fire(self.faults[index])? {
                self.faults.swap_remove(index);
                return Ok(true);
            }
        }
        if dice >= 60 && self.live()? {
            return Ok(true);
        }
        self.world.steps(steps);
        if !steps.is_empty() {
            let step = self.world.rng.pick(steps);
            self.world.take(step)?;
            return Ok(true);
        }
        if self.live()? {
            return Ok(true);
        }
        self.wait();
        Ok(false)
    }

    /// Nobody does anything: time passes for a shop that waits, else everywhere.
    fn wait(&mut self) {
        let s = self.world.rng.below(SHOPS);
        if self.is_patient(s) || !self.world.pass_to_timeout(s) {
            for s in 0..SHOPS {
                self.world.pass_ms(s, 100);
            }
        }
    }

    /// True when somebody will still do something before the shop's time limits end it.
    fn is_patient(&mut self, s: usize) -> bool {
        let is_down = self.world.shops[s].engine.is_none();
        is_down || !self.world.rng.one_in(4)
    }

    /// People go about their business in some shop. False when there is nothing to do there.
    fn live(&mut self) -> Result<bool, Violation> {
        let s = self.world.rng.below(SHOPS);
        if self.world.shops[s].engine.is_none() {
            if self.world.rng.one_in(4) {
                self.world.restart(s)?;
            }
            return Ok(true);
        }
        self.repair(s);
        if self.world.pad_asks(s).is_some() {
            let is_wrong = self.wrong_pins > 0;
            self.wrong_pins = self.wrong_pins.saturating_sub(1);
            return Ok(self.world.type_pin(s, !is_wrong));
        }
        if self.run_errand(s) {
            return Ok(true);
        }
        let has_two = self.world.shops[s].readers == 2;
        match self.world.shops[s].pos.active() {
            Some(_) if has_two && self.world.rng.one_in(8) && self.has_sales_left() => Ok(self.next_sale(s)),
            Some(ticket) if self.world.rng.one_in(2) => Ok(self.serve(s, ticket)),
            Some(_) => {
                let ticket = self.world.shops[s].pos.active_last();
                Ok(ticket.is_some_and(|ticket| self.serve(s, ticket)))
            }
            None => Ok(self.between_sales(s)),
        }
    }

    /// What was unplugged comes back, and somebody makes room on the disk.
    fn repair(&mut self, s: usize) {
        for d in 0..self.world.shops[s].devices.len() {
            let shop = &mut self.world.shops[s];
            if shop.uses(d) && !shop.devices[d].is_up && self.world.rng.one_in(4) {
                shop.devices[d].arrive();
            }
        }
        if self.world.rng.one_in(32) {
            self.world.repair_psam(s);
        }
        self.world.shops[s].store.has_room |= self.world.rng.one_in(16);
    }

    fn between_sales(&mut self, s: usize) -> bool {
        let readers = self.world.shops[s].readers;
        let held: Option<usize> = (0..readers).find_map(|d| self.world.card_at(s, d));
        let is_loading = self.world.shops[s].pos.active_load().is_some();
        if let Some(card) = held
            && !is_loading
            && !self.world.rng.one_in(8)
        {
            self.world.remove(card);
            return true;
        }
        if self.has_sales_left() {
            self.next_sale(s)
        } else {
            self.bring_back(s)
        }
    }

    fn has_sales_left(&self) -> bool {
        let tickets: usize = self.world.shops.iter().map(|shop| shop.pos.tickets.len()).sum();
        tickets < self.sales
    }

    /// A POS begins a sale that nobody has seen yet.
    fn next_sale(&mut self, s: usize) -> bool {
        let readers = self.world.shops[s].readers;
        let minor = match self.is_hard {
            true => 300,
            false => self.world.rng.pick(&PRICES),
        };
        let ticket = self.world.new_ticket(s, minor);
        let through_api = self.world.rng.one_in(5);
        let named = self.world.rng.below(readers);
        let is_named = self.world.rng.one_in(if readers == 2 { 2 } else { 6 });
        let reader = is_named.then(|| self.world.kit.readers[named].clone());
        let it = &mut self.world.shops[s].pos.tickets[ticket];
        it.through_api = through_api;
        it.reader = reader;
        self.tries[s].push(0);
        self.world.begin(s, ticket);
        true
    }

    /// A buyer brings the card back to a shop that holds a sale in doubt.
    fn bring_back(&mut self, s: usize) -> bool {
        let card = self.world.wallet().find(|card| self.world.doubts(s, *card) > 0);
        let Some(card) = card else { return false };
        if self.world.card_at(s, 0).is_some() || !self.world.rng.one_in(2) {
            return false;
        }
        self.world.insert(card, s, 0);
        true
    }

    /// One sale goes on.
    fn serve(&mut self, s: usize, ticket: usize) -> bool {
        let it = &self.world.shops[s].pos.tickets[ticket];
        let asked = self.world.shops[s]
            .pos
            .pending
            .iter()
            .any(|pending| pending.ticket == Some(ticket) && !pending.ask.is_of_party());
        match (it.state, it.progress) {
            (TicketState::New, _) => self.try_again(s, ticket),
            (TicketState::UnderWay, None) if !asked => {
                self.world.attach(s, ticket);
                true
            }
            (_, Some(Progress::WaitingForCard)) => self.put_card_in(s),
            (_, Some(Progress::TakeCardOut | Progress::SeveralCards)) => self.take_card_out(s),
            (
                _,
                Some(Progress::WaitingForPin {
                    through_api: true, ..
                }),
            ) if !asked => {
                let is_wrong = self.wrong_pins > 0;
                self.wrong_pins = self.wrong_pins.saturating_sub(1);
                self.world.provide_pin(s, ticket, !is_wrong);
                true
            }
            _ if self.world.rng.one_in(32) => {
                self.world.read_purse(s);
                true
            }
            _ => false,
        }
    }

    fn try_again(&mut self, s: usize, ticket: usize) -> bool {
        let tries = &mut self.tries[s][ticket];
        *tries += 1;
        if *tries > TRIES_MAX {
            self.world.shops[s].pos.tickets[ticket].state = TicketState::Dropped;
        } else {
            self.world.begin(s, ticket);
        }
        true
    }

    pub(crate) fn put_card_in(&mut self, s: usize) -> bool {
        let readers = self.world.shops[s].readers;
        let d = self.world.rng.below(readers);
        let may = |card: &usize| self.only_shop[*card].is_none_or(|only| only == s);
        let wallet: Vec<usize> = self.world.wallet().filter(may).collect();
        if wallet.is_empty() || self.world.card_at(s, d).is_some() {
            return self.world.rng.one_in(8) && self.take_any_card();
        }
        let is_favourite = self.is_hard && wallet.contains(&0) && !self.world.rng.one_in(8);
        let card = if is_favourite {
            0
        } else {
            self.world.rng.pick(&wallet)
        };
        self.world.insert(card, s, d);
        if let (Some(other), true) = (
            wallet.iter().find(|it| **it != card),
            readers == 2 && self.world.rng.one_in(4),
        ) {
            self.world.insert(*other, s, 1 - d);
        }
        true
    }

    pub(crate) fn take_card_out(&mut self, s: usize) -> bool {
        let readers = self.world.shops[s].readers;
        let d = self.world.rng.below(readers);
        let Some(card) = self.world.card_at(s, d) else {
            return false;
        };
        self.world.remove(card);
        true
    }

    /// Somebody remembers a card that was left somewhere.
    fn take_any_card(&mut self) -> bool {
        let card = self.world.rng.below(CARDS);
        self.world.remove(card);
        true
    }
}

/// What sales cost, in minor units; the last is more than any card holds.
const PRICES: [u64; 12] = [100, 100, 300, 300, 300, 300, 300, 300, 300, 500, 500, 2_000];

/// The faults that put sales in doubt, and those that make it hard to find out.
const HARD: [FaultKind; 30] = [
    FaultKind::TornBefore,
    FaultKind::TornBefore,
    FaultKind::TornBefore,
    FaultKind::TornAfter,
    FaultKind::TornAfter,
    FaultKind::Garbage,
    FaultKind::RefusedBefore,
    FaultKind::RefusedBefore,
    FaultKind::WrongMac2,
    FaultKind::RefusedAfter,
    FaultKind::AnswerLost,
    FaultKind::Crash,
    FaultKind::Crash,
    FaultKind::CrashKept,
    FaultKind::ClockBack,
    FaultKind::ClockBack,
    FaultKind::PaidElsewhere,
    FaultKind::PaidElsewhere,
    FaultKind::PaidElsewhere,
    FaultKind::LoadedElsewhere,
    FaultKind::CounterBroken,
    FaultKind::ConcludeRace,
    FaultKind::KeyLost,
    FaultKind::DriverDied,
    FaultKind::PsamCut,
    FaultKind::PsamCut,
    FaultKind::PsamOut,
    FaultKind::PsamOdd,
    FaultKind::PsamRefuses,
    FaultKind::PsamHeldUp,
];

/// The faults that leave a load or a batch in doubt, and those that make it hard to find out.
const TEARING: [FaultKind; 16] = [
    FaultKind::TornBefore,
    FaultKind::TornBefore,
    FaultKind::TornAfter,
    FaultKind::TornAfter,
    FaultKind::RefusedAfter,
    FaultKind::AnswerLost,
    FaultKind::Crash,
    FaultKind::CrashKept,
    FaultKind::CrashLost,
    FaultKind::MessageLost,
    FaultKind::MessageUnanswered,
    FaultKind::MessageTwice,
    FaultKind::LineDown,
    FaultKind::LoadCancelled,
    FaultKind::LoadElsewhere,
    FaultKind::BatchGivenUp,
];

/// The kinds of cards in the hands of buyers: mostly good ones.
const KINDS: [CardKind; 24] = [
    CardKind::NeedsPin,
    CardKind::NeedsPin,
    CardKind::NeedsPin,
    CardKind::NeedsPin,
    CardKind::PinFree,
    CardKind::PinFree,
    CardKind::PinFree,
    CardKind::PinFree,
    CardKind::PinFree,
    CardKind::RefusesZero,
    CardKind::RefusesZero,
    CardKind::RefusesZero,
    CardKind::RefusesZero,
    CardKind::Contact,
    CardKind::Contact,
    CardKind::Contact,
    CardKind::Contact,
    CardKind::SecretBalance,
    CardKind::ExpiresSoon,
    CardKind::ExpiresSoon,
    CardKind::Foreign,
    CardKind::OtherCurrency,
    CardKind::OldKey,
    CardKind::WornOut,
];
