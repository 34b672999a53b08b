//! The journal on a thread of its own: commits and finds in one queue, neighbouring commits in one sync.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use purser_ledger::{
    Commit, Content, Damaged, Find, FindError, Head, JournalReceipt, OperationId, Refused, StoreBroken,
    Stored, commit, find,
};

use crate::{DiskRoom, Journal, NotKept, SignedVerdict, WAL_FRAMES_MIN};

/// Jobs that may wait: each sale has at most one commit and one find under way, and a terminal has few sales at once.
const QUEUE_MAX: usize = 256;

/// Commits that share one sync at most: bounds how long the first one waits for the others' pages.
const GROUP_MAX: usize = 64;

/// How long no job has come before the journal is maintained: longer than a debit takes from intent to outcome.
const IDLE_MS: u64 = 2_000;

/// Frames from which on a maintained WAL is worth not waiting for an idle moment: half its least length.
const FRAMES_TO_HURRY: u64 = WAL_FRAMES_MIN / 2;

/// Work for the journal.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every job is a commit, and it is moved once into the queue and once out of it"
)]
pub enum Job {
    /// Store this.
    Commit(Commit),
    /// Look for this; the answer has the number.
    Find {
        /// Chosen by the asker.
        id: u64,
        /// What to look for.
        query: Find,
    },
    /// Keep a page of signed verdicts; made by [`Keeper::keep`].
    Keep(Page),
}

/// A page of signed verdicts on its way to the journal, and who waits for it.
#[derive(Debug)]
pub struct Page {
    batch: OperationId,
    verdicts: Vec<SignedVerdict>,
    kept: SyncSender<Result<(), NotKept>>,
}

/// Hands signed verdicts to the journal's thread, beside the engine's commits. A handle; it does not keep the thread alive.
#[derive(Clone, Debug)]
pub struct Keeper(Weak<SyncSender<Job>>);

/// Why a page of verdicts is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// The journal's thread does not take it.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The journal does not keep it.
    #[error(transparent)]
    NotKept(#[from] NotKept),
}

impl KeepError {
    /// True when the same page may be kept later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotTaken(error) => error.is_transient(),
            Self::NotKept(error) => error.is_transient(),
        }
    }
}

impl Keeper {
    /// Keeps a page of a batch's signed verdicts. Blocks until they are durable: call it where waiting is allowed.
    ///
    /// # Errors
    /// [`KeepError`]: they are not kept.
    pub fn keep(&self, batch: OperationId, verdicts: Vec<SignedVerdict>) -> Result<(), KeepError> {
        let (kept, answer) = sync_channel(1);
        let page = Page {
            batch,
            verdicts,
            kept,
        };
        let jobs = self.0.upgrade().ok_or(NotTaken::Ended)?;
        submit(&jobs, Job::Keep(page))?;
        drop(jobs);
        let answer = answer.recv().map_err(|_| NotTaken::Ended)?;
        Ok(answer?)
    }
}

fn submit(jobs: &SyncSender<Job>, job: Job) -> Result<(), NotTaken> {
    jobs.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => NotTaken::Full,
        TrySendError::Disconnected(_) => NotTaken::Ended,
    })
}

/// The answer to one job. Answers come in the order of their jobs.
#[derive(Debug)]
pub enum Done {
    /// A commit is durable.
    Committed {
        /// Lets one act happen.
        receipt: JournalReceipt,
        /// What was stored.
        content: Content,
        /// The number and digest of its entry.
        head: Head,
    },
    /// A commit was refused; nothing of it is stored.
    Refused {
        /// The commit's operation.
        operation: OperationId,
        /// The commit's step.
        step: u8,
        /// Why.
        refused: Refused,
    },
    /// The answer to a find.
    Found {
        /// The number that the asker chose.
        id: u64,
        /// What is stored; none where nothing is.
        found: Result<Option<Stored>, Damaged>,
        /// The free space of the journal's disk at this moment; none where the system does not tell.
        disk: Option<DiskRoom>,
    },
    /// The journal is broken: the last answer that comes. End the process.
    Broken(StoreBroken),
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The queue is full; answer the caller that the journal is busy.
    #[error("the journal has too much to do; try again later")]
    Full,
    /// The thread has ended: the journal broke.
    #[error("the journal has ended")]
    Ended,
}

impl NotTaken {
    /// True when the same job may be taken later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Full => true,
            Self::Ended => false,
        }
    }
}

/// A journal at work. Dropping it lets the thread finish what was taken, then closes the journal, and waits for that however
/// long it takes; [`Self::end`] has a limit.
#[derive(Debug)]
pub struct JournalThread {
    jobs: Option<Arc<SyncSender<Job>>>,
    /// Disconnected when the thread has closed the journal.
    closed: Receiver<Infallible>,
    thread: Option<JoinHandle<()>>,
}

