//! The reference provider host: enrols terminals, issues value, verifies claims, permits settlement.

mod audit;
mod authority;
mod card_crypto;
mod cli;
mod fault;
mod folder;
mod masters;
mod serve;
mod show;
mod store;
mod token;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match verbs::run(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            fault::report(&failure, cli.json);
            failure.exit().into()
        }
    }
}
