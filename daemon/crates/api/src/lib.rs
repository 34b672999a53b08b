//! The API: one [`Service`] that holds every rule, two thin doors that only translate, and a Varlink client.
//!
//! ```text
//! POS ── D-Bus ────► dbus ────┐                ┌─ Call, one bounded queue ─► the task that owns the engine
//!                             ├─► Service ─────┼─ DriverCall, another ────► the same task, which owns the drivers too
//! POS ── Varlink ──► varlink ─┘   (Access)     ├─ Facts: journal, totals, devices, past the engine
//!                                              └─ Hub: news, to owners and operators
//! ```
//! The feature `doors` is what the daemon uses, `client` what programs use. The words of the API are in [`model`]; the two
//! contract files beside this crate's manifest are what other languages build on.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "doors")]
pub mod dbus;
pub mod model;
#[cfg(feature = "doors")]
pub mod varlink;

#[cfg(feature = "doors")]
mod access;
#[cfg(feature = "doors")]
mod call;
#[cfg(feature = "doors")]
mod drivers;
#[cfg(feature = "doors")]
mod facts;
#[cfg(feature = "doors")]
mod fault;
#[cfg(feature = "doors")]
mod fold;
#[cfg(feature = "doors")]
mod foreign;
#[cfg(feature = "doors")]
mod hub;
#[cfg(feature = "doors")]
mod parse;
#[cfg(feature = "doors")]
mod pin;
#[cfg(feature = "doors")]
mod project;
#[cfg(feature = "doors")]
mod quota;
#[cfg(feature = "doors")]
mod reads;
#[cfg(feature = "doors")]
mod reasons;
#[cfg(feature = "doors")]
mod service;
#[cfg(feature = "doors")]
mod status;
#[cfg(feature = "doors")]
mod watch;
#[cfg(feature = "doors")]
mod whereabouts;

#[cfg(feature = "doors")]
pub use access::{Access, Caller, OPERATOR_GROUP, POS_GROUP};
#[cfg(feature = "doors")]
pub use call::{Answered, Call};
#[cfg(feature = "doors")]
pub use drivers::{DriverCall, DriverRefusal, DriverRequest};
#[cfg(feature = "doors")]
pub use facts::{
    BatchFacts, BusState, EntriesQuery, Facts, FactsUnavailable, InfoFacts, Recorded, StatusFacts,
    TotalsFacts,
};
#[cfg(feature = "doors")]
pub use hub::{Durable, EVENT_QUEUE, Hub, News, WATCHERS_MAX};
#[cfg(feature = "doors")]
pub use service::Service;
#[cfg(feature = "doors")]
pub use watch::Watch;
