//! The words of the API: what both doors say and the client reads. `org.purser.Purser1.varlink` is the contract.
//!
//! Every struct here is an object of that file, field for field; a test compares the two. Over D-Bus an object is an
//! `a{sv}` with the same keys, an absent field is an absent key, and an [`Amount`] is `(ts)`.

mod arguments;
mod batch;
mod device;
mod error;
mod journal;
mod load;
mod provider;
mod sale;

pub use arguments::{
    AttachArguments, BeginSaleArguments, ConcludeArguments, DriverArguments, EventsArguments,
    JournalArguments, ProvidePinArguments, ReadPurseArguments, RecordDriverArguments, ReferenceArguments,
    WatchArguments,
};
pub use batch::{
    Batch, BatchArguments, BatchItem, BatchItemsArguments, BatchItemsReply, BatchesArguments, BatchesReply,
    PresentAgainArguments, PresentAgainReply, SettleArguments, SettleReply,
};
pub use device::{
    Device, DevicesReply, Driver, DriverReply, DriversReply, InfoReply, Limits, Problem, StatusReply,
};
pub use error::{ErrorName, Fault};
pub use journal::{
    Balance, Counts, Entry, Event, EventsReply, HeadReply, JournalReply, LimitUse, TotalsReply, Transfer,
    WatchReply, WhereReply,
};
pub use load::{BeginLoadArguments, BeginLoadReply, Load, LoadReply};
pub use provider::ProviderReply;
pub use sale::{Amount, BeginSaleReply, Purse, PurseReply, Sale, SaleReply, Slip, Time};

/// The name of the Varlink interface and of the D-Bus interface.
pub const INTERFACE: &str = "org.purser.Purser1";

/// The Varlink interface description, word for word what the running daemon tells.
pub const VARLINK_CONTRACT: &str = include_str!("../../org.purser.Purser1.varlink");

/// The D-Bus introspection document.
pub const DBUS_CONTRACT: &str = include_str!("../../org.purser.Purser1.xml");

/// The longest message that the Varlink door reads, in bytes: far more than the longest call, far less than would hurt.
pub const MESSAGE_BYTES_MAX: u64 = 16 * 1024;

/// The most events or entries in one answer: one answer stays below a megabyte.
pub const PAGE_MAX: u64 = 200;
