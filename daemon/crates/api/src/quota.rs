//! What one user may use of the API: so many calls a second, so many at a time. Counted for the user and not for the connection: a
//! program that was refused here would only have to connect again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fault;
use crate::model::Fault;

/// Calls and new connections that a user may make in a second, over a long time: a till asks for a few in each sale.
pub(crate) const CALLS_PER_SECOND: u32 = 100;

/// Calls and new connections that a user may make at once after a pause: a till that starts, or reads a day's journal.
pub(crate) const CALLS_AT_ONCE: u32 = 500;

/// How many times as much an operator may: monitors and scripts ask more, and a loop of theirs must not stop sales either.
const OPERATOR_FACTOR: u32 = 5;

/// Entries or events that cost as much as one call more: a page of 200 is twenty-one.
const ENTRIES_PER_CALL: usize = 10;

/// Calls of one user that may wait for their answers at a time: as many as it may have connections.
pub(crate) const CALLS_WAITING_MAX: usize = 32;

/// How long a refusal takes: a caller that does not heed it costs no more than four of them a second and connection.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

/// How often a watcher that has read more of the journal than its user may looks whether it may go on.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Refusals that are held back at a time; further ones are told at once, so that nobody can fill the memory with them.
const PAUSES_MAX: usize = 64;

/// Users whose use is remembered. Above that, those who have used nothing for a while are forgotten.
const USERS_MAX: usize = 256;

/// The users' use. A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Quotas {
    users: Arc<Mutex<BTreeMap<u32, User>>>,
    pauses: Arc<Semaphore>,
}

#[derive(Debug)]
struct User {
    /// Calls that are left, in thousandths. Below zero after a call that turned out to be a large one.
    left_milli: i64,
    filled_at: Instant,
    waiting: usize,
    /// Held by the one call whose turn it is.
    turn: Arc<Semaphore>,
    /// How many times as much as others the user may.
    factor: u32,
}

impl User {
    fn new(now: Instant) -> Self {
        Self {
            left_milli: milli(CALLS_AT_ONCE),
            filled_at: now,
            waiting: 0,
            turn: Arc::new(Semaphore::new(1)),
            factor: 1,
        }
    }

    /// An operator may more, from the moment when it is known to be one.
    fn set_operator(&mut self, is_operator: bool) {
        let factor = if is_operator { OPERATOR_FACTOR } else { 1 };
        let more = factor.saturating_sub(self.factor);
        self.left_milli = self
            .left_milli
            .saturating_add(milli(CALLS_AT_ONCE.saturating_mul(more)));
        self.factor = factor;
    }

    /// Counts what time has brought.
    fn fill(&mut self, now: Instant) {
        let since_ms = now.duration_since(self.filled_at).as_millis();
        let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
        let per_ms = i64::from(CALLS_PER_SECOND.saturating_mul(self.factor));
        let most = milli(CALLS_AT_ONCE.saturating_mul(self.factor));
        self.left_milli = self
            .left_milli
            .saturating_add(since_ms.saturating_mul(per_ms))
            .min(most);
        // What is less than a millisecond goes on counting.
        self.filled_at += Duration::from_millis(u64::try_from(since_ms).unwrap_or(0));
    }

    /// Takes one, if there is one.
    fn use_one(&mut self, now: Instant) -> bool {
        self.fill(now);
        let has_one = self.left_milli >= milli(1);
        if has_one {
            self.left_milli = self.left_milli.saturating_sub(milli(1));
        }
        has_one
    }
}

fn milli(calls: u32) -> i64 {
    i64::from(calls).saturating_mul(1000)
}

