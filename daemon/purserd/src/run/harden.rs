//! What the process gives up at start, before it holds a key or a PIN.

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask};

/// No core files, no tracing by other programs of the same user, and files that only the owner may use.
///
/// # Errors
/// The kernel's own: nothing works as expected then, and the process should not hold keys.
pub(crate) fn harden() -> Result<(), Errno> {
    umask(Mode::from_raw_mode(0o077));
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}
