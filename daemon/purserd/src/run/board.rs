//! What is known of limits, doubts, clock and disk: told by the loop, read by whoever asks how the daemon does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use purser_api::model::Problem;
use purser_engine::load::{LoadProgress, OwedReason};
use purser_engine::settlement::BatchView;
use purser_engine::{Engine, LimitKind, LimitLevel, LimitUse, Limits};
use purser_journal::DiskRoom;
use purser_ledger::{ClockRange, ClockStand, Now, Standing, Unsettled, Wall};
use tokio::sync::watch;

use super::clock::Clock;
use super::health::problem;

/// The board. A handle; clones share what stands on it.
#[derive(Clone, Debug)]
pub(super) struct Board {
    limits: Arc<Limits>,
    clock: Arc<Clock>,
    facts: Arc<Mutex<Facts>>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Facts {
    counted: Unsettled,
    in_doubt: usize,
    /// Of those, the ones that the provider is asked about.
    queries: usize,
    /// The batches under way.
    batches: Vec<BatchView>,
    loads: Loads,
    range: ClockRange,
    disk: Option<DiskRoom>,
    /// What was logged last.
    levels: BTreeMap<LimitKind, LimitLevel>,
    is_disk_low: bool,
}

impl Board {
    pub(super) fn new(limits: Limits, clock: Clock, range: ClockRange, disk: Option<DiskRoom>) -> Self {
        let facts = Facts {
            counted: Unsettled::default(),
            in_doubt: 0,
            queries: 0,
            batches: Vec::new(),
            loads: Loads::default(),
            range,
            disk,
            levels: BTreeMap::new(),
            is_disk_low: false,
        };
        Self {
            limits: Arc::new(limits),
            clock: Arc::new(clock),
            facts: Arc::new(Mutex::new(facts)),
            changes: watch::Sender::new(()),
        }
    }

    /// Takes over what the engine knows, and tells what has changed for the worse or the better.
    pub(super) fn update(&self, engine: &Engine) {
        let is_in_doubt =
            |standing: &Standing| matches!(standing, Standing::InDoubt(_) | Standing::Queried(_));
        let in_doubt = engine
            .open_operations()
            .filter(|operation| is_in_doubt(&operation.standing))
            .count();
        let counted = engine.counted();
        let mut facts = self.lock();
        let batches = engine.batches();
        let loads = Loads::of(engine);
        let is_other = (facts.in_doubt, facts.queries) != (in_doubt, engine.queries())
            || facts.counted != counted
            || facts.batches != batches
            || facts.loads != loads;
        facts.loads = loads;
        facts.batches = batches;
        facts.in_doubt = in_doubt;
        facts.queries = engine.queries();
        facts.counted = counted;
        facts.range = engine.clock_range();
        let levels = self.levels(&facts);
        let before = std::mem::replace(&mut facts.levels, levels.clone());
        drop(facts);
        for (kind, level) in levels {
            if before.get(&kind).copied().unwrap_or(LimitLevel::Within) != level {
                log_level(kind, level);
            }
        }
        if is_other {
            self.changes.send_replace(());
        }
    }

    /// Takes over what was seen of the disk.
    pub(super) fn see_disk(&self, disk: DiskRoom) {
        let mut facts = self.lock();
        let was_low = std::mem::replace(&mut facts.is_disk_low, disk.is_low());
        let before = facts.disk.replace(disk);
        drop(facts);
        if disk.is_low() && !was_low {
            let (free_mib, reserve_mib) = (disk.free_bytes >> 20, disk.reserve_bytes >> 20);
            tracing::warn!(
                free_mib,
                reserve_mib,
                "the journal's disk runs full; new sales stop at the reserve"
            );
        }
        if before.is_none_or(|before| before.is_enough() != disk.is_enough() || was_low != disk.is_low()) {
            self.changes.send_replace(());
        }
    }

    /// Whether the journal's disk had room for another sale when it was last looked at; where nobody can tell, it has.
    pub(super) fn has_room(&self) -> bool {
        self.lock().disk.is_none_or(|disk| disk.is_enough())
    }

    /// How much of each limit is used now.
    pub(super) fn uses(&self) -> Vec<LimitUse> {
        self.uses_of(&self.lock())
    }

    /// The batches under way.
    pub(super) fn batches(&self) -> Vec<BatchView> {
        self.lock().batches.clone()
    }

    /// The present on the wall, as far as it is believed (money rule T2).
    pub(super) fn wall(&self) -> Wall {
        self.now(&self.lock()).wall
    }

    /// Tells whoever waits for changes that there is one.
    pub(super) fn tell(&self) {
        self.changes.send_replace(());
    }

    /// Changes when something here does.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// True while nothing here keeps a new sale from beginning.
    pub(super) fn may_sell(&self) -> bool {
        self.has_room() && self.uses().iter().all(|it| it.level() != LimitLevel::Reached)
    }

    /// What of it an operator should know.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let facts = self.lock();
        let limits = self
            .uses_of(&facts)
            .into_iter()
            .filter_map(|it| limit_problem(&it));
        let disk = facts.disk.and_then(disk_problem);
        let clock = clock_problem(facts.range, self.clock.shown());
        let doubts = (facts.in_doubt > 0).then(|| {
            problem(
                "sales_in_doubt",
                &format!(
                    "{} payments are in doubt; the provider is asked about {}",
                    facts.in_doubt, facts.queries
                ),
                "present their cards again, which tells by itself; or choose their end with Conclude",
            )
        });
        let batches = facts.batches.iter().filter_map(batch_problem);
        limits
            .chain(disk)
            .chain(clock)
            .chain(doubts)
            .chain(batches)
            .chain(facts.loads.problems())
            .collect()
    }

