//! News for watchers: each has a bounded queue of its own, so that a slow one delays nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purser_engine::load::{LoadOutcome, LoadProgress, LoadView};
use purser_engine::settlement::BatchView;
use purser_engine::{Outcome, Progress, SaleView};
use purser_ledger::{Owner, Reference};
use tokio::sync::mpsc;

use crate::facts::Recorded;
use crate::model::{Event, Fault};
use crate::{fault, project};

/// The events that wait for one watcher. A sale makes about ten: a watcher may fall two dozen sales behind.
pub const EVENT_QUEUE: usize = 256;

/// The most watchers at a time: each costs one queue and one look at each event.
pub const WATCHERS_MAX: usize = 128;

/// The most watchers of one user, so that one user's leaking program does not shut the operator out.
pub(crate) const WATCHERS_PER_USER_MAX: usize = 32;

/// A queue that is fuller than this takes no more hints, so that there is room for entries.
const HINTS_BELOW: usize = EVENT_QUEUE / 2;

/// Something that watchers are told.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "news is made, published by reference and dropped, one at a time"
)]
pub enum News {
    /// A durable entry. Published once for each, in the order of their numbers.
    Entry {
        /// The entry.
        recorded: Recorded,
        /// The operation as it stands with this entry.
        view: Durable,
    },
    /// Progress of a sale. May be lost.
    Hint(SaleView<Progress>),
    /// Progress of a load. May be lost.
    HintLoad(LoadView<LoadProgress>),
    /// Progress of a batch. May be lost.
    HintBatch(BatchView),
}

/// An operation as an entry left it.
#[derive(Clone, Debug)]
pub enum Durable {
    /// What `SaleView::of` says of a sale.
    Sale(SaleView<Outcome>),
    /// What `LoadView::of` says of a load.
    Load(LoadView<LoadOutcome>),
    /// What `BatchView::of` says of a settlement.
    Batch(BatchView),
}

impl News {
    /// Whose it is, and under which reference; a batch has none.
    fn of(&self) -> (Owner, Option<&Reference>) {
        match self {
            Self::Entry {
                view: Durable::Sale(view),
                ..
            } => (view.owner, Some(&view.reference)),
            Self::Entry {
                view: Durable::Load(view),
                ..
            } => (view.owner, Some(&view.reference)),
            Self::Entry {
                view: Durable::Batch(view),
                ..
            }
            | Self::HintBatch(view) => (view.owner, None),
            Self::Hint(view) => (view.owner, Some(&view.reference)),
            Self::HintLoad(view) => (view.owner, Some(&view.reference)),
        }
    }
}

/// Spreads news to watchers. A handle; clones share the watchers.
#[derive(Clone, Default)]
pub struct Hub {
    watchers: Arc<Mutex<Vec<Watcher>>>,
}

/// Whose news a watcher sees.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// Only this owner's; everyone's for an operator.
    pub(crate) owner: Option<Owner>,
    /// Only the operation that has this reference.
    pub(crate) reference: Option<Reference>,
}

struct Watcher {
    uid: u32,
    filter: Filter,
    queue: mpsc::Sender<Arc<Event>>,
}

/// The receiving end of one watcher's queue. Ends when the watcher was cut off.
pub(crate) struct Subscription {
    queue: mpsc::Receiver<Arc<Event>>,
}

impl Hub {
    /// A hub without watchers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts news into the queue of each watcher that may see it. A watcher without room for an entry is cut off: it begins
    /// again after the number that it read last. Never waits.
    pub fn publish(&self, news: &News) {
        let (owner, reference) = news.of();
        let mut event = None;
        self.lock().retain(|watcher| {
            if watcher.queue.is_closed() {
                return false;
            }
            if !watcher.filter.lets_through(owner, reference) {
                return true;
            }
            let event = event.get_or_insert_with(|| Arc::new(project::event(news)));
            watcher.take(event)
        });
    }

    /// Adds a watcher.
    pub(crate) fn subscribe(&self, uid: u32, filter: Filter) -> Result<Subscription, Fault> {
        let mut watchers = self.lock();
        watchers.retain(|watcher| !watcher.queue.is_closed());
        let own = watchers.iter().filter(|watcher| watcher.uid == uid).count();
        if watchers.len() >= WATCHERS_MAX || own >= WATCHERS_PER_USER_MAX {
            return Err(fault::too_many_watchers());
        }
        let (sender, queue) = mpsc::channel(EVENT_QUEUE);
        watchers.push(Watcher {
            uid,
            filter,
            queue: sender,
        });
        Ok(Subscription { queue })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watcher>> {
        // Nothing under this lock can leave the list half changed.
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// False when the watcher is to be cut off.
    fn take(&self, event: &Arc<Event>) -> bool {
        let is_hint = event.number.is_none();
        if is_hint && self.queue.capacity() < EVENT_QUEUE.saturating_sub(HINTS_BELOW) {
            return true;
        }
        self.queue.try_send(Arc::clone(event)).is_ok()
    }
}

impl Filter {
    fn lets_through(&self, owner: Owner, reference: Option<&Reference>) -> bool {
        self.owner.is_none_or(|only| only == owner)
            && self.reference.as_ref().is_none_or(|only| Some(only) == reference)
    }
}

impl Subscription {
    /// The next event; none when the watcher was cut off. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Arc<Event>> {
        self.queue.recv().await
    }

    /// The next event if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<Arc<Event>> {
        self.queue.try_recv().ok()
    }
}