impl JournalThread {
    /// Starts the thread. `answer` is called on it for each job in order, and must not block.
    ///
    /// # Errors
    /// The thread could not be started; the process lacks resources.
    pub fn start(journal: Journal, answer: impl FnMut(Done) + Send + 'static) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        let worker = Worker {
            journal,
            answer,
            queue,
        };
        let (closing, closed) = channel();
        let thread = Builder::new().name("journal".to_owned()).spawn(move || {
            worker.run();
            drop(closing);
        })?;
        Ok(Self {
            jobs: Some(Arc::new(jobs)),
            closed,
            thread: Some(thread),
        })
    }

    /// Hands in a job; never waits.
    ///
    /// # Errors
    /// [`NotTaken`]: the job will not be done.
    pub fn submit(&self, job: Job) -> Result<(), NotTaken> {
        submit(self.jobs.as_ref().ok_or(NotTaken::Ended)?, job)
    }

    /// What keeps a provider's verdicts.
    pub fn keeper(&self) -> Keeper {
        Keeper(self.jobs.as_ref().map_or_else(Weak::new, Arc::downgrade))
    }

    /// Lets the thread finish what was taken and close the journal. False when it has not done so in this time: the disk may
    /// hang. The thread is left behind then; end the process, and the next start recovers.
    #[must_use]
    pub fn end(mut self, patience: Duration) -> bool {
        self.jobs = None;
        let is_closed = self.closed.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
        if !is_closed {
            self.thread = None;
        }
        is_closed
    }
}

impl Drop for JournalThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told by its own message.
            let _ = thread.join();
        }
    }
}

/// Dropped in this order: who sees the answers end finds the queue closed and the journal free.
struct Worker<A> {
    queue: Receiver<Job>,
    journal: Journal,
    answer: A,
}

/// Nobody asks any more, or the journal broke and said so.
struct Ended;

impl<A: FnMut(Done)> Worker<A> {
    fn run(mut self) {
        while let Ok(job) = self.next() {
            if self.work(job).is_err() {
                return;
            }
        }
    }

    /// Waits for a job, and maintains the journal when none comes.
    fn next(&mut self) -> Result<Job, Ended> {
        let mut is_maintained = false;
        loop {
            if is_maintained {
                return self.queue.recv().map_err(|_| Ended);
            }
            match self.queue.recv_timeout(Duration::from_millis(IDLE_MS)) {
                Ok(job) => return Ok(job),
                Err(RecvTimeoutError::Disconnected) => return Err(Ended),
                Err(RecvTimeoutError::Timeout) if self.journal.is_between_commits() => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.maintain()?;
                    is_maintained = true;
                }
            }
        }
    }

    /// Does a job and those that wait behind it.
    fn work(&mut self, first: Job) -> Result<(), Ended> {
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Find { id, query } => {
                    let found = match find(&self.journal, &query) {
                        Ok(stored) => Ok(stored),
                        Err(FindError::Damaged(damaged)) => Err(damaged),
                        Err(FindError::Broken(broken)) => return Err(self.broken(broken)),
                    };
                    let disk = self.journal.disk();
                    (self.answer)(Done::Found { id, found, disk });
                }
                Job::Keep(page) => {
                    let kept = self.journal.keep_verdicts(page.batch, &page.verdicts);
                    let kept = kept.map_err(|broken| self.broken(broken))?;
                    // Whoever has gone asks the provider again.
                    let _ = page.kept.send(kept);
                }
                Job::Commit(commit) => {
                    let (group, behind) = self.group(commit);
                    self.commit(&group)?;
                    next = behind;
                }
            }
        }
        if self.journal.wal_frames() >= FRAMES_TO_HURRY && !self.journal.is_between_commits() {
            self.maintain()?;
        }
        Ok(())
    }

    /// The commits that wait in a row, and the job behind them that is none.
    fn group(&self, first: Commit) -> (Vec<Commit>, Option<Job>) {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            match self.queue.try_recv() {
                Ok(Job::Commit(commit)) => group.push(commit),
                Ok(other) => return (group, Some(other)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        (group, None)
    }

    fn commit(&mut self, group: &[Commit]) -> Result<(), Ended> {
        let answers = commit(&mut self.journal, group).map_err(|error| self.broken(error))?;
        for (commit, answer) in group.iter().zip(answers) {
            (self.answer)(match answer {
                Ok(receipt) => Done::Committed {
                    head: receipt.head(),
                    content: commit.content(),
                    receipt,
                },
                Err(refused) => Done::Refused {
                    operation: commit.operation,
                    step: commit.step,
                    refused,
                },
            });
        }
        Ok(())
    }

    fn maintain(&mut self) -> Result<(), Ended> {
        match self.journal.maintain() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&mut self, error: StoreBroken) -> Ended {
        (self.answer)(Done::Broken(error));
        Ended
    }
}
