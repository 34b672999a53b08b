//! The program as an operator and as terminals see it: real processes, real TLS on the loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stand outside of test functions"
)]

mod attacks;
mod audits;
mod called;
mod card;
mod client;
mod commands;
mod connections;
mod document;
mod doubts;
mod enrolment;
mod forgeries;
mod loads;
mod parameters;
mod permits;
mod queries;
mod schemathesis;
mod settlements;
mod settling;
mod shop;
mod support;
mod upgrades;
mod voids;
