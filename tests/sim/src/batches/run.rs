//! Stories: one with every crash in it, and others that a seed draws.

use std::sync::Arc;

use purser_engine::{Engine, Request};
use purser_ledger::Monotonic;

use super::{Planted, Step, World};
use crate::kit::Kit;
use crate::line::Fate;
use crate::store::Disk;

/// What was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Stories that ended with everything settled.
    pub stories: u64,
    /// Steps of all of them.
    pub steps: u64,
    /// Crashes in them.
    pub crashes: u64,
    /// Batches that were exchanged.
    pub exchanged: u64,
    /// Batches that were voided.
    pub voided: u64,
    /// Messages that were lost, came twice, or came again.
    pub faults: u64,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} stories, {} steps, {} crashes, {} message faults, {} batches exchanged, {} voided",
            self.stories, self.steps, self.crashes, self.faults, self.exchanged, self.voided
        )
    }
}

impl Summary {
    fn with(&mut self, world: &World) {
        use purser_ledger::BatchStanding;
        self.stories += 1;
        self.steps += world.steps;
        for settlement in world.store.settlements() {
            match settlement.standing {
                BatchStanding::Exchanged(_) => self.exchanged += 1,
                BatchStanding::Voided(_) => self.voided += 1,
                BatchStanding::Sealed => {}
            }
        }
    }
}

/// More steps than this and the story hangs.
const STEPS_MAX: u64 = 20_000;

/// Steps between two crashes of a pair: the second falls into the recovery from the first or later.
const PAIR_STRIDE: u64 = 5;

/// Where a crash comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// Before this step.
    Before(u64),
    /// In this append, with this disk.
    InAppend(u32, Disk),
}

/// Lets the world go on without faults until nothing is left to do; waits where the engine waits.
fn go_on(world: &mut World, blows: &mut Vec<Blow>) -> Result<u64, String> {
    let mut crashes = 0;
    loop {
        if world.steps > STEPS_MAX {
            return Err("the story does not end".to_owned());
        }
        if world.engine.is_none() {
            crashes += 1;
            world.start();
            // An operator who got no answer asks again.
            world.ask(Request::Settle(None));
        }
        if let Some(Blow::Before(step)) = blows.first().copied()
            && world.steps >= step
        {
            blows.remove(0);
            world.crash();
            continue;
        }
        if let Some(Blow::InAppend(append, disk)) = blows.first().copied()
            && world.store.appends == append
        {
            blows.remove(0);
            world.store.dies = Some(disk);
        }
        match world.next_step() {
            Some(step) => world.take(step, Fate::Arrives),
            None => match world.engine.as_ref().and_then(Engine::poll_timeout) {
                Some(at) => wait_until(world, at),
                None => return Ok(crashes),
            },
        }
        check(world)?;
    }
}

/// Counts the money, when something has changed since it was counted.
fn check(world: &mut World) -> Result<(), String> {
    if std::mem::take(&mut world.is_dirty) {
        world.settled().check()?;
    }
    Ok(())
}

fn wait_until(world: &mut World, at: Monotonic) {
    world.now.monotonic = world.now.monotonic.max(at);
    world.handle(purser_engine::Input::Timer);
}

/// Sales, a batch, a late refund, another batch, each as far as it goes.
fn story(kit: &Arc<Kit>, planted: Planted, blows: &[Blow]) -> Result<(World, u64), String> {
    let mut blows = blows.to_vec();
    let mut world = World::new(kit, 1, 30, planted);
    world.start();
    world.sell(false, false);
    let doubtful = world.sell(true, false);
    world.sell(false, true);
    world.ask(Request::Settle(None));
    let mut crashes = go_on(&mut world, &mut blows)?;
    world.abandon(doubtful);
    world.sell(false, false);
    // Its evidence is not the card's.
    world.sell(false, false);
    world.ask(Request::Settle(None));
    crashes += go_on(&mut world, &mut blows)?;
    world.check_all()?;
    Ok((world, crashes))
}

