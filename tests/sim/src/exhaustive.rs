//! Every crash point and every pair of crash points of a sale, with every disk, every card and every way of the card in
//! between.
//!
//! A crash point lies before each step of the sale and of what follows a crash, and inside each append, where the disk keeps
//! what was written or loses it. After each: the process starts again, the card comes back, the sale must come to the end
//! that the card can prove, and the card must be able to buy again.

mod case;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use purser_engine::{CallFailure, End, Progress};
use purser_lab::card::{Fault, ScriptedFault, instruction};
use purser_ledger::{Entry, QueryReason, Standing};
use purser_purse::CommandName;

use case::Case;
pub use case::{AtDebit, AtSam, Away};

use crate::device::Call;
use crate::failure::Failure;
use crate::flaw::Flaw;
use crate::kit::{CardKind, Kit};
use crate::plastic::{Place, Plastic};
use crate::pos::TicketState;
use crate::psam::Oddity;
use crate::rule::{Rule, Violation, hold};
use crate::shop::Job;
use crate::store::Disk;
use crate::tally::Tally;
use crate::trace::Trace;
use crate::world::{PSAM, Step, World};

/// The price of the sale, and what other shops take and load meanwhile, in minor units.
const PRICE: u64 = 300;
const ELSEWHERE: u32 = 50;

/// How often a card in doubt is presented before the run says that nobody asks it.
const PRESENTATIONS_MAX: u8 = 4;

/// How many time limits a PSAM that was lost may take until it serves again.
const PSAM_WAITS_MAX: u8 = 4;

/// A place where the process may die: before a step, or in the append that the step makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    step: u64,
    in_append: Option<Disk>,
}

/// One run, and the crash points that it came past in each of its lives.
struct Run {
    world: World,
    case: Case,
    crashes: Vec<Point>,
    lives: Vec<Vec<Point>>,
    has_been_away: bool,
    /// The PSAM has been lost once, as the case says.
    is_psam_lost: bool,
    presentations: u8,
}

/// What was run, and where it ended.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Summary {
    /// Cases: card × what it does at DEBIT × where it goes × which SAM.
    pub cases: u64,
    /// Runs without a crash that came to their end.
    pub undisturbed: u64,
    /// Crash points that the runs without a crash came past.
    pub points: u64,
    /// Runs with one crash that came to their end.
    pub singles: u64,
    /// Crash points that the runs with one crash came past after it; none if pairs were not asked for.
    pub pairs_of_points: u64,
    /// Runs with two crashes that came to their end.
    pub pairs: u64,
    /// How often each end was reached, by whether the card was debited.
    pub ends: BTreeMap<String, u64>,
}

/// Runs everything on this many threads; pairs only if asked for.
///
/// # Errors
/// The first [`Failure`], with the story of its last steps.
pub fn run(threads: usize, with_pairs: bool) -> Result<Summary, Box<Failure>> {
    let kit = Arc::new(Kit::new());
    let cases = Case::all();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut summary = Summary::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else {
                return Ok(summary);
            };
            all_of(&kit, *case, with_pairs && case.has_pairs(), &mut summary)?;
        }
    };
    let summaries: Vec<Result<Summary, Box<Failure>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|it| it.expect("a worker that panics ends the process"))
            .collect()
    });
    let mut whole = Summary::default();
    for summary in summaries {
        whole.add(summary?);
    }
    Ok(whole)
}

impl Summary {
    /// True when every crash point that a run came past was tried.
    pub fn is_whole(&self) -> bool {
        (self.undisturbed, self.singles, self.pairs) == (self.cases, self.points, self.pairs_of_points)
    }

    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.undisturbed += other.undisturbed;
        self.points += other.points;
        self.singles += other.singles;
        self.pairs_of_points += other.pairs_of_points;
        self.pairs += other.pairs;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
    }

    fn count(&mut self, end: String) {
        *self.ends.entry(end).or_default() += 1;
    }
}

