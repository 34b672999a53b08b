//! The link to the provider: enrolment, call-back, and settlement up to the permit (S30 to S34).
//!
//! ```text
//!  Link::settle ──► one task: the call-back's machine ──► request leg ──► ticket
//!       │                         │  ▲
//!       │                         │  └── legs: the standing link, or calls that are taken at the listener
//!       ◄──── an open leg ────────┘
//!       └──► announce ─► pages ─► permit ─► verdicts, on that leg; then it goes back to the task
//! ```
//! Nothing here decides about money: a permit, verdicts and voids are handed on when they carry the provider's signature
//! and are of this batch; what they come to is checked elsewhere. Every wait has an end, and every end a name
//! ([`ProviderFailure`]). Whatever failed may be asked again: batch, pages and permit have numbers of their own.

mod address;
mod ask;
mod enrol;
mod failure;
mod files;
mod identity;
mod key;
mod legs;
mod link;
mod listen;
mod load;
pub(crate) mod parameters;
mod query;
mod settle;
mod task;
mod tls;
mod wire;

pub use address::{Address, AddressError};
pub(crate) use enrol::enrol;
pub use enrol::{EnrolError, Enrolment, enrol_with};
pub use failure::names;
pub use files::FilesError;
pub use identity::{Identity, Merchant, Pinned, Role};
pub(crate) use identity::{mode_name, mode_of};
pub use link::{Link, LinkState, Settings, StartError};
pub use purser_engine::ProviderFailure;
pub use settle::{PAGE_ITEMS_MAX, SettleAnswer, SignedVerdict};
