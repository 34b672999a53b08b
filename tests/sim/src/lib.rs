//! The simulator: the product's own engine and ledger in a simulated world, with its money counted after every step.
//!
//! The [`Engine`](purser_engine::Engine), [`commit`](purser_ledger::commit) and the lab's card are the real ones. Simulated
//! are the store (whose disk a crash cuts to its last sync), the readers, the clocks, the POS programs, the buyers and the
//! other shops. A world is deterministic: the same seed gives the same story.
//!
//! * [`exhaustive`]: every crash point and every pair of them in one sale.
//! * [`seeded`]: schedules of faults drawn from a seed: of sales, or with both parties, a shop, a provider's counter and the provider.
//! * [`batches`]: settlement of the engine's batches with the provider's own rules, with every crash of a story, and seeded.
//! * [`loads`]: loads of the engine with the provider's own rules, with every crash, fault and cancel of a story, and seeded.
//! * [`model`]: every state of a load and of a settlement, with the provider's own rules.
//! * [`Flaw`]: parts of the world that break one rule each, to prove that the checks can fail.

mod acts;
pub mod batches;
mod check;
mod device;
pub mod exhaustive;
mod failure;
mod fault;
mod faults;
mod flaw;
mod kit;
mod line;
pub mod loads;
pub mod model;
mod parties;
mod plastic;
mod pos;
mod provider;
mod psam;
#[cfg(test)]
mod psam_attacks;
mod psam_slot;
#[cfg(test)]
mod psam_stories;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod returns;
mod rng;
mod rule;
mod schedule;
pub mod seeded;
mod settle;
mod settled;
mod shop;
mod store;
mod tally;
mod told;
mod trace;
mod work;
mod world;

pub use failure::Failure;
pub use fault::FaultKind;
pub use flaw::Flaw;
pub use kit::CardKind;
pub use rule::{Rule, Violation};
pub use store::Disk;
pub use tally::{EndState, Tally};
pub use trace::LAST_LINES;
