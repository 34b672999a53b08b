//! The Purser daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    purserd::verbs::main().into()
}