fn all_of(kit: &Arc<Kit>, case: Case, with_pairs: bool, summary: &mut Summary) -> Result<(), Box<Failure>> {
    summary.cases += 1;
    let (end, lives) = attempt(kit, case, &[])?;
    summary.undisturbed += 1;
    summary.count(end);
    summary.points += count(&lives[0]);
    for first in &lives[0] {
        let (end, lives) = attempt(kit, case, &[*first])?;
        summary.singles += 1;
        summary.count(end);
        if !with_pairs {
            continue;
        }
        summary.pairs_of_points += count(&lives[1]);
        for second in &lives[1] {
            let (end, _) = attempt(kit, case, &[*first, *second])?;
            summary.pairs += 1;
            summary.count(end);
        }
    }
    Ok(())
}

fn count(points: &[Point]) -> u64 {
    u64::try_from(points.len()).unwrap_or(u64::MAX)
}

fn attempt(kit: &Arc<Kit>, case: Case, crashes: &[Point]) -> Result<(String, Vec<Vec<Point>>), Box<Failure>> {
    let mut run = Run::new(kit, case, crashes, Trace::Off);
    match run.play() {
        Ok(end) => Ok((end, run.lives)),
        Err(violation) => {
            // The same run once more, told.
            let mut run = Run::new(kit, case, crashes, Trace::Keep(Default::default()));
            let _ = run.play();
            Err(Box::new(Failure {
                name: format!("{case:?} {crashes:?}"),
                violation,
                lines: run.world.trace.into_lines(),
            }))
        }
    }
}

impl Run {
    fn new(kit: &Arc<Kit>, case: Case, crashes: &[Point], trace: Trace) -> Self {
        let mut world = World::new(Arc::clone(kit), 1, Tally::default(), trace, Flaw::None);
        let mut card = Plastic::new(kit, case.card, 0, case.balance, 7);
        let fault = match case.at_debit {
            AtDebit::NotReceived => Some(Fault::TearBeforeExecute),
            AtDebit::AnswerLost => Some(Fault::TearAfterExecute),
            AtDebit::Answered => None,
            AtDebit::Garbage => Some(Fault::GarbageAnswer),
        };
        if let Some(fault) = fault {
            card.card.script(ScriptedFault::next(instruction::DEBIT, fault));
        }
        world.cards.push(card);
        if case.card == CardKind::PinFree {
            let mut config = kit.configs[0].clone();
            config.pin_free_up_to.insert(kit.currency, PRICE);
            world.shops[0].config = Some(config);
        }
        if case.at_sam != AtSam::Software {
            world.give_psam(0);
        }
        Self {
            is_psam_lost: false,
            world,
            case,
            crashes: crashes.to_vec(),
            lives: vec![Vec::new()],
            has_been_away: false,
            presentations: 0,
        }
    }

    /// The whole run. Answers the end of the sale.
    fn play(&mut self) -> Result<String, Violation> {
        self.world.restart(0)?;
        self.world.rest()?;
        self.world.new_ticket(0, PRICE);
        self.world.begin(0, 0);
        let mut steps = Vec::new();
        loop {
            self.world.steps(&mut steps);
            match steps.first() {
                Some(step) => self.step(*step)?,
                None if self.go_on()? => {}
                None => break,
            }
        }
        // The crash after the last step: the first step of the next sale is never taken.
        self.pass(Point {
            step: self.world.steps,
            in_append: None,
        });
        if self.is_due(None) {
            self.die()?;
            self.world.rest()?;
        }
        self.buy_again()?;
        self.end()
    }

    fn pass(&mut self, point: Point) {
        if let Some(life) = self.lives.last_mut() {
            life.push(point);
        }
    }