/// A call that is being answered. Dropped when it is.
#[derive(Debug)]
pub(crate) struct Pass {
    quotas: Quotas,
    uid: u32,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(user) = self.quotas.lock().get_mut(&self.uid) {
            user.waiting = user.waiting.saturating_sub(1);
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

    /// Counts one call of this user.
    pub(crate) fn admit(&self, uid: u32, is_operator: bool) -> Result<Pass, Fault> {
        self.admit_at(uid, is_operator, Instant::now())
    }

    fn admit_at(&self, uid: u32, is_operator: bool, now: Instant) -> Result<Pass, Fault> {
        let mut users = self.lock();
        let user = find(&mut users, uid, now);
        user.set_operator(is_operator);
        if !user.use_one(now) {
            return Err(fault::too_many_calls());
        }
        if user.waiting >= CALLS_WAITING_MAX {
            return Err(fault::too_many_waiting());
        }
        user.waiting = user.waiting.saturating_add(1);
        Ok(Pass {
            quotas: self.clone(),
            uid,
        })
    }

    /// Waits for this user's turn: one of its calls is begun each time that all others who wait have had theirs. However many
    /// connections a user has, a step of a sale waits for one call of it and not for all. Cancel safe.
    pub(crate) async fn turn(&self, uid: u32) {
        let turn = Arc::clone(&find(&mut self.lock(), uid, Instant::now()).turn);
        if let Ok(_held) = turn.acquire().await {
            tokio::task::yield_now().await;
        }
    }

    /// Counts one new connection of this user, of whom nothing else is known yet. False: it is to be closed.
    pub(crate) fn admit_connection(&self, uid: u32) -> bool {
        let now = Instant::now();
        find(&mut self.lock(), uid, now).use_one(now)
    }

    /// Counts what a call of this user turned out to read of the journal. Never refuses: the next call may be refused for it.
    pub(crate) fn charge(&self, uid: u32, entries: usize) {
        let calls = u32::try_from(entries / ENTRIES_PER_CALL).unwrap_or(u32::MAX);
        let user = &mut *self.lock();
        let user = find(user, uid, Instant::now());
        user.left_milli = user.left_milli.saturating_sub(milli(calls));
    }

    /// Waits until what this user has read is paid for. Cancel safe.
    pub(crate) async fn wait(&self, uid: u32) {
        while self.is_in_debt(uid) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn is_in_debt(&self, uid: u32) -> bool {
        let now = Instant::now();
        let mut users = self.lock();
        let user = find(&mut users, uid, now);
        user.fill(now);
        user.left_milli < 0
    }

    /// Waits before a refusal is told. Cancel safe.
    pub(crate) async fn pause(&self) {
        if let Ok(_place) = self.pauses.try_acquire() {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, User>> {
        // Nothing under this lock can leave the map half changed.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user's use so far.
fn find(users: &mut BTreeMap<u32, User>, uid: u32, now: Instant) -> &mut User {
    if users.len() >= USERS_MAX && !users.contains_key(&uid) {
        let full_after = Duration::from_secs(u64::from(CALLS_AT_ONCE / CALLS_PER_SECOND));
        users.retain(|_, user| {
            user.waiting > 0 || user.left_milli < 0 || now.duration_since(user.filled_at) < full_after
        });
    }
    users.entry(uid).or_insert_with(|| User::new(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorName;

    #[test]
    fn a_burst_is_taken_then_so_many_a_second_and_another_user_is_not_meant() {
        let (quotas, now) = (Quotas::new(), Instant::now());
        let taken = |now, operator| {
            (0..10_000)
                .filter(|_| quotas.admit_at(7, operator, now).is_ok())
                .count()
        };
        assert_eq!(u32::try_from(taken(now, false)), Ok(CALLS_AT_ONCE));
        let refused = quotas.admit_at(7, false, now).unwrap_err();
        assert!(
            refused.is(ErrorName::QuotaCalls) && refused.transient,
            "{refused:?}"
        );
        assert!(quotas.admit_at(8, false, now).is_ok());
        let later = now + Duration::from_secs(1);
        assert_eq!(u32::try_from(taken(later, false)), Ok(CALLS_PER_SECOND));
        let much_later = later + Duration::from_secs(3600);
        let operators = CALLS_AT_ONCE * OPERATOR_FACTOR;
        assert_eq!(u32::try_from(taken(much_later, true)), Ok(operators));
    }

    #[test]
    fn a_call_that_read_much_costs_more_and_debts_are_paid_by_time() {
        let quotas = Quotas::new();
        let now = Instant::now();
        for _ in 0..100 {
            quotas.charge(7, 200);
        }
        assert!(quotas.is_in_debt(7));
        assert!(quotas.admit_at(7, false, now).is_err());
        assert!(quotas.admit_at(7, false, now + Duration::from_secs(60)).is_ok());
        assert!(!quotas.is_in_debt(8));
    }

    #[test]
    fn calls_that_wait_are_counted_until_they_are_answered() {
        let quotas = Quotas::new();
        let mut passes: Vec<_> = (0..CALLS_WAITING_MAX)
            .map(|_| quotas.admit(7, false).unwrap())
            .collect();
        assert!(quotas.admit(7, false).unwrap_err().is(ErrorName::QuotaCalls));
        passes.pop();
        assert!(quotas.admit(7, false).is_ok());
    }

    #[test]
    fn many_users_are_not_remembered_for_ever() {
        let (quotas, mut now) = (Quotas::new(), Instant::now());
        for uid in 0..10_000 {
            drop(quotas.admit_at(uid, false, now));
            now += Duration::from_millis(100);
        }
        assert!(quotas.lock().len() <= USERS_MAX);
    }
}
