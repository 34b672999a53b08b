//! The program as an operator and as terminals see it: real processes, real TLS on the loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stand outside of test functions"
)]

mod client;
mod commands;
mod document;
mod enrolment;
mod support;
