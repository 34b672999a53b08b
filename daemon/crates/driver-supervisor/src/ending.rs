//! The end of a driver host, which the kernel may hold up: a process inside a device's I/O dies only when that returns.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::ProcessEnd;
use crate::spawn::HostProcess;

/// Time in which a killed driver host must be gone. Source: Linux gives a USB control transfer 5 s, its longest usual
/// wait that no signal ends; twice that, for a transfer that was tried again.
const END_TIME: Duration = Duration::from_secs(10);

/// A driver host that was killed, until it is reaped or given up.
#[derive(Debug)]
pub(crate) struct Ending {
    process: Option<HostProcess>,
    until: Instant,
}

/// What came of a killed driver host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is gone; it had ended so.
    Reaped(ProcessEnd),
    /// It is still there. The runtime reaps it when it ends at last.
    GivenUp,
}

impl Ending {
    /// Kills the process and what it started.
    pub(crate) fn of(process: HostProcess) -> Self {
        process.kill();
        Self {
            process: Some(process),
            until: Instant::now() + END_TIME,
        }
    }

    /// No driver host was started.
    pub(crate) fn none() -> Self {
        Self {
            process: None,
            until: Instant::now(),
        }
    }

    /// True once there is nothing to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.process.is_none()
    }

    /// Waits until it is over and says how, once; never again after that.
    ///
    /// Cancel safety: nothing is lost when the future is dropped.
    pub(crate) async fn wait(&mut self) -> Outcome {
        let Some(process) = &mut self.process else {
            return std::future::pending().await;
        };
        let outcome = match timeout_at(self.until, process.wait()).await {
            Ok(how) => Outcome::Reaped(how),
            Err(_) => Outcome::GivenUp,
        };
        self.process = None;
        outcome
    }
}
