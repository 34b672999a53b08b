//! The virtual card against a shop that is written here, from the published formulas, and shares no code with it.

mod commands;
mod faults;
mod files;
#[cfg(test)]
mod loads;
mod pin;
mod proofs;
mod purchases;
#[cfg(test)]
mod shop;
mod t0;
