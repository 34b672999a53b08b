//! Both doors over real sockets and a real bus, with a scripted engine behind them.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking"
)]

mod access;
mod bus;
mod contract;
mod dbus;
mod drivers;
mod pin;
mod quota;
mod raw;
mod shop;
mod user;
mod varlink;
mod watch;
