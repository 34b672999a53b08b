//! Killing pcscd and starting it again.

use std::env;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// Where pcscd listens.
const SOCKET: &str = "/run/pcscd/pcscd.comm";

/// The pcscd of these namespaces.
pub(crate) struct Pcscd {
    pid: Pid,
    own: Option<Child>,
}

impl Pcscd {
    /// The pcscd that runs when the test begins.
    pub(crate) fn running() -> Self {
        let pid = env::var("PURSER_PCSCD_PID").expect("with-pcscd.sh says it");
        Self {
            pid: Pid::from_raw(pid.parse().expect("a process id")).expect("not 0"),
            own: None,
        }
    }

    /// Ends it at once, and waits until nobody answers any more.
    pub(crate) fn kill(&mut self) {
        kill_process(self.pid, Signal::KILL).expect("pcscd runs");
        let end = Instant::now() + PATIENCE;
        while UnixStream::connect(SOCKET).is_ok() {
            assert!(Instant::now() < end, "pcscd does not die");
            thread::yield_now();
        }
        if let Some(mut child) = self.own.take() {
            child.wait().expect("it ends");
        }
    }

    /// Starts another.
    pub(crate) fn start(&mut self) {
        let script = env::var("PURSER_WITH_PCSCD").expect("with-pcscd.sh says it");
        let child = Command::new(script).arg("--pcscd").spawn().expect("pcscd starts");
        self.pid = Pid::from_child(&child);
        self.own = Some(child);
    }
}
