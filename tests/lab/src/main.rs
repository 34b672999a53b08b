//! `purser-lab`: makes virtual purse cards and PSAMs and puts them into readers.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The lab of Purser: virtual purse cards and PSAMs, for trying, testing and showing. Its keys are public.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a card, look at it, put it into a reader
    #[command(subcommand)]
    Card(cli::card::Verb),
    /// Make a PSAM, look at it, put it into a reader
    #[command(subcommand)]
    Psam(cli::psam::Verb),
    /// Write the lab's (public) purchase master key as a credential file for the software SAM
    Keys(cli::keys::Keys),
    /// Sell three times with purserd and a virtual card, kill purserd once, and check that the books balance
    #[cfg(feature = "stack")]
    Demo(cli::demo::Demo),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Card(verb) => verb.run(),
        Verb::Psam(verb) => verb.run(),
        Verb::Keys(keys) => keys.run(),
        #[cfg(feature = "stack")]
        Verb::Demo(demo) => demo.run().map_err(cli::Failed::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::tell(&error);
            ExitCode::FAILURE
        }
    }
}
