//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use purser_ledger::Head;

/// Takes payment from IC cards that carry electronic money, and never forgets one.
#[derive(Debug, Parser)]
#[command(name = "purserd", version, about = "Takes payment from IC cards that carry electronic money, and never forgets one.", after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do; without it: run.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Where things are.
    #[command(flatten)]
    pub places: Places,
}

/// Where things are.
#[derive(Clone, Debug, Args)]
pub struct Places {
    /// The configuration; its drop-ins lie in FILE.d, its drivers in drivers.d beside it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/purser/purser.toml"
    )]
    pub config: PathBuf,
    /// The folder for the socket
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "RUNTIME_DIRECTORY",
        default_value = "/run/purser"
    )]
    pub run_dir: PathBuf,
    /// The folder that holds the journal
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "STATE_DIRECTORY",
        default_value = "/var/lib/purser"
    )]
    pub state_dir: PathBuf,
    /// What to log, such as `info` or `purserd=debug`
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "RUST_LOG",
        default_value = "info",
        value_parser = crate::log::parse_filter
    )]
    pub log: String,
}

/// What purserd can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run the daemon in the foreground (the default)
    Run,
    /// Read the configuration and say what is wrong with it
    CheckConfig,
    /// Read the whole journal, also while the daemon runs, and find any changed byte of an entry
    VerifyJournal(VerifyJournal),
    /// Make what follows from the entries of a damaged journal anew, so that the shop sells again; purserd must not run
    MendJournal {
        /// Why; noted in journal.mends with who and when
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Look at everything on this machine that purserd needs, and say what is wrong; also while it does not run
    Doctor {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make this terminal known to the provider of the configuration, or get a new certificate; counts from the next start
    Enrol(Enrol),
    /// Print the head of the record chain, for `verify-journal --expect`
    Head,
    /// After the state folder was restored from a copy, or cloned: begin a new generation, which the provider has to reconcile;
    /// purserd must not run
    NewGeneration(NewGeneration),
}

/// How to begin a new generation.
#[derive(Clone, Debug, Args)]
pub struct NewGeneration {
    /// Say that this state folder is a copy that was restored or cloned
    #[arg(long)]
    pub yes: bool,
    /// Begin one that is later than this too: the one that the provider tells of this terminal, where it was restored more than once
    #[arg(long, value_name = "N")]
    pub later_than: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How to enrol.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("how").required(true).args(["code", "renew"]))]
pub struct Enrol {
    /// The one-time code that the provider's operator gave out for this terminal
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Get a certificate for a new key with the one that is there
    #[arg(long)]
    pub renew: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How to verify.
#[derive(Clone, Debug, Args)]
pub struct VerifyJournal {
    /// A head that was printed earlier (by `purserd head` or on a slip): finds a cut tail too
    #[arg(long, value_name = "NUMBER:DIGEST")]
    pub expect: Option<Head>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  done; for verify-journal and mend-journal: the journal is whole
   1  start-up failed, verify-journal found a fault, mend-journal cannot mend it, doctor found something,
      or enrol or new-generation was not done
   2  the command line is wrong
  65  the journal is damaged, of a newer version or not readable as one; a restart does not help
  74  the journal could not be written or read; the next start recovers
  75  another purserd has the journal
  78  the configuration or the SAM credential is refused
 134  purserd ended itself because its own state was wrong (abort); the next start recovers";
