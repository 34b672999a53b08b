//! The ledger's store on SQLite: every entry chained, durable before anything may act, and read back by queries.
//!
//! ```text
//! state folder (0700)
//!   journal.db        entries, and rows derived from them (operations, debits, loads, balances, what is open)
//!   journal.db-wal    the newest commits; kept longer than its content, so that evidence never needs a new disk block
//!   journal.db-shm    SQLite's index of the WAL
//!   chain.key         32 random bytes; the record chain's key
//!   journal.head      how far the journal had come; what finds a lost tail (head_file.rs)
//!   journal.mends     who had what mended, when and why (mend.rs)
//!   journal.lock      locked by the one process that may write; holds its process id
//! ```
//! [`Journal`] is the one writer ([`purser_ledger::Store`]); [`JournalThread`] runs it on a thread of its own; [`Reader`]
//! answers queries beside it; [`verify`] re-derives everything and finds any changed byte of an entry.
//!
//! A commit is one append to the WAL and one sync. Checkpoints happen in [`Journal::maintain`], outside a sale.

mod append;
mod batches;
mod chain;
mod error;
mod files;
mod head_file;
mod held;
mod journal;
mod loads;
mod memory;
mod mend;
mod reader;
mod references;
mod room;
mod rows;
mod schema;
mod start;
mod thread;
mod totals;
mod verdicts;
mod verify;

pub use error::{OpenError, ReadError};
pub use held::Held;
pub use journal::{FullCheck, Journal, Maintained, Options};
pub use mend::{MendError, Mended, mend};
pub use reader::{Overview, Query, Range, Reader, Recorded};
pub use room::{DiskRoom, FOLLOWING_FRAMES, OPENING_FRAMES, SLACK_FRAMES, WAL_FRAMES_MIN};
pub use thread::{Done, Job, JournalThread, KeepError, Keeper, NotTaken, Page};
pub use totals::Totals;
pub use verdicts::{NotKept, SignedVerdict, VERDICTS_MAX};
pub use verify::{Derived, Finding, Report, VerifyError, verify};