    fn levels(&self, facts: &Facts) -> BTreeMap<LimitKind, LimitLevel> {
        let uses = self.uses_of(facts);
        uses.into_iter().map(|it| (it.kind, it.level())).collect()
    }

    fn uses_of(&self, facts: &Facts) -> Vec<LimitUse> {
        self.limits.uses(&facts.counted, self.now(facts))
    }

    fn now(&self, facts: &Facts) -> Now {
        let now = self.clock.now();
        Now {
            wall: facts.range.judge(now.wall),
            ..now
        }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        // Nothing under this lock can leave the facts half changed.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with a clock that says `now`; none where it is believed (money rule T2).
pub(crate) fn clock_problem(range: ClockRange, now: Timestamp) -> Option<Problem> {
    let (cause, remedy) = match range.stand(now.as_second()) {
        ClockStand::Within => return None,
        ClockStand::Behind => (
            format!("the clock says {now}, which is before the newest record or the build date"),
            "set the clock; sales go on meanwhile, with the last time that was believed, marked",
        ),
        ClockStand::Ahead => (
            format!("the clock says {now}, more than twenty years after this program was built"),
            "set the clock, or install a newer Purser; sales go on meanwhile, with the last time that was believed, marked",
        ),
    };
    Some(problem("clock_untrusted", &cause, remedy))
}

fn log_level(kind: LimitKind, level: LimitLevel) {
    match level {
        LimitLevel::Within => tracing::info!(limit = ?kind, "well within the limit again"),
        LimitLevel::Near => tracing::warn!(limit = ?kind, "the limit is near; settle before new sales stop"),
        LimitLevel::Reached => {
            tracing::error!(limit = ?kind, "the limit is reached: no new sale begins; settle")
        }
    }
}

/// A limit that is near or reached, in words.
pub(crate) fn limit_problem(it: &LimitUse) -> Option<Problem> {
    let (name, what, key) = match it.kind {
        LimitKind::Count => (
            "limit_count",
            "claims wait for settlement".to_owned(),
            "count_max",
        ),
        LimitKind::Total(currency) => (
            "limit_total",
            format!("minor units of {currency} wait for settlement"),
            "total_max",
        ),
        LimitKind::Age => (
            "limit_age",
            "hours has the oldest claim waited for settlement".to_owned(),
            "age_max_hours",
        ),
    };
    let told = |number: u64| {
        if it.kind == LimitKind::Age {
            number / 3600
        } else {
            number
        }
    };
    let cause = format!("{} of {} {what}", told(it.used), told(it.max));
    let remedy = format!("settle; the operator can raise limits.{key} in the configuration");
    match it.level() {
        LimitLevel::Within => None,
        LimitLevel::Near => Some(problem(&format!("{name}_near"), &cause, &remedy)),
        LimitLevel::Reached => Some(problem(name, &format!("{cause}: no new sale begins"), &remedy)),
    }
}

/// Loads that wait for somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Loads {
    /// Nobody works on them, and no card has their value for certain.
    owed: usize,
    /// A card has the value, and the provider does not take the proof, by this name.
    refused: Option<&'static str>,
}

impl Loads {
    fn of(engine: &Engine) -> Self {
        let mut loads = Self::default();
        for (view, why) in engine.loads() {
            match (view.state, why) {
                (LoadProgress::Owed, _) => loads.owed += 1,
                (LoadProgress::Loading, Some(OwedReason::Provider(name))) => loads.refused = Some(name),
                _ => {}
            }
        }
        loads
    }

    fn problems(self) -> impl Iterator<Item = Problem> {
        let owed = (self.owed > 0).then(|| {
            problem(
                "loads_owed",
                &format!("{} loads are owed to their users", self.owed),
                "whoever began one begins it again with its card, or cancels it, as an operator may; purserctl journal tells their references",
            )
        });
        let refused = self.refused.map(|name| {
            problem(
                "load_not_confirmed",
                &format!("a card has its value, and the provider has not taken the proof of it ({name})"),
                "Purser sends it again by itself; tell the provider's operator where it lasts",
            )
        });
        owed.into_iter().chain(refused)
    }
}

/// A batch that does not get on, in words.
fn batch_problem(it: &BatchView) -> Option<Problem> {
    let (name, text) = it.why.as_ref()?;
    let cause = format!("batch {} over {} waits: {text} ({name})", it.id, it.claims.amount);
    let remedy =
        "Purser asks again by itself; see purserctl batch list, and the provider's operator where it lasts";
    Some(problem("batch_waits", &cause, remedy))
}

/// A disk that is low or full, in words.
pub(crate) fn disk_problem(disk: DiskRoom) -> Option<Problem> {
    let mib = disk.reserve_bytes >> 20;
    let remedy = "free space on the disk of the state folder, or lower journal.reserve_mib";
    if !disk.is_enough() {
        let cause = format!(
            "the journal's disk has less free space than its reserve of {mib} MiB: no new sale begins"
        );
        return Some(problem("no_room", &cause, remedy));
    }
    let cause = format!("the journal's disk has less than twice its reserve of {mib} MiB free");
    disk.is_low().then(|| problem("disk_low", &cause, remedy))
}
