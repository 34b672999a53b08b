//! Both doors over real sockets and a real bus, with a scripted engine behind them.

mod access;
mod bus;
mod contract;
mod dbus;
mod pin;
mod raw;
mod shop;
mod user;
mod varlink;
mod watch;
