//! Ends of the process that vendor code cannot hold up.

use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};

/// Ends the process at once, without exit handlers: those of a driver's libraries may hang.
pub(crate) fn exit(code: u8) -> ! {
    #[allow(unsafe_code, reason = "no safe call ends a process without its exit handlers")]
    unsafe extern "C" {
        fn _exit(status: i32) -> !;
    }
    #[allow(unsafe_code, reason = "as above")]
    // SAFETY: POSIX _exit takes any status and never returns.
    unsafe {
        _exit(i32::from(code))
    }
}

/// Waits so long for an orderly end, then kills the process and what the driver started.
pub(crate) fn kill_after(grace_ms: u32) {
    thread::sleep(Duration::from_millis(u64::from(grace_ms)));
    let own_group = getpgrp() == getpid();
    let _ = if own_group {
        kill_current_process_group(Signal::KILL)
    } else {
        kill_process(getpid(), Signal::KILL)
    };
}
