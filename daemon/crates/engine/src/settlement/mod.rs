//! Settlement up to the permit (S30 to S34): one machine for each currency.
//!
//! ```text
//!  Idle ──Settle──► Counting ──counted──► Sealing ──committed──► Sending ──permit, void──► Exchanging ──committed──► Idle
//!                      └─ nothing, or it cannot be read ─► Idle     ▲ └─ failure ─► Waiting ─┐
//!                                                                   └──── time, Settle ──────┘
//! ```
//! A batch is a range of journal entries of one currency, and entries never change: what counts it ([`Counter`]) and what
//! sends it make its items from the journal, outside of the engine, page by page. Sales go on all the time.
//!
//! A sealed batch is never given up by the terminal: it is sent again, with longer and longer pauses, until the provider gives
//! its permit or its void. After a restart it is sent again too. The provider knows a repeat by the batch's number. What the
//! link has checked is checked once more here, as far as it fits into the engine's hand, before the claims leave: that permit
//! and verdicts belong to this batch, this terminal and a pinned account, and that they add up.

mod again;
mod check;
pub mod items;
mod run;
mod serve;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use again::Presenting;
pub use again::{FindUnpaid, NotUnpaid, PresentedAgain, Unpaid, is_exchanged};
pub use items::{Counter, Pages, Settleable};
pub use view::{BatchState, BatchTold, BatchView};

use purser_ledger::{
    Authorised, Commit, Currency, Monotonic, OperationId, Owner, Repeatable, Settlement, Wall,
};
use purser_provider_link::{
    BankAccount, Batch, BatchVoid, Digest, Judged, Permit, ProviderName, TerminalName,
};

use crate::{CallId, RequestId};

/// What the provider made of this terminal when it was enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The terminal's name: the one in its certificate.
    pub terminal: TerminalName,
    /// The terminal's generation (money rule T1).
    pub generation: u32,
    /// The provider's name: the one in its certificate.
    pub provider: ProviderName,
    /// The provider's accounts, one at each bank: no permit of another one is taken (money rule T4). None for a terminal that loads
    /// cards and settles nothing.
    pub accounts: Vec<BankAccount>,
}

/// What is to be counted: a batch that is about to be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountBatch {
    /// The batch's number.
    pub id: OperationId,
    /// Its currency.
    pub currency: Currency,
    /// The entry behind which it begins.
    pub after: u64,
    /// Who seals it, and for whom.
    pub enrolment: Enrolment,
    /// When.
    pub sealed_at: Wall,
}

/// A batch that was counted, with what only the journal knows of it. Made by [`Counter::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The batch.
    pub batch: Batch,
    /// The last entry of its range.
    pub upto: u64,
    /// How many of its items are claims.
    pub claims: u32,
    /// True when there was more than fits into one batch: the next one follows at once.
    pub has_more: bool,
}

/// A sealed batch that may be sent to the provider. Exists only as [`Authorised`]: its seal is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendBatch {
    /// The batch.
    pub batch: Batch,
    /// The entry behind which it begins.
    pub after: u64,
    /// Its last entry.
    pub upto: u64,
}

/// The provider knows a batch by its number, and a page by batch and number: a repeat gets the first answer (money rule C2).
impl Repeatable for SendBatch {}

/// How the provider answers a batch. Its signatures have been checked by whoever says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one for each settlement, and never kept"
)]
pub enum SettleAnswer {
    /// A permit.
    Permit {
        /// The permit.
        permit: Permit,
        /// The provider's signature over its canonical bytes.
        signature: Vec<u8>,
        /// What its verdicts come to. They are kept, durably, before this is said (money rule T4).
        judged: Judged,
    },
    /// The batch will never be paid (money rule B3).
    Void {
        /// The void.
        void: BatchVoid,
        /// The provider's signature over its canonical bytes.
        signature: Vec<u8>,
    },
}

/// Why the provider has not answered, or a batch was not counted. Shown to people; the engine tries again whatever it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({name})")]
pub struct ProviderFailure {
    /// What it is, by a stable name: the provider's own where it refuses.
    pub name: &'static str,
    /// True for what passes by itself. What does not is tried again more seldom.
    pub is_transient: bool,
    /// The same in a sentence, with its cause.
    pub text: String,
}

/// The first pause after a failure, in milliseconds; each further one is twice as long.
const RETRY_MS: u64 = 5_000;

/// The longest pause, in milliseconds: a provider that is back is found within a quarter of an hour.
const RETRY_MS_MAX: u64 = 15 * 60_000;

/// Requests that may wait for batches to be sealed: more than there are operators.
const WAITING_MAX: usize = 16;

impl Settling {
    /// True for the settlement of this number.
    pub(crate) fn is_of(&self, id: OperationId) -> bool {
        self.id == id
    }
}

/// The settlement of one currency that is under way.
#[derive(Debug)]
pub(crate) struct Settling {
    id: OperationId,
    owner: Owner,
    state: State,
    /// How many items the provider has taken in this attempt; none before it takes the first.
    sent: Option<u32>,
    /// Attempts that failed in a row.
    failures: u32,
    why: Option<ProviderFailure>,
    /// True when another batch is to follow.
    has_more: bool,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each currency, and it changes a few times a day"
)]
enum State {
    /// The journal's reader counts.
    Counting(CallId),
    /// The seal is on its way to the store.
    Sealing(Commit),
    /// The provider is asked.
    Sending(CallId, SealedBatch),
    /// The provider was asked, and is asked again at this time; without one, not before a restart.
    Waiting(Option<Monotonic>, SealedBatch),
    /// The end is on its way to the store.
    Exchanging(SealedBatch, Ending),
    /// Sealed, and not sent by this process: it was sealed as another terminal, or for another provider.
    Parked(Settlement),
}

/// A batch whose seal is durable.
#[derive(Debug)]
struct SealedBatch {
    settlement: Settlement,
    send: Authorised<SendBatch>,
    digest: Digest,
}

/// The end of a batch, on its way to the store.
#[derive(Debug)]
struct Ending {
    commit: Commit,
    /// For the number of the batch that may follow.
    random: [u8; 16],
}

/// A `Settle` that is answered when each of these currencies has its batch sealed, or has none.
#[derive(Debug)]
pub(crate) struct SettleRequest {
    id: RequestId,
    currencies: Vec<Currency>,
    /// What was not sealed, with the reason.
    failed: Vec<BatchView>,
}
