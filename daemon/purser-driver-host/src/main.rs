//! Loads one device driver and calls it for the daemon.

fn main() {}
