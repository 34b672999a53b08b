//! What one user may use of the API: so many calls a second, so many at a time. Counted for the user and not for the connection: a
//! program that was refused here would only have to connect again. Calls, connections and reads are counted apart, so that none of
//! them is had at the cost of another; and what can only help money is never refused for its number.

mod bucket;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fault;
use crate::model::Fault;
use bucket::Bucket;

/// Calls that a user may make in a second, over a long time: a till asks for a few in each sale. As many new connections.
pub(crate) const CALLS_PER_SECOND: u32 = 100;

/// Calls that a user may make at once after a pause: a till that starts. As many new connections.
pub(crate) const CALLS_AT_ONCE: u32 = 500;

/// Calls that settle a sale that a user may make in a second, over a long time, without delay.
const SETTLING_PER_SECOND: u32 = 20;

/// Calls that settle a sale that a user may make at once after a pause, without delay: a till that asks for each of its sales.
const SETTLING_AT_ONCE: u32 = 100;

/// Entries or events that a user may read in a second, over a long time.
pub(crate) const ENTRIES_PER_SECOND: u32 = 1_000;

/// Entries or events that a user may read at once after a pause: a day's journal.
const ENTRIES_AT_ONCE: u32 = 5_000;

/// How many times as much an operator may: monitors and scripts ask more, and a loop of theirs must not stop sales either.
const OPERATOR_FACTOR: u32 = 5;

/// Calls of one user that may wait for their answers at a time: as many as it may have connections. Calls that settle a sale have
/// as many places of their own.
pub(crate) const CALLS_WAITING_MAX: usize = 32;

/// How long a refusal takes, or a call above its number that is not refused: a caller that does not heed it costs no more than four
/// of them a second and connection.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

/// How often a watcher that has read more of the journal than its user may looks whether it may go on.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Refusals that are held back at a time; further ones are told at once, so that nobody can fill the memory with them.
const PAUSES_MAX: usize = 256;

/// Users whose use is remembered. Above that, those who have used nothing for a while are forgotten.
const USERS_MAX: usize = 256;

/// After this time without any use, every number is full again.
const FULL_AFTER: Duration = Duration::from_secs(5);

/// Whose use is counted. What a user does as an operator is counted apart from what it does as any other: a program that changes
/// between the two gains nothing by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) is_operator: bool,
}

/// What a call is to its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It finds out about a sale or ends it. Above its number it is delayed, and never refused.
    Settling,
    /// It reads pages of the journal.
    Reading,
    /// Any other.
    Other,
}

impl Kind {
    /// By the method's name without its interface.
    pub(crate) fn of(method: &str) -> Self {
        match method {
            "Attach" | "AttachLoad" | "Cancel" | "CancelLoad" | "Conclude" => Self::Settling,
            "Events" | "Journal" | "Batches" | "BatchItems" => Self::Reading,
            _ => Self::Other,
        }
    }
}

/// The users' use. A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Quotas {
    users: Arc<Mutex<BTreeMap<User, Use>>>,
    pauses: Arc<Semaphore>,
}

#[derive(Debug)]
struct Use {
    calls: Bucket,
    settling: Bucket,
    connections: Bucket,
    entries: Bucket,
    /// Calls that wait for their answers.
    waiting: usize,
    /// The same of those that settle a sale.
    settling_waiting: usize,
    /// Held by the one call whose turn it is.
    turn: Arc<Semaphore>,
    seen_at: Instant,
}

impl Use {
    fn new(is_operator: bool, now: Instant) -> Self {
        let factor = if is_operator { OPERATOR_FACTOR } else { 1 };
        let bucket = |per_second, at_once| Bucket::new((per_second, at_once), factor, now);
        Self {
            calls: bucket(CALLS_PER_SECOND, CALLS_AT_ONCE),
            settling: bucket(SETTLING_PER_SECOND, SETTLING_AT_ONCE),
            connections: bucket(CALLS_PER_SECOND, CALLS_AT_ONCE),
            entries: bucket(ENTRIES_PER_SECOND, ENTRIES_AT_ONCE),
            waiting: 0,
            settling_waiting: 0,
            turn: Arc::new(Semaphore::new(1)),
            seen_at: now,
        }
    }

    /// Whether there is anything to remember.
    fn is_in_use(&mut self, now: Instant) -> bool {
        self.waiting > 0
            || self.settling_waiting > 0
            || self.entries.is_in_debt(now)
            || now.duration_since(self.seen_at) < FULL_AFTER
    }

