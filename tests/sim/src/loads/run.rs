//! Stories: one with every blow in it, and others that a seed draws.

use std::sync::Arc;

use purser_engine::{Engine, LoadProgress, LoadRefusal, Request};
use purser_lab::card::{Fault, ScriptedFault, StatusWord};
use purser_ledger::Monotonic;
use purser_purse::CommandName;

use super::elsewhere::Errand;
use super::{Planted, Step, World, reference};
use crate::kit::{Kit, PIN};
use crate::line::Fate;
use crate::store::Disk;

/// Half an hour: longer than every pause but the one between two queries.
const HALF_AN_HOUR_MS: u64 = 30 * 60_000;

/// What was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Stories that ended with the load on its card, or void.
    pub stories: u64,
    /// Of those, the ones that ended void.
    pub voided: u64,
    /// Steps of all of them.
    pub steps: u64,
    /// Crashes in them.
    pub crashes: u64,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} stories, {} of them void, {} steps, {} crashes",
            self.stories, self.voided, self.steps, self.crashes
        )
    }
}

impl Summary {
    fn with(&mut self, world: &World, crashes: u64) {
        self.stories += 1;
        self.voided += u64::from(world.is_void());
        self.steps += world.steps;
        self.crashes += crashes;
    }
}

/// More steps than this and the story hangs.
const STEPS_MAX: u64 = 20_000;

/// Steps between two blows of a pair.
const PAIR_STRIDE: usize = 7;

/// Something that goes wrong, or that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// The process dies before this step.
    Crash(u64),
    /// It dies in this append, with this disk.
    InAppend(u32, Disk),
    /// The card does so at this command.
    Card(u32, Fault),
    /// The card is pulled before this step.
    Pull(u64),
    /// The other card is put in instead, before this step.
    Swap(u64),
    /// This message to the provider.
    Message(u64, Fate),
    /// From this message on so many are lost.
    Outage(u64, u64),
    /// The POS cancels before this step.
    Cancel(u64),
    /// Purser is asked to stop before this step, and dies when it has.
    Stop(u64),
    /// The holder takes the card to another terminal before this step.
    Elsewhere(u64, Errand),
    /// A sale is begun before this step, and takes the card if it can.
    Sale(u64),
    /// The buyer presses cancel at the PIN pad after this step.
    NoPin(u64),
    /// The reader's driver dies before this step.
    Driver(u64),
    /// The journal has no room for what is written next after this step.
    NoRoom(u64),
    /// Nobody puts a card in from this step on, for long.
    NoCard(u64),
}

const FAULTS: [Fault; 7] = [
    Fault::TearBeforeExecute,
    Fault::TearAfterExecute,
    Fault::GarbageAnswer,
    Fault::MuteUntilReset,
    Fault::MuteAfterExecute,
    Fault::StatusBeforeExecute(StatusWord(0x6985)),
    Fault::StatusAfterExecute(StatusWord(0x6985)),
];

const ERRANDS: [Errand; 3] = [Errand::Completes, Errand::Voids, Errand::LoadsAnother];

pub(super) struct Story {
    pub(super) world: World,
    pub(super) blows: Vec<Blow>,
    crashes: u64,
    asked: u32,
    pub(super) is_empty_handed: bool,
    /// What its holder does when the card has been torn.
    pub(super) cancels_when_torn: bool,
    pub(super) refuses_pin_when_torn: bool,
    pub(super) goes_elsewhere_when_torn: Option<Errand>,
    /// The card that its holder would put in.
    pub(super) in_hand: usize,
}

impl Story {
    pub(super) fn new(kit: &Arc<Kit>, seed: u64, planted: Planted, blows: &[Blow]) -> Self {
        let mut world = World::new(kit, seed, planted);
        for blow in blows {
            if let Blow::Card(skip, fault) = *blow {
                world.cards[0].script(ScriptedFault {
                    instruction: None,
                    skip,
                    fault,
                });
            }
        }
        world.start();
        world.ask_again();
        world.insert(0);
        Self {
            world,
            blows: blows.to_vec(),
            crashes: 0,
            asked: 0,
            is_empty_handed: false,
            cancels_when_torn: false,
            refuses_pin_when_torn: false,
            goes_elsewhere_when_torn: None,
            in_hand: 0,
        }
    }

