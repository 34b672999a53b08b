//! Schedules drawn from a seed: at least three sales, two cards, two shops and one fault or more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use purser_engine::Progress;

use crate::failure::Failure;
use crate::fault::FaultKind;
use crate::flaw::Flaw;
use crate::kit::{CARDS, CardKind, Kit, PIN_FREE_UP_TO, SHOPS};
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
/// How often a POS tries to begin a sale that is refused.
const TRIES_MAX: u8 = 3;
/// Seeds that a worker takes at a time.
const SEEDS_AT_ONCE: u64 = 256;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub schedules: u64,
    /// On how many threads.
    pub threads: usize,
    /// What part of the world breaks its rule.
    pub flaw: Flaw,
}

/// Runs the plan. Stops at the first failure that a worker finds.
///
/// # Errors
/// [`Failure`], with its seed and the last lines of its story.
pub fn run(plan: Plan) -> Result<Tally, Box<Failure>> {
    let kit = Arc::new(Kit::new());
    let next = AtomicU64::new(plan.from);
    let end = plan.from.saturating_add(plan.schedules);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let first = next.fetch_add(SEEDS_AT_ONCE, Ordering::Relaxed);
            if first >= end {
                return Ok(tally);
            }
            for seed in first..end.min(first.saturating_add(SEEDS_AT_ONCE)) {
                tally = match one(&kit, seed, tally, plan.flaw) {
                    Ok(tally) => tally,
                    Err(failure) => {
                        next.store(end, Ordering::Relaxed);
                        return Err(failure);
                    }
                };
            }
        }
    };
    let results: Vec<Result<Tally, Box<Failure>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|it| it.expect("a worker that panics ends the process"))
            .collect()
    });
    let mut whole = Tally::default();
    for result in results {
        whole.merge(&result?);
    }
    Ok(whole)
}

/// Runs one seed and prints its story.
///
/// # Errors
/// [`Failure`]: what the story ends with.
pub fn replay(seed: u64, flaw: Flaw) -> Result<Tally, Box<Failure>> {
    let kit = Arc::new(Kit::new());
    let mut schedule = Schedule::new(&kit, seed, Tally::default(), Trace::Print, flaw);
    match schedule.play() {
        Ok(()) => Ok(schedule.world.tally),
        Err(violation) => Err(Box::new(Failure {
            name: format!("seed {seed}"),
            violation,
            lines: Vec::new(),
        })),
    }
}

fn one(kit: &Arc<Kit>, seed: u64, tally: Tally, flaw: Flaw) -> Result<Tally, Box<Failure>> {
    RUNNING.with(|running| running.set(seed));
    let mut schedule = Schedule::new(kit, seed, tally, Trace::Off, flaw);
    let Err(violation) = schedule.play() else {
        return Ok(schedule.world.tally);
    };
    // The same seed once more, told.
    let kept = Trace::Keep(Default::default());
    let mut schedule = Schedule::new(kit, seed, Tally::default(), kept, flaw);
    let _ = schedule.play();
    Err(Box::new(Failure {
        name: format!("seed {seed}"),
        violation,
        lines: schedule.world.trace.into_lines(),
    }))
}