    /// Where calls of this kind that wait are counted.
    fn waiting(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Settling => &mut self.settling_waiting,
            Kind::Reading | Kind::Other => &mut self.waiting,
        }
    }

    /// Counts a call; the pause that it has to make before it is done.
    fn admit(&mut self, kind: Kind, now: Instant) -> Result<Duration, Fault> {
        let mut pause = Duration::ZERO;
        match kind {
            Kind::Settling if self.settling.use_one(now) => {}
            Kind::Settling => pause = REFUSED_PAUSE,
            Kind::Reading | Kind::Other if !self.calls.use_one(now) => return Err(fault::too_many_calls()),
            Kind::Reading if self.entries.is_in_debt(now) => return Err(fault::too_much_read()),
            Kind::Reading | Kind::Other => {}
        }
        let waiting = self.waiting(kind);
        if *waiting >= CALLS_WAITING_MAX {
            return Err(fault::too_many_waiting());
        }
        *waiting = waiting.saturating_add(1);
        Ok(pause)
    }
}

/// A call that is being answered. Dropped when it is.
#[derive(Debug)]
pub(crate) struct Pass {
    quotas: Quotas,
    user: User,
    kind: Kind,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(used) = self.quotas.lock().get_mut(&self.user) {
            let waiting = used.waiting(self.kind);
            *waiting = waiting.saturating_sub(1);
        }
    }
}

impl Quotas {
    pub(crate) fn new() -> Self {
        Self {
            users: Arc::default(),
            pauses: Arc::new(Semaphore::new(PAUSES_MAX)),
        }
    }

    /// Counts one call of this user when it is its turn. A refusal takes a while, and so does a call above its number that is not
    /// refused. Cancel safe.
    pub(crate) async fn admit(&self, user: User, kind: Kind) -> Result<Pass, Fault> {
        self.turn(user).await;
        match self.admit_at(user, kind, Instant::now()) {
            Ok((pass, pause)) => {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Ok(pass)
            }
            Err(refused) => {
                self.pause().await;
                Err(refused)
            }
        }
    }

    fn admit_at(&self, user: User, kind: Kind, now: Instant) -> Result<(Pass, Duration), Fault> {
        let pause = find(&mut self.lock(), user, now).admit(kind, now)?;
        let pass = Pass {
            quotas: self.clone(),
            user,
            kind,
        };
        Ok((pass, pause))
    }

    /// Waits for this user's turn: one of its calls is begun each time that all others who wait have had theirs. However many
    /// connections a user has, a step of a sale waits for one call of it and not for all. Cancel safe.
    async fn turn(&self, user: User) {
        let turn = Arc::clone(&find(&mut self.lock(), user, Instant::now()).turn);
        if let Ok(_held) = turn.acquire().await {
            tokio::task::yield_now().await;
        }
    }

    /// Counts one new connection of this user, of whom nothing else is known yet. False: it is to be closed.
    pub(crate) fn admit_connection(&self, uid: u32) -> bool {
        let now = Instant::now();
        let user = User {
            uid,
            is_operator: false,
        };
        find(&mut self.lock(), user, now).connections.use_one(now)
    }

    /// Counts what a call of this user turned out to read of the journal. Never refuses: the next read may be refused for it.
    pub(crate) fn charge(&self, user: User, entries: usize) {
        let now = Instant::now();
        let entries = u32::try_from(entries).unwrap_or(u32::MAX);
        find(&mut self.lock(), user, now).entries.charge(entries, now);
    }

    /// Waits until what this user has read is paid for. Cancel safe.
    pub(crate) async fn wait(&self, user: User) {
        while self.is_in_debt(user) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn is_in_debt(&self, user: User) -> bool {
        let now = Instant::now();
        find(&mut self.lock(), user, now).entries.is_in_debt(now)
    }

    /// Waits before a refusal is told. Cancel safe.
    async fn pause(&self) {
        if let Ok(_place) = self.pauses.try_acquire() {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<User, Use>> {
        // Nothing under this lock can leave the map half changed.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user's use so far.
fn find(users: &mut BTreeMap<User, Use>, user: User, now: Instant) -> &mut Use {
    if users.len() >= USERS_MAX && !users.contains_key(&user) {
        users.retain(|_, used| used.is_in_use(now));
    }
    let used = users
        .entry(user)
        .or_insert_with(|| Use::new(user.is_operator, now));
    used.seen_at = now;
    used
}

#[cfg(test)]
mod tests;