    /// An undisturbed story whose POS sends the PIN.
    #[cfg(test)]
    pub(super) fn asked_through_api(kit: &Arc<Kit>) -> Self {
        let mut story = Self::new(kit, 1, Planted::Nothing, &[]);
        story.world.pin_through_api = true;
        story.world.inputs.clear();
        story.world.asked.clear();
        story.world.start();
        story.world.ask_again();
        story
    }

    /// What comes before the next step.
    fn strike(&mut self) {
        let steps = self.world.steps;
        let appends = self.world.store.appends;
        let is_due = |blow: &Blow| match *blow {
            Blow::Crash(at)
            | Blow::Pull(at)
            | Blow::Swap(at)
            | Blow::Cancel(at)
            | Blow::NoCard(at)
            | Blow::Elsewhere(at, _)
            | Blow::Sale(at)
            | Blow::NoPin(at)
            | Blow::Driver(at)
            | Blow::NoRoom(at)
            | Blow::Stop(at) => at <= steps,
            Blow::InAppend(at, _) => at == appends,
            Blow::Card(..) | Blow::Message(..) | Blow::Outage(..) => false,
        };
        let Some(index) = self.blows.iter().position(is_due) else {
            return;
        };
        match self.blows.remove(index) {
            Blow::Crash(_) => self.world.crash(),
            Blow::InAppend(_, disk) => self.world.store.dies = Some(disk),
            Blow::Pull(_) => self.world.remove(),
            Blow::Swap(_) => {
                self.world.remove();
                self.world.insert(1);
            }
            Blow::Cancel(_) => {
                self.world.wants_void = true;
                self.world.ask(Request::Cancel(reference()));
            }
            Blow::Elsewhere(_, errand) => self.world.goes_elsewhere(self.in_hand, errand),
            Blow::Sale(_) => self.world.sell(),
            Blow::NoPin(_) => self.world.refuses_pin = true,
            Blow::Driver(_) => self.world.loses_driver(),
            Blow::NoRoom(_) => self.world.store.refusals = 1,
            Blow::Stop(_) => {
                self.world.is_stopping = true;
                self.world.ask(Request::Stop);
            }
            Blow::NoCard(_) => {
                self.world.remove();
                self.is_empty_handed = true;
            }
            Blow::Card(..) | Blow::Message(..) | Blow::Outage(..) => {}
        }
    }

    fn fate(&self, step: Step) -> Fate {
        let of_message = self.blows.iter().find_map(|blow| match *blow {
            Blow::Message(at, fate) if at == self.world.messages => Some(fate),
            Blow::Outage(at, length) if (at..at + length).contains(&self.world.messages) => Some(Fate::Lost),
            _ => None,
        });
        of_message.filter(|_| step == Step::Line).unwrap_or(Fate::Arrives)
    }

    /// One step; false when nothing is left to do.
    pub(super) fn step(&mut self, choose: impl Fn(&mut World, &[Step]) -> Step) -> Result<bool, String> {
        if self.world.engine.is_none() {
            self.crashes += 1;
            self.world.start();
            self.world.ask_again();
        }
        if std::mem::take(&mut self.world.is_stopped) {
            self.world.crash();
            return Ok(true);
        }
        let possible = self.world.possible();
        if !possible.is_empty() {
            let step = choose(&mut self.world, &possible);
            let fate = self.fate(step);
            self.world.take(step, fate);
        } else if !self.hand() {
            return self.wait();
        }
        self.world.check().map(|()| true)
    }