thread_local! {
    static RUNNING: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The seed that this thread runs, for whoever has to tell of its panic.
pub fn running_seed() -> u64 {
    RUNNING.with(std::cell::Cell::get)
}

pub(crate) struct Schedule {
    pub(crate) world: World,
    /// Faults that have not found their moment.
    pub(crate) faults: Vec<FaultKind>,
    pub(crate) fired: u32,
    /// How many more wrong PINs the buyer types.
    pub(crate) wrong_pins: u8,
    /// A broken card is kept for the shop that waits for it.
    pub(crate) only_shop: [Option<usize>; CARDS],
    tries: [Vec<u8>; SHOPS],
    sales: usize,
}

impl Schedule {
    fn new(kit: &Arc<Kit>, seed: u64, tally: Tally, trace: Trace, flaw: Flaw) -> Self {
        let mut world = World::new(Arc::clone(kit), seed, tally, trace, flaw);
        for number in 0..CARDS {
            let kind = world.rng.pick(&KINDS);
            let balance = world.rng.pick(&[1_000, 1_000, 650, 300]);
            let sn = world.rng.pick(&[0, 7, 300]);
            world.tally.card(kind);
            let card = Plastic::new(kit, kind, number, balance, sn);
            world.cards.push(card);
        }
        for s in 0..SHOPS {
            let shop = &mut world.shops[s];
            shop.readers = if world.rng.one_in(4) { 2 } else { 1 };
            shop.has_pad = !world.rng.one_in(8);
            if world.rng.one_in(3) {
                let mut config = kit.configs[s].clone();
                config.pin_free_up_to.insert(kit.currency, PIN_FREE_UP_TO);
                shop.config = Some(config);
            }
        }
        let faults = 1 + world.rng.below(4);
        let faults = (0..faults).map(|_| world.rng.pick(&FaultKind::ALL)).collect();
        let sales = SALES + usize::from(world.rng.one_in(4));
        Self {
            world,
            faults,
            fired: 0,
            wrong_pins: 0,
            only_shop: [None; CARDS],
            tries: Default::default(),
            sales,
        }
    }

    fn play(&mut self) -> Result<(), Violation> {
        for s in 0..SHOPS {
            self.world.restart(s)?;
        }
        let mut steps = Vec::new();
        let mut turns = 0;
        while turns < TURNS_MAX && !self.is_over() {
            turns += 1;
            self.turn(&mut steps)?;
        }
        if self.fired == 0 {
            self.fire(FaultKind::Crash)?;
        }
        self.world.settle()?;
        self.world.tally.schedules += 1;
        let begun: usize = self.world.shops.iter().map(|shop| shop.pos.tickets.len()).sum();
        if begun < SALES {
            return Err(Violation::new(
                Rule::NeverHangs,
                format!("only {begun} sales began"),
            ));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let tickets = || self.world.shops.iter().flat_map(|shop| &shop.pos.tickets);
        let is_done = |state| matches!(state, TicketState::Told | TicketState::Dropped);
        tickets().count() >= self.sales
            && tickets().all(|ticket| is_done(ticket.state))
            && self.faults.is_empty()
    }

    fn turn(&mut self, steps: &mut Vec<Step>) -> Result<(), Violation> {
        let dice = self.world.rng.below(64);
        if dice < 4 && !self.faults.is_empty() {
            let index = self.world.rng.below(self.faults.len());
            if self.fire(self.faults[index])? {
                self.faults.swap_remove(index);
                return Ok(());
            }
        }
        if dice >= 60 && self.live()? {
            return Ok(());
        }
        self.world.steps(steps);
        if !steps.is_empty() {
            let step = self.world.rng.pick(steps);
            return self.world.take(step);
        }
        if self.live()? {
            return Ok(());
        }
        self.wait();
        Ok(())
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
        match self.world.shops[s].pos.active() {
            Some(ticket) => Ok(self.serve(s, ticket)),
            None => Ok(self.between_sales(s)),
        }
    }

    /// What was unplugged comes back, and somebody makes room on the disk.
    fn repair(&mut self, s: usize) {
        let shop = &mut self.world.shops[s];
        let (readers, has_pad) = (shop.readers, shop.has_pad);
        for (d, device) in shop.devices.iter_mut().enumerate() {
            let is_used = d < readers || (d == crate::world::PAD && has_pad);
            if is_used && !device.is_up && self.world.rng.one_in(4) {
                device.arrive();
            }
        }
        shop.store.has_room |= self.world.rng.one_in(16);
    }

    fn between_sales(&mut self, s: usize) -> bool {
        let tickets: usize = self.world.shops.iter().map(|shop| shop.pos.tickets.len()).sum();
        let readers = self.world.shops[s].readers;
        let held: Option<usize> = (0..readers).find_map(|d| self.world.card_at(s, d));
        if let Some(card) = held
            && !self.world.rng.one_in(8)
        {
            self.world.remove(card);
            return true;
        }
        if tickets >= self.sales {
            return self.bring_back(s);
        }
        let minor = self.world.rng.pick(&[100, 300, 300, 300, 500, 2_000]);
        let ticket = self.world.new_ticket(s, minor);
        let through_api = self.world.rng.one_in(5);
        let reader = self
            .world
            .rng
            .one_in(6)
            .then(|| self.world.kit.readers[0].clone());
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
            .any(|pending| pending.ticket == Some(ticket));
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

    fn put_card_in(&mut self, s: usize) -> bool {
        let readers = self.world.shops[s].readers;
        let d = self.world.rng.below(readers);
        let may = |card: &usize| self.only_shop[*card].is_none_or(|only| only == s);
        let wallet: Vec<usize> = self.world.wallet().filter(may).collect();
        if wallet.is_empty() || self.world.card_at(s, d).is_some() {
            return self.world.rng.one_in(8) && self.take_any_card();
        }
        let card = self.world.rng.pick(&wallet);
        self.world.insert(card, s, d);
        if let (Some(other), true) = (
            wallet.iter().find(|it| **it != card),
            readers == 2 && self.world.rng.one_in(4),
        ) {
            self.world.insert(*other, s, 1 - d);
        }
        true
    }

    fn take_card_out(&mut self, s: usize) -> bool {
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
