//! `purser-driver-check FILE.so` checks a driver against the clauses of `purser/driver.h`, and names those that it breaks.
//!
//! It does what the daemon does: it starts `purser-driver-host`, which alone loads vendor code, and speaks the daemon's
//! messages with it. So a driver is checked in the process, sandbox and buffers that it will live with.
//!
//! ```text
//! subject     the driver, its settings, and where cards come from
//! checks      the clauses, one function each, in a driver host of its own
//! bench       a driver host with a driver in it: calls, answers, events, and what they may be
//! host        the process, its socket, its standard error
//! vitals      its memory, threads, descriptors, children and signals, as the system tells them
//! card        a virtual card that misbehaves on demand, for readers that take one
//! report      what came of it
//! ```

mod bench;
mod card;
mod checks;
mod host;
mod report;
mod subject;
mod vitals;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use report::Report;
use subject::{CardSource, NotChecked, Subject};

/// The driver broke a clause.
const EXIT_BROKEN: u8 = 1;
/// It could not be checked: no such file, no driver host, or it works too little to be checked.
const EXIT_NOT_CHECKED: u8 = 3;

/// Checks a device driver against the clauses of purser/driver.h.
///
/// The driver is loaded in a driver host, as the daemon does it. Checks that need a card use a virtual one
/// (--virtual-card), or ask you to put one in and take it out (--by-hand); without both they are skipped.
///
/// Exit codes: 0 all clauses that were checked are kept, 1 a clause is broken, 2 usage, 3 the driver could not be checked.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The shared object.
    driver: PathBuf,
    /// The driver's settings, a TOML document; @FILE reads them from a file.
    #[arg(long, default_value = "", value_name = "TOML|@FILE")]
    settings: String,
    /// Where a virtual card is put in: the TCP address at which the reader, or vpcd behind pcscd, awaits it.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "by_hand")]
    virtual_card: Option<SocketAddr>,
    /// Ask for a real card to be put in and taken out. It is sent SELECT of its master file, and nothing else.
    #[arg(long)]
    by_hand: bool,
    /// How often a card is connected and disconnected in the check for leaks.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    cycles: u32,
    /// Only checks of this clause, such as C-6, or with this text in their title; may be given more than once.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// One JSON object on standard output instead of lines.
    #[arg(long)]
    json: bool,
    /// The program purser-driver-host; without it the one beside this program.
    #[arg(long)]
    host: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.json);
    let checked = subject(&arguments).and_then(|subject| {
        checks::run(&subject, &arguments.only, &mut report)?;
        Ok(())
    });
    if let Err(error) = checked {
        eprintln!("purser-driver-check: {error}");
        return ExitCode::from(EXIT_NOT_CHECKED);
    }
    report.finish();
    if report.is_broken() {
        ExitCode::from(EXIT_BROKEN)
    } else if report.is_empty() {
        eprintln!("purser-driver-check: nothing was checked");
        ExitCode::from(EXIT_NOT_CHECKED)
    } else {
        ExitCode::SUCCESS
    }
}

fn subject(arguments: &Arguments) -> Result<Subject, NotChecked> {
    let settings = match arguments.settings.strip_prefix('@') {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| NotChecked::Settings(file.into(), error))?
        }
        None => arguments.settings.clone(),
    };
    let card = match arguments.virtual_card {
        Some(address) => CardSource::Virtual(address),
        None if arguments.by_hand => CardSource::Hand,
        None => CardSource::None,
    };
    let host = arguments.host.clone().unwrap_or_else(|| {
        let program = std::env::current_exe().unwrap_or_default();
        program.with_file_name("purser-driver-host")
    });
    Subject::new(&arguments.driver, settings, card, host, arguments.cycles)
}