    /// What whoever stands there does with the card. False when there is nothing to do.
    fn hand(&mut self) -> bool {
        if self.world.reader.card.is_none() && self.world.sent.contains(&CommandName::CreditLoad) {
            if std::mem::take(&mut self.cancels_when_torn) {
                self.world.wants_void = true;
                self.world.ask(Request::Cancel(reference()));
                return true;
            }
            self.world.refuses_pin |= std::mem::take(&mut self.refuses_pin_when_torn);
            if let Some(errand) = self.goes_elsewhere_when_torn.take() {
                self.world.goes_elsewhere(self.in_hand, errand);
            }
        }
        let world = &mut self.world;
        if let Some(LoadProgress::WaitingForPin {
            through_api: true, ..
        }) = world.progress
        {
            world.progress = None;
            world.send_pin(PIN, world.presentation);
            return true;
        }
        let wants_out = matches!(world.progress, Some(LoadProgress::TakeCardOut { .. }));
        let wants_card = matches!(world.progress, Some(LoadProgress::WaitingForCard { .. }));
        let refused = match world.progress {
            Some(LoadProgress::TakeCardOut { refused } | LoadProgress::WaitingForCard { refused }) => refused,
            _ => None,
        };
        let is_other = matches!(
            refused,
            Some(LoadRefusal::OtherCard | LoadRefusal::Provider("OtherCard"))
        );
        if wants_out && world.reader.card.is_some() {
            world.remove();
            return true;
        }
        if wants_card && world.reader.card.is_none() && !self.is_empty_handed {
            if is_other {
                self.in_hand = 1 - self.in_hand;
            }
            world.insert(self.in_hand);
            return true;
        }
        false
    }

    /// Nothing happens: the time comes that the engine waits for, or the POS asks again.
    fn wait(&mut self) -> Result<bool, String> {
        let world = &mut self.world;
        if world.is_stopping {
            return Err(format!("a stop is not answered: {}", world.state()));
        }
        if world.is_over() {
            if !world.asked.is_empty() {
                return Err(format!("{:?} are never answered: {}", world.asked, world.state()));
            }
            return Ok(false);
        }
        // The user comes again before the provider is asked once more about a sale in doubt.
        let soon = world.now.monotonic.after_ms(HALF_AN_HOUR_MS);
        let timeout = world.engine.as_ref().and_then(Engine::poll_timeout);
        match timeout.filter(|at| *at <= soon) {
            Some(at) => {
                world.now.monotonic = world.now.monotonic.max(at);
                world.handle(purser_engine::Input::Timer);
            }
            None if self.asked > 200 => {
                return Err(format!(
                    "nothing is left to do, and the load has no end: {}",
                    world.state()
                ));
            }
            None => {
                self.asked += 1;
                self.is_empty_handed = false;
                world.remove();
                world.ask_again();
            }
        }
        Ok(true)
    }

    pub(super) fn goes_on(mut self) -> Result<(World, u64), String> {
        loop {
            if self.world.steps > STEPS_MAX {
                return Err("the story does not end".to_owned());
            }
            self.strike();
            if !self.step(|_, possible| possible[0])? {
                return Ok((self.world, self.crashes));
            }
        }
    }
}

fn story(kit: &Arc<Kit>, planted: Planted, blows: &[Blow]) -> Result<(World, u64), String> {
    Story::new(kit, 1, planted, blows).goes_on()
}

/// Every blow that one story can have, of as many steps, appends, commands and messages.
fn blows(world: &World) -> Vec<Blow> {
    let mut blows = Vec::new();
    for at in 0..=world.steps {
        blows.extend([
            Blow::Crash(at),
            Blow::Pull(at),
            Blow::Swap(at),
            Blow::Cancel(at),
            Blow::NoCard(at),
            Blow::Stop(at),
            Blow::Sale(at),
            Blow::NoPin(at),
            Blow::Driver(at),
            Blow::NoRoom(at),
        ]);
        blows.extend(ERRANDS.map(|errand| Blow::Elsewhere(at, errand)));
    }
    for at in 0..world.store.appends {
        blows.extend([Disk::Kept, Disk::Lost].map(|disk| Blow::InAppend(at, disk)));
    }
    let commands = u32::try_from(world.sent.len()).unwrap_or(u32::MAX);
    for at in 0..commands {
        blows.extend(FAULTS.map(|fault| Blow::Card(at, fault)));
    }
    for at in 0..world.messages {
        blows.extend([Fate::Lost, Fate::Unanswered, Fate::Twice].map(|fate| Blow::Message(at, fate)));
        blows.extend([3, 40].map(|length| Blow::Outage(at, length)));
    }
    blows
}

