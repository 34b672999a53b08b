//! The lab: what a developer, a test and the demo need in place of cards and the world around them.
//!
//! * [`card`]: a virtual purse card, pure, with faults on demand.
//! * [`psam`]: a virtual PSAM: the shop's keys and its counter in a card of their own, with faults on demand.
//! * [`chip`]: what both have in common for those below.
//! * [`issuer`]: master keys (public ones), personalisation, checking evidence as the provider does.
//! * [`store`]: a card on disk that survives any kill.
//! * [`vpcd`]: a card in a reader: a thread that can insert it, remove it and tear it.
//! * [`control`]: the same by lines of text over a Unix socket.
//! * `claims` (feature `stack`): what a shop's journal claims, checked as the issuer does.
//! * `stack` (feature `stack`): a running purserd with readers, PIN pad, cards and a till around it.
//!
//! Nothing here is for a shop: the keys are public, and a virtual card's money is worth what the lab says.

pub mod card;
pub mod chip;
#[cfg(feature = "stack")]
pub mod claims;
pub mod control;
pub mod issuer;
pub mod psam;
#[cfg(feature = "stack")]
pub mod stack;
pub mod store;
pub mod vpcd;