/// One story, with a crash before every step and in every append, and with pairs of them.
///
/// # Errors
/// The first case in which money is lost or doubled, or nothing comes to rest.
pub fn exhaustive(planted: Planted, with_pairs: bool) -> Result<Summary, String> {
    let kit = Arc::new(Kit::new());
    let (undisturbed, _) = story(&kit, planted, &[])?;
    let appends = undisturbed.store.appends;
    let steps = undisturbed.steps;
    let mut summary = Summary::default();
    summary.with(&undisturbed);
    let before = (0..=steps).map(Blow::Before);
    let within = (1..appends).flat_map(|at| [Disk::Kept, Disk::Lost].map(|disk| Blow::InAppend(at, disk)));
    let mut run = |blows: &[Blow]| {
        let (world, crashes) = story(&kit, planted, blows).map_err(|what| format!("{blows:?}: {what}"))?;
        summary.with(&world);
        summary.crashes += crashes;
        Ok::<(), String>(())
    };
    for blow in before.chain(within) {
        run(&[blow])?;
        let Blow::Before(first) = blow else { continue };
        if with_pairs {
            for second in (first + 1..steps * 2).step_by(usize::try_from(PAIR_STRIDE).unwrap_or(1)) {
                run(&[blow, Blow::Before(second)])?;
            }
        }
    }
    Ok(summary)
}

/// Stories with faults drawn from seeds.
///
/// # Errors
/// The first seed in which money is lost or doubled, or nothing comes to rest.
pub fn seeded(planted: Planted, from: u64, stories: u64) -> Result<Summary, String> {
    let kit = Arc::new(Kit::new());
    let mut summary = Summary::default();
    for seed in from..from.saturating_add(stories) {
        draw(&kit, planted, seed, &mut summary).map_err(|what| format!("seed {seed}: {what}"))?;
    }
    Ok(summary)
}

fn draw(kit: &Arc<Kit>, planted: Planted, seed: u64, summary: &mut Summary) -> Result<(), String> {
    let debt = [0, 40, 1_000][usize::try_from(seed % 3).unwrap_or(0)];
    let mut world = World::new(kit, seed, debt, planted);
    world.start();
    let mut doubtful = Vec::new();
    let length = 40 + world.rng.below(160);
    for _ in 0..length {
        disturb(&mut world, &mut doubtful, summary);
        if world.engine.is_none() {
            summary.crashes += 1;
            world.start();
        }
        let possible = world.possible();
        if possible.is_empty() {
            if let Some(at) = world.engine.as_ref().and_then(Engine::poll_timeout) {
                wait_until(&mut world, at);
            }
        } else {
            let step = world.rng.pick(&possible);
            let fate = fate(&mut world, step);
            summary.faults += u64::from(fate != Fate::Arrives);
            world.take(step, fate);
        }
        check(&mut world)?;
    }
    // The faults end. What is still owed is settled, whatever has to be asked again.
    for _ in 0..3 {
        if world.engine.is_none() {
            summary.crashes += 1;
            world.start();
        }
        world.ask(Request::Settle(None));
        summary.crashes += go_on(&mut world, &mut Vec::new())?;
    }
    world.check_all()?;
    summary.with(&world);
    Ok(())
}

fn fate(world: &mut World, step: Step) -> Fate {
    if step != Step::Link || !world.rng.one_in(4) {
        return Fate::Arrives;
    }
    world.rng.pick(&[Fate::Lost, Fate::Unanswered, Fate::Twice])
}

/// What people, power and the network do between two steps.
fn disturb(world: &mut World, doubtful: &mut Vec<u32>, summary: &mut Summary) {
    match world.rng.below(40) {
        0..=3 => {
            world.sell(false, false);
        }
        4 => {
            world.sell(false, true);
        }
        5 => doubtful.push(world.sell(true, false)),
        6 => {
            if let Some(sale) = doubtful.pop() {
                world.abandon(sale);
            }
        }
        7..=9 => world.ask(Request::Settle(None)),
        10 => world.crash(),
        11 => {
            let disk = world.rng.pick(&[Disk::Kept, Disk::Lost]);
            world.store.dies = Some(disk);
        }
        12 | 13 if !world.sent.is_empty() => {
            summary.faults += 1;
            let index = world.rng.below(world.sent.len());
            world.arrives_again(index);
        }
        14 => {
            let ids: Vec<_> = world.provider.batches.keys().copied().collect();
            if !ids.is_empty() && world.rng.one_in(2) {
                let id = world.rng.pick(&ids);
                world.provider.give_up(id);
            }
        }
        15 => {
            // Another terminal of the merchant owes for a late refund, or has paid a debt.
            let debt = world.rng.below(200);
            world.provider.debt = world.kit.amount(u64::try_from(debt).unwrap_or(0));
        }
        _ => {}
    }
}
