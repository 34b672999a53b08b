//! `purser-driver-host` loads one device driver and calls it for the daemon.
//!
//! It is started by the daemon, never by hand: no arguments, an empty environment, and a connected Unix stream socket
//! as standard input, over which it speaks `purser-driver-wire`. What it does, in order: shut itself in ([`sandbox`]),
//! hear which driver to load and check its bytes ([`load`]), load it, make one instance, and make calls one by one
//! ([`session`]) until the daemon says stop or the socket ends.
//!
//! Exit codes: 0 stopped as asked or the daemon went, 2 not started by the daemon, 3 the driver was not loaded,
//! 4 the driver made no instance, 5 the daemon's messages could not be understood, 6 the driver wrote beyond a buffer. A
//! crash of the driver ends this process by its signal.

mod calls;
mod driver;
mod emit;
mod guarded;
mod leash;
mod link;
mod load;
mod sandbox;
mod session;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    match sandbox::enter() {
        Ok(socket) => session::run(socket),
        Err(error) => {
            eprintln!("purser-driver-host is started by the daemon: {error}");
            ExitCode::from(session::EXIT_NOT_STARTED_BY_DAEMON)
        }
    }
}
