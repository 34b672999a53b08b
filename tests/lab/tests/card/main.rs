//! The virtual card and the virtual PSAM against a shop that is written here, from the published formulas, and shares no code
//! with them.

mod commands;
mod faults;
mod files;
#[cfg(test)]
mod loads;
mod pin;
mod proofs;
#[cfg(test)]
mod psam;
mod psam_faults;
mod purchases;
#[cfg(test)]
mod shop;
mod t0;
