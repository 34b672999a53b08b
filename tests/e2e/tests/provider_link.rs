//! purserd's link against the real purser-provider over TLS on the loopback, in both modes: enrolment, settlement up to the
//! permit, a line that is cut after every message, and servers that lie.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stand outside of test functions"
)]

#[path = "provider_link/cuts.rs"]
mod cuts;
#[path = "provider_link/enrolments.rs"]
mod enrolments;
#[path = "provider_link/host.rs"]
mod host;
#[path = "provider_link/lies.rs"]
mod lies;
#[path = "provider_link/proxy.rs"]
mod proxy;
#[path = "provider_link/server.rs"]
mod server;
#[path = "provider_link/settlements.rs"]
mod settlements;
#[path = "provider_link/till.rs"]
mod till;

// A shop's sales with real TACs, as the provider's own tests make them.
#[path = "../../../daemon/purser-provider/tests/provider/shop.rs"]
#[allow(dead_code, reason = "the provider's tests use more of it")]
mod shop;
