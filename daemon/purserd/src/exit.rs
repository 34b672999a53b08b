//! Exit codes, so that systemd and scripts can tell failures apart. Numbers above 63 are those of `sysexits.h`.

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; the journal is whole.
    Done,
    /// Start-up failed for a reason that the log names, or `verify-journal` found a fault.
    Failed,
    /// The journal is damaged, or not one that this Purser can use (`EX_DATAERR`). A restart does not help.
    JournalRefused,
    /// The journal could not be written or read, or its disk hangs (`EX_IOERR`). The next start recovers.
    StoreBroken,
    /// Another purserd has the journal (`EX_TEMPFAIL`).
    InUse,
    /// The configuration or the SAM credential is refused (`EX_CONFIG`). A restart does not help.
    Config,
}

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::JournalRefused => 65,
            Self::StoreBroken => 74,
            Self::InUse => 75,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