/// One story, with every blow, and with pairs of them.
///
/// # Errors
/// The first case in which value is lost or doubled, or nothing comes to rest.
pub fn exhaustive(planted: Planted, with_pairs: bool) -> Result<Summary, String> {
    let kit = Arc::new(Kit::new());
    let (undisturbed, _) = story(&kit, planted, &[])?;
    let mut summary = Summary::default();
    summary.with(&undisturbed, 0);
    let mut run = |blows: &[Blow]| {
        let (world, crashes) = story(&kit, planted, blows).map_err(|what| format!("{blows:?}: {what}"))?;
        summary.with(&world, crashes);
        Ok::<World, String>(world)
    };
    for (index, first) in blows(&undisturbed).into_iter().enumerate() {
        let world = run(&[first])?;
        if !with_pairs {
            continue;
        }
        for second in blows(&world)
            .into_iter()
            .skip(index % PAIR_STRIDE)
            .step_by(PAIR_STRIDE)
        {
            run(&[first, second])?;
        }
    }
    Ok(summary)
}

/// Stories with faults drawn from seeds.
///
/// # Errors
/// The first seed in which value is lost or doubled, or nothing comes to rest.
pub fn seeded(planted: Planted, from: u64, stories: u64) -> Result<Summary, String> {
    let kit = Arc::new(Kit::new());
    let mut summary = Summary::default();
    for seed in from..from.saturating_add(stories) {
        let (world, crashes) = draw(&kit, planted, seed).map_err(|what| format!("seed {seed}: {what}"))?;
        summary.with(&world, crashes);
    }
    Ok(summary)
}

fn draw(kit: &Arc<Kit>, planted: Planted, seed: u64) -> Result<(World, u64), String> {
    let mut story = Story::new(kit, seed, planted, &[]);
    let length = 40 + story.world.rng.below(300);
    for _ in 0..length {
        disturb(&mut story);
        story.strike();
        story.step(|world, possible| world.rng.pick(possible))?;
    }
    // The faults end.
    story.blows.clear();
    for card in &mut story.world.cards {
        card.clear_script();
    }
    story.goes_on()
}

/// What people, power and the network do between two steps.
fn disturb(story: &mut Story) {
    let world = &mut story.world;
    let blow = match world.rng.below(60) {
        0 => Blow::Crash(0),
        1 => Blow::InAppend(world.store.appends, world.rng.pick(&[Disk::Kept, Disk::Lost])),
        2 => Blow::Pull(0),
        3 => Blow::Swap(0),
        4 | 5 => Blow::Message(
            world.messages,
            world.rng.pick(&[Fate::Lost, Fate::Unanswered, Fate::Twice]),
        ),
        6 if world.rng.one_in(12) => Blow::Cancel(0),
        7 if world.rng.one_in(3) => Blow::Stop(0),
        8 | 9 => {
            let fault = world.rng.pick(&FAULTS);
            world.cards[0].script(ScriptedFault {
                instruction: None,
                skip: 0,
                fault,
            });
            return;
        }
        10 => return world.ask_again(),
        13 if world.rng.one_in(4) => Blow::Elsewhere(0, world.rng.pick(&ERRANDS)),
        11 => {
            let ms = u64::try_from(world.rng.below(70_000)).unwrap_or(0);
            world.now.monotonic = Monotonic(world.now.monotonic.0 + ms);
            return world.handle(purser_engine::Input::Timer);
        }
        12 if world.rng.one_in(8) => {
            world.wants_void = !world.wants_void;
            return;
        }
        14 if world.rng.one_in(3) => Blow::Sale(0),
        15 if world.rng.one_in(12) => Blow::NoPin(0),
        16 if world.rng.one_in(2) => Blow::Driver(0),
        17 if world.rng.one_in(3) => Blow::NoRoom(0),
        _ => return,
    };
    story.blows.push(blow);
}
