//! What each verb of the command line does.

use std::path::Path;

use clap::Parser;

use crate::cli::{Cli, Places, Verb};
use crate::config::Config;
use crate::exit::Exit;
use crate::journal_verbs;

/// Does what the command line says.
pub fn main() -> Exit {
    let cli = Cli::parse();
    match cli.verb.unwrap_or(Verb::Run) {
        Verb::Run => run(&cli.places),
        Verb::CheckConfig => check_config(&cli.places.config),
        Verb::VerifyJournal(how) => journal_verbs::verify_journal(&cli.places.state_dir, &how),
        Verb::MendJournal { reason } => journal_verbs::mend_journal(&cli.places.state_dir, &reason),
        Verb::Doctor { json } => crate::doctor::doctor(&cli.places, json),
        Verb::Enrol(how) => match load_config(&cli.places.config) {
            Ok(config) => crate::provider::enrol(&config, &cli.places.state_dir, &how),
            Err(exit) => exit,
        },
        Verb::Head => journal_verbs::head(&cli.places.state_dir),
        Verb::NewGeneration(how) => match load_config(&cli.places.config) {
            Ok(config) => crate::generation::new_generation(&config.sam, &cli.places.state_dir, &how),
            Err(exit) => exit,
        },
    }
}

fn run(places: &Places) -> Exit {
    crate::log::start(&places.log);
    match load_config(&places.config) {
        Ok(config) => crate::run::run(config, places),
        Err(exit) => exit,
    }
}

fn check_config(path: &Path) -> Exit {
    match load_config(path) {
        Ok(config) => {
            println!("{} is right; drivers: {}", path.display(), config.drivers.len());
            Exit::Done
        }
        Err(exit) => exit,
    }
}

/// The configuration, or the exit code after saying what is wrong with it.
fn load_config(path: &Path) -> Result<Config, Exit> {
    Config::load(path).map_err(|errors| {
        for error in &errors {
            eprintln!("error: {}\n", chain(error));
        }
        Exit::Config
    })
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
