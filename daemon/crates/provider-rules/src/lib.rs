//! The provider's money rules: what a claim is worth, when a permit may be given, what a load may do.
//!
//! Pure, like the ledger: functions from a stored state and an event to the next state, or to a refusal by name. No
//! cryptography (whether evidence verifies is a fact that the caller found out, [`Evidence`]), no clock, no randomness and no
//! store: each state is a plain value that somebody keeps, and a change is made durable before anything is answered.
//!
//! * [`disposition`]: the one table of what becomes of a claim (C1), the same at every party.
//! * [`judge`]: the verdict on one item, and what is charged when the permit commits (C2, C3, T3).
//! * [`batch`]: pages, permit or void, never both (B3).
//! * [`permit`]: generations, revocation, the end that two parties report (B4, B6).
//! * [`query`]: how a sale in doubt ended, as far as that is proven (C4).
//! * [`load`]: attempts and voids (L1 to L3).
//! * [`books`]: issued = outstanding + redeemed + in doubt; [`shadow`]: the same for each card.
//! * [`hot_list`] and [`watch`]: what had reached a terminal (C3), and who brings too many forgeries (T3).

#![forbid(unsafe_code)]

pub mod batch;
pub mod books;
pub mod disposition;
mod evidence;
pub mod hot_list;
pub mod judge;
pub mod load;
pub mod permit;
pub mod query;
pub mod shadow;
pub mod watch;

pub use evidence::Evidence;
