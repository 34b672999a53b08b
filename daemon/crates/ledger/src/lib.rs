//! Money, accounts, entries and the one function that records them before anything may act.
//!
//! Pure: no clock, no randomness, no files. A [`Store`] keeps the entries; [`commit`] alone turns durable entries into
//! [`JournalReceipt`]s, and a receipt turns one act into an [`Authorised`] one.

mod account;
mod admit;
mod amount;
mod any;
mod batch;
mod entry;
mod fuzz;
mod head;
mod id;
mod load;
mod operation;
mod receipt;
mod settlement;
mod store;
mod time;
mod unsettled;

pub use account::{Account, Books, BooksError, Transfer};
pub use admit::{Existing, admit};
pub use amount::{Amount, AmountError, Currency, MINOR_MAX};
pub use any::{AnyOperation, Asked, Kind};
pub use batch::{BatchExchanged, BatchSealed, BatchVoided, Part};
pub use entry::{
    CloseReason, Conclusion, Content, DecodeError, DoubtReason, ENTRY_VERSION, Entry, PaidProof,
    ProviderAnswer, QueryReason, SaleClosed, SaleConcluded, SaleInDoubt, SaleIntended, SalePaid,
    SalePresentedAgain, SaleQueried, SaleVoided, VoidProof,
};
pub use fuzz::fuzz;
pub use head::{Head, HeadError};
pub use id::{
    CardId, DebitKey, DeviceName, NAME_BYTES_MAX, NameError, OperationId, Owner, Reference, SCHEME_BYTES_MAX,
    Scheme, SchemeBytes,
};
pub use load::{
    ATTEMPT_STEPS_END, Load, LoadAttempted, LoadBegun, LoadConfirmed, LoadProof, LoadProven, LoadReleased,
    LoadStanding, LoadVoided,
};
pub use operation::{FoldError, Operation, Standing};
pub use receipt::{Authorised, JournalReceipt, Repeatable, Stored, StoredKind, commit, find};
pub use settlement::{BatchStanding, Batches, Settlement};
pub use store::{Commit, Damaged, Find, FindError, Refused, Snapshot, Store, StoreBroken};
pub use time::{ClockRange, ClockStand, Monotonic, Now, Wall};
pub use unsettled::{Claims, Unsettled};
