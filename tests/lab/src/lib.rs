//! The lab: what a developer, a test and the demo need in place of cards and the world around them.
//!
//! * [`card`]: a virtual purse card, pure, with faults on demand.
//! * [`issuer`]: master keys (public ones), personalisation, checking evidence as the provider does.
//!
//! Nothing here is for a shop: the keys are public, and a virtual card's money is worth what the lab says.

pub mod card;
pub mod issuer;