    /// The PSAM is lost, once, before the step at which the case says so.
    fn lose_psam(&mut self, step: Step) {
        let shop = &self.world.shops[0];
        let calls = |d: usize, name| {
            let front = shop.devices[d].calls.front();
            step == Step::Device(0, d)
                && matches!(front, Some((_, Call::Transmit { command, .. })) if command.name() == name)
        };
        let intends = step == Step::Journal(0)
            && matches!(shop.jobs.front(), Some(Job::Commit(commit)) if matches!(commit.entry, Entry::SaleIntended(_)));
        let is_now = match self.case.at_sam {
            AtSam::Software | AtSam::Psam => false,
            AtSam::LostBeforeInit | AtSam::InitRefused => calls(PSAM, CommandName::InitSam),
            AtSam::LostBeforeIntent => intends,
            AtSam::LostBeforeDebit => calls(0, CommandName::Debit),
            AtSam::LostBeforeCheck
            | AtSam::CheckLost
            | AtSam::OutBeforeCheck
            | AtSam::CheckRefused
            | AtSam::CheckHeldUp => calls(PSAM, CommandName::CreditSam),
        };
        if !is_now || std::mem::replace(&mut self.is_psam_lost, true) {
            return;
        }
        match (self.case.at_sam, &mut self.world.shops[0].psam) {
            (AtSam::CheckLost, Some(psam)) => psam.oddity = Some(Oddity::AnswerLost),
            (AtSam::InitRefused, Some(psam)) => psam.oddity = Some(Oddity::Refuses(0x9303)),
            (AtSam::CheckRefused, Some(psam)) => psam.oddity = Some(Oddity::Refuses(0x6581)),
            (AtSam::CheckHeldUp, Some(psam)) => {
                psam.oddity = Some(Oddity::HeldUp(CallFailure::DriverLost));
            }
            (AtSam::OutBeforeCheck, _) => self.world.remove_psam(0),
            _ => self.world.cut_psam(0),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Violation> {
        self.lose_psam(step);
        let number = self.world.steps;
        let point = |in_append| Point {
            step: number,
            in_append,
        };
        self.pass(point(None));
        let appends =
            step == Step::Journal(0) && matches!(self.world.shops[0].jobs.front(), Some(Job::Commit(_)));
        if appends {
            self.pass(point(Some(Disk::Kept)));
            self.pass(point(Some(Disk::Lost)));
        }
        if self.is_due(None) {
            return self.die();
        }
        for disk in [Disk::Kept, Disk::Lost] {
            if appends && self.is_due(Some(disk)) {
                self.world.die_in_append(0, disk);
                self.world.take(step)?;
                return self.live_again();
            }
        }
        self.world.take(step)
    }

    /// True when the next crash of this run is here.
    fn is_due(&self, in_append: Option<Disk>) -> bool {
        let next = self.crashes.get(self.lives.len() - 1);
        next.is_some_and(|it| it.step == self.world.steps && it.in_append == in_append)
    }

    fn die(&mut self) -> Result<(), Violation> {
        self.world.crash(0);
        self.world.check()?;
        self.live_again()
    }

    fn live_again(&mut self) -> Result<(), Violation> {
        self.lives.push(Vec::new());
        if self.case.away != Away::Stays {
            self.leave();
        }
        self.world.restart(0)?;
        let ticket = &self.world.shops[0].pos.tickets[0];
        if ticket.state == TicketState::UnderWay || ticket.is_in_doubt() {
            self.world.attach(0, 0);
        }
        Ok(())
    }

    /// The card leaves. What happens to it elsewhere happens once, while a debit is in doubt: before that it changes nothing.
    fn leave(&mut self) {
        self.world.remove(0);
        let is_in_doubt = self.world.doubts(0, 0) > 0;
        if !is_in_doubt || std::mem::replace(&mut self.has_been_away, true) {
            return;
        }
        let card = &mut self.world.cards[0];
        let is_debited = matches!(self.case.away, Away::Debited | Away::Both);
        let is_loaded = matches!(self.case.away, Away::Loaded | Away::Both);
        assert!(
            !is_debited || card.pay_elsewhere(ELSEWHERE),
            "the card can pay elsewhere"
        );
        assert!(
            !is_loaded || card.load_elsewhere(ELSEWHERE),
            "the card can be loaded elsewhere"
        );
        self.world.is_dirty = true;
    }

    /// What cashier and buyer do when nothing moves. False when the sale has its end.
    fn go_on(&mut self) -> Result<bool, Violation> {
        if self.case.at_sam == AtSam::OutBeforeCheck && !self.world.shops[0].devices[PSAM].holds_psam {
            self.world.insert_psam(0);
            return Ok(true);
        }
        if self.world.type_pin(0, true) {
            return Ok(true);
        }
        let ticket = &self.world.shops[0].pos.tickets[0];
        let is_in = self.world.is_in(0, 0);
        match ticket.state {
            TicketState::New => self.world.begin(0, 0),
            TicketState::Told if ticket.is_certain() => return Ok(false),
            TicketState::Told
                if matches!(
                    ticket.told.as_ref().map(|it| &it.state.end),
                    Some(End::Queried(_))
                ) =>
            {
                return Ok(false);
            }
            TicketState::Told => self.present()?,
            TicketState::UnderWay if !is_in => self.present()?,
            TicketState::UnderWay if ticket.progress == Some(Progress::TakeCardOut) => self.present()?,
            TicketState::UnderWay | TicketState::Dropped => {
                let waits = self.world.pass_to_timeout(0);
                hold!(
                    NeverHangs,
                    waits,
                    "the sale stands still: {:?}",
                    self.world.shops[0].pos.tickets[0]
                );
            }
        }
        Ok(true)
    }

    fn present(&mut self) -> Result<(), Violation> {
        self.presentations += 1;
        hold!(
            Resolved,
            self.presentations <= PRESENTATIONS_MAX,
            "the card was presented {PRESENTATIONS_MAX} times: {:?}",
            self.world.shops[0].pos.tickets[0]
        );
        self.leave();
        self.world.insert(0, 0, 0);
        Ok(())
    }

    fn buy_again(&mut self) -> Result<(), Violation> {
        if self.world.shops[0].engine.is_none() {
            self.world.restart(0)?;
        }
        self.world.rest()?;
        self.world.remove(0);
        let card = &mut self.world.cards[0];
        card.card.clear_script();
        if card.balance() < PRICE {
            let is_loaded = card.load_elsewhere(u32::try_from(PRICE).unwrap_or(0));
            assert!(is_loaded, "an empty card can be loaded");
        }
        let ticket = self.world.new_ticket(0, PRICE);
        self.world.begin(0, ticket);
        self.world.rest()?;
        self.world.insert(0, 0, 0);
        self.world.rest()?;
        let mut waits = 0;
        while waits < PSAM_WAITS_MAX && self.waits_for_sam(ticket) && self.world.pass_to_timeout(0) {
            waits += 1;
            self.world.rest()?;
        }
        let told = self.world.shops[0].pos.tickets[ticket].told.as_ref();
        hold!(
            BuysAgain,
            told.is_some_and(|it| matches!(it.state.end, End::Paid(_))),
            "the card cannot buy again: {told:?}"
        );
        Ok(())
    }

    fn waits_for_sam(&self, ticket: usize) -> bool {
        self.world.shops[0].pos.tickets[ticket].progress == Some(Progress::WaitingForSam)
    }

    fn end(&mut self) -> Result<String, Violation> {
        let shop = &self.world.shops[0];
        let reference = &shop.pos.tickets[0].reference;
        let operation = shop
            .store
            .operations()
            .iter()
            .find(|it| it.reference == *reference);
        let Some(operation) = operation else {
            return Err(Violation::new(Rule::Resolved, "the sale left no operation"));
        };
        let sn = operation.key().map(|key| key.terminal_sn);
        let is_debited = sn.is_some_and(|sn| self.world.debit(0, sn).is_some());
        let mut tally = Tally::default();
        tally.operation(operation)?;
        let reached = tally.rows().into_iter().find(|(_, _, count)| *count > 0);
        let end = reached.map_or_else(String::new, |(_, name, _)| name);
        // What the PSAM did not vouch for is the provider's to decide, with the card's TAC where it answered the debit.
        let is_unproven = operation.standing == Standing::Queried(QueryReason::Mac2Unproven)
            && (operation.unproven_answer.is_some() || self.case.at_debit == AtDebit::AnswerLost)
            && matches!(self.case.at_sam, AtSam::CheckRefused | AtSam::CheckHeldUp);
        hold!(
            Resolved,
            is_unproven && is_debited || is_debited == end.starts_with("Paid") && !operation.is_open(),
            "the card was debited: {is_debited}, and the sale is {:?}",
            operation.standing
        );
        let place = self.world.cards[0].place;
        hold!(Resolved, place != Place::Wallet, "the card is lost");
        Ok(format!("{end}, card debited: {is_debited}"))
    }
}
