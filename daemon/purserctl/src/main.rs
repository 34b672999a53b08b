//! The command line of Purser. Speaks Varlink with the daemon, and nothing else.

mod cli;
mod exit;
mod show;
mod table;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use exit::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(verbs::run(&cli)),
        Err(error) => Err(Failure::Runtime(error)),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            exit::report(&failure, cli.json);
            failure.exit().into()
        }
    }
}
