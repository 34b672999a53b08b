//! The journal, the books, and what happened to one payment.

use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use super::{Amount, Batch, Load, Sale, Time};

/// One movement of money between two accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Transfer {
    /// The account that is debited.
    pub debit: String,
    /// The account that is credited.
    pub credit: String,
    /// How much.
    pub amount: Amount,
}

/// One journal entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Entry {
    /// Its number; the first has 1.
    pub number: u64,
    /// The digest over it and all entries before it, 64 hexadecimal digits.
    pub digest: String,
    /// The operation that it belongs to.
    pub operation: String,
    /// The operation's reference; empty for a settlement's entry.
    pub reference: String,
    /// The user id of the operation's owner.
    pub owner: u64,
    /// Which commit of the operation brought it; 0 is the first.
    pub step: u64,
    /// When.
    pub at: Time,
    /// What happened; the contract file lists the kinds.
    pub kind: String,
    /// Why, or by which proof, as a fixed name.
    pub reason: Option<String>,
    /// The money that it moved.
    pub transfers: Vec<Transfer>,
}

/// The balance of one account in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Balance {
    /// Which; the contract file lists them.
    pub account: String,
    /// `debit` or `credit`: the side that it grows on.
    pub side: String,
    /// How much.
    pub amount: Amount,
}

/// How many operations stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Counts {
    /// Proven payments.
    pub paid: u64,
    /// Debits that were intended and proven not to have happened.
    pub not_debited: u64,
    /// Sales that ended before any debit.
    pub closed: u64,
    /// Debits whose outcome is not known; the card can tell.
    pub in_doubt: u64,
    /// Debits whose outcome the card could not tell.
    pub queried: u64,
}

/// How much of a limit is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct LimitUse {
    /// `count`, `total` or `age`.
    pub name: String,
    /// `total` only: the currency.
    pub currency: Option<String>,
    /// What is used, with the sales under way: claims, minor units, or seconds.
    pub used: u64,
    /// From which use on Purser warns.
    pub warn_at: u64,
    /// The limit.
    pub max: u64,
    /// `within`, `near` or `reached`.
    pub level: String,
}

/// Something that happened to a sale, a load or a batch: exactly one of the three is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomType)]
pub struct Event {
    /// The number of the journal entry that this event tells; absent for a progress hint, which is never told again.
    pub number: Option<u64>,
    /// The kind of the entry, or `progress`.
    pub kind: String,
    /// The sale as it stood then.
    pub sale: Option<Sale>,
    /// The load as it stood then.
    pub load: Option<Load>,
    /// The batch as it stood then.
    pub batch: Option<Batch>,
}

/// One answer of a `Watch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct WatchReply {
    /// What happened.
    pub event: Event,
}

/// The answer to `Events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct EventsReply {
    /// The events, in the order of their numbers.
    pub events: Vec<Event>,
    /// True when there may be more after the last one.
    pub more: bool,
}

/// The answer to `Journal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct JournalReply {
    /// The entries, in the order of their numbers.
    pub entries: Vec<Entry>,
    /// True when there may be more after the last one.
    pub more: bool,
}

/// The answer to `Totals`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct TotalsReply {
    /// Every balance that is not zero.
    pub balances: Vec<Balance>,
    /// How many operations stand where.
    pub counts: Counts,
    /// True when debits equal credits in every currency.
    pub balanced: bool,
    /// How much of each limit is used.
    pub limits: Vec<LimitUse>,
}

/// The answer to `Head`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct HeadReply {
    /// The head of the record chain, `NUMBER:DIGEST`, as `purserd verify-journal --expect` takes it.
    pub head: String,
}

/// The answer to `Where`: what happened to one payment, as facts and in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct WhereReply {
    /// The sale.
    pub sale: Sale,
    /// What happened, in words.
    pub happened: String,
    /// By which proof that is known, in words.
    pub proof: String,
    /// What to do next, in words.
    pub next: String,
    /// Its journal entries; none while nothing is durable.
    pub entries: Vec<Entry>,
}
