//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use purser_ledger::Currency;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused; nothing was changed
  2  the command line is wrong
  5  it is not known whether it is done: repeat the command";

/// The reference provider host of Purser.
#[derive(Debug, Parser)]
#[command(name = "purser-provider", version, about = "Enrols terminals, issues value, verifies claims, permits settlement", after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print JSON: one object, or one object a line where there are many
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The provider's folder
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PURSER_PROVIDER_DIR",
        default_value = "/var/lib/purser-provider"
    )]
    pub(crate) dir: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a new provider: its folder, data base, signing key, certificate authority and server certificate
    Init(Init),
    /// Banks where the provider has an account
    #[command(subcommand)]
    Bank(Bank),
    /// Merchants, each with the account that is credited
    #[command(subcommand)]
    Merchant(Merchant),
    /// Terminals: enrol, suspend, revoke
    #[command(subcommand)]
    Terminal(Terminal),
    /// Cards
    #[command(subcommand)]
    Card(Card),
    /// Versions of the card keys
    #[command(subcommand)]
    Key(Key),
    /// Cards that terminals shall refuse
    #[command(subcommand)]
    Hotlist(Hotlist),
    /// What terminals may do: each change is a new version of one signed document
    #[command(subcommand)]
    Parameters(Parameters),
    /// Loads
    #[command(subcommand)]
    Load(Load),
    /// The batches that terminals settle
    #[command(subcommand)]
    Batch(Batch),
    /// The permits that were given, and how one is issued again
    #[command(subcommand)]
    Permit(Permit),
    /// Claims and what became of them
    #[command(subcommand)]
    Claims(Claims),
    /// Sales in doubt that terminals have asked about
    #[command(subcommand)]
    Queries(Queries),
    /// What no fault of a line brings about, the newest first: forged claims, second links, wrong signatures
    Alarms {
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// The books: where each minor unit of issued value is
    Liability,
    /// Derive everything again from the stored evidence; exit code 1 when something does not agree
    Audit(CardKeys),
    /// Serve terminals, until SIGTERM
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address and port to listen at; port 0: any free one, which is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:7443")]
    pub(crate) listen: String,
    /// How long a request's body may take: a full page over a slow mobile line
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) body_seconds: u64,
    /// How long nothing may be asked on a connection
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) idle_seconds: u64,
    /// The same for a standing link and for one that is open for a load or a settlement: a card may have to be found again
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) leg_idle_seconds: u64,
    /// How many connections at once: a terminal has two at most beside its standing link
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) connections: u32,
    #[command(flatten)]
    pub(crate) card_keys: CardKeys,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The new folder
    pub(crate) dir: PathBuf,
    /// The provider's name, as terminals know it: 1 to 64 visible ASCII characters
    #[arg(long)]
    pub(crate) name: String,
    /// A name or address at which terminals reach this host; may be given several times
    #[arg(long = "host", required = true, value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
    /// A provider for a lab: loads can be opened by hand. Cannot be changed later
    #[arg(long)]
    pub(crate) lab: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CardKeys {
    /// The card master keys; left out: card-keys in systemd's credentials folder or in the provider's folder
    #[arg(long, value_name = "FILE")]
    pub(crate) card_keys: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bank {
    /// Add a bank
    Add {
        /// Its name here
        name: String,
        /// The provider's account there: bank 4, branch 3, type 1, number 7 digits
        #[arg(long)]
        account: String,
        /// The bank's public key, for which permit tokens are sealed: a P-256 point, 130 hex digits
        #[arg(long, value_name = "HEX")]
        sealing_key: String,
    },
    /// Show the banks
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Merchant {
    /// Add a merchant
    Add {
        /// Its name here
        name: String,
        /// Its bank, which must be one of the provider's
        #[arg(long)]
        bank: String,
        /// The merchant's account there, 15 digits: it cannot be changed afterwards
        #[arg(long)]
        account: String,
    },
    /// Show the merchants
    List,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// It sells and settles
    Merchant,
    /// It loads cards
    Provider,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("reached").required(true).args(["address", "standing_link"]))]
pub(crate) struct TerminalAdd {
    /// The terminal's name: 1 to 64 visible ASCII characters
    pub(crate) name: String,
    /// What it may do
    #[arg(long)]
    pub(crate) role: Role,
    /// Its merchant; for the role merchant
    #[arg(long, required_if_eq("role", "merchant"))]
    pub(crate) merchant: Option<String>,
    /// The number of its PSAM: 12 hex digits; for the role merchant
    #[arg(long, required_if_eq("role", "merchant"), value_name = "HEX")]
    pub(crate) psam_number: Option<String>,
    /// The number by which the merchant's bank knows it: 8 characters; for the role merchant
    #[arg(long, required_if_eq("role", "merchant"), value_name = "ID")]
    pub(crate) bank_terminal: Option<String>,
    /// Where the provider calls it
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: Option<String>,
    /// It cannot be called and keeps a standing link
    #[arg(long)]
    pub(crate) standing_link: bool,
    /// It has no PSAM but a software SAM: its claims are paid while the parameters allow that; for the role merchant
    #[arg(long, requires = "psam_number")]
    pub(crate) software_sam: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Terminal {
    /// Add a terminal and print its enrolment code, once
    Add(TerminalAdd),
    /// Print a new enrolment code: the earlier one is good no longer, and its certificates stay good until it enrols again
    Code {
        /// The terminal
        name: String,
    },
    /// Refuse everything that it asks, until it is resumed
    Suspend {
        /// The terminal
        name: String,
    },
    /// End a suspension
    Resume {
        /// The terminal
        name: String,
    },
    /// Take over the generation that a terminal has after a restore or a move, once its books have been compared
    Reconcile {
        /// The terminal
        name: String,
        /// Its generation
        #[arg(long)]
        generation: u32,
    },
    /// Refuse everything that it asks, for ever
    Revoke {
        /// The terminal
        name: String,
    },
    /// Show the terminals
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Card {
    /// Issue a card: open its shadow account, and write its keys into a new file for the machine that personalises it
    Issue {
        /// Its application serial number: 20 hex digits, the last 16 are the ASN
        #[arg(long, value_name = "HEX")]
        serial: String,
        /// The currency of its purse
        #[arg(long)]
        currency: Currency,
        /// The version of its keys
        #[arg(long)]
        key_version: u8,
        /// The new file for its keys
        #[arg(long, value_name = "FILE")]
        keys_to: PathBuf,
        #[command(flatten)]
        card_keys: CardKeys,
    },
    /// Show the cards with their shadow accounts
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Card key versions
    #[command(subcommand)]
    Version(KeyVersion),
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVersion {
    /// Take a version of the card master keys into use
    Add {
        /// The version, 0 to 255, as it stands in the file
        version: u8,
        #[command(flatten)]
        card_keys: CardKeys,
    },
    /// Hold every claim and refuse every load under this version
    Block {
        /// The version
        version: u8,
    },
    /// End a block, once it is known that its keys are still secret; forgeries are counted anew
    Unblock {
        /// The version
        version: u8,
    },
    /// Show the versions with their key check values
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hotlist {
    /// List a card: a new version of the list
    Add {
        /// Its application serial number: 20 hex digits
        serial: String,
        /// Why: lost, stolen…
        #[arg(long)]
        reason: String,
    },
    /// Take a card off the list: a new version of the list
    Remove {
        /// Its application serial number
        serial: String,
    },
    /// Show the list
    List,
}

/// A permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Permission {
    /// It may be
    Allow,
    /// It may not be
    Forbid,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Parameters {
    /// Say how old parameters may be, and whether terminals may have software SAMs; what is left out stays
    Set {
        /// Whether a terminal may have a software SAM: it puts a purchase key into a shop
        #[arg(long)]
        software_sam: Option<Permission>,
        /// After so many hours without the provider a terminal warns
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8_760))]
        warn_after_hours: Option<u32>,
        /// After so many hours it sells up to the lower limit only
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8_760))]
        stale_after_hours: Option<u32>,
    },
    /// Say how much one sale may come to in a currency; one without limits is not sold in
    Currency {
        /// The currency
        currency: Currency,
        /// The highest price, in minor units; 0: not sold in any more
        #[arg(long, value_name = "MINOR")]
        sale_max: u32,
        /// The highest price while the parameters are too old
        #[arg(long, value_name = "MINOR")]
        stale_sale_max: u32,
    },
    /// Show them as they are now
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Open a load by hand, as if the bank had proven that it was paid; in a lab only
    Open {
        /// Its number: 32 random hex digits
        id: String,
        /// The terminal of the role provider where it is paid
        #[arg(long)]
        terminal: String,
        /// How much, in minor units
        #[arg(long, value_name = "MINOR", value_parser = clap::value_parser!(u32).range(1..))]
        amount: u32,
        /// In which currency
        #[arg(long)]
        currency: Currency,
    },
    /// Show the loads
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Batch {
    /// Void a batch of a suspended or revoked terminal: its claims can be claimed again
    Void {
        /// Its number: 32 hex digits
        batch: String,
    },
    /// Show the newest 1,000 batches
    List,
}

/// What a bank answers to a revocation.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Word {
    /// It was not paid, and will not be
    Unusable,
    /// It is paid, or was and may still be reversed
    Paid,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Permit {
    /// Note that the bank is asked to make a permit unusable, and print what it has to be told
    Revoke {
        /// Its number: 32 hex digits
        permit: String,
    },
    /// Enter the bank's answer to that. Only its own word counts: that a permit has expired proves nothing
    Answered {
        /// Its number
        permit: String,
        /// The generation that the bank was asked about
        #[arg(long, value_name = "N")]
        generation: u32,
        /// What it says
        #[arg(long)]
        word: Word,
        /// Under which number the bank has said it
        #[arg(long, value_name = "TEXT")]
        reference: String,
    },
    /// Issue a permit again that the bank has said to be unpaid and unusable: the next generation, with a new expiry
    Reissue {
        /// Its number
        permit: String,
        /// Another terminal of the same merchant that shall present it
        #[arg(long, value_name = "NAME")]
        terminal: Option<String>,
    },
    /// Show the newest 1,000 permits
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Claims {
    /// The items of a batch with their verdicts
    List {
        /// The batch's number: 32 hex digits
        #[arg(long, value_name = "ID")]
        batch: String,
        /// The first place
        #[arg(long, value_name = "PLACE", default_value_t = 0)]
        from: u32,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Everything that was claimed of one debit
    Show {
        /// The card's application serial number: 20 hex digits
        card: String,
        /// The PSAM terminal number: 12 hex digits
        terminal_number: String,
        /// The terminal serial number of the sale
        terminal_sn: u32,
    },
    /// Let one more claim of a debit be judged by its evidence, though a claim of it was forged before; the terminal presents it again
    Uphold {
        /// The card's application serial number: 20 hex digits
        card: String,
        /// The PSAM terminal number: 12 hex digits
        terminal_number: String,
        /// The terminal serial number of the sale
        terminal_sn: u32,
        /// Why; kept with the debit
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Queries {
    /// The newest queries with their answers
    List {
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// One query, and what answers it
    Show {
        /// The sale's number at the terminal: 32 hex digits
        operation: String,
    },
    /// Decide what nothing proves. It is signed, told to the terminal, and cannot be taken back
    #[command(group = ArgGroup::new("end").required(true).args(["happened", "did_not_happen"]))]
    Answer {
        /// The sale's number at the terminal
        operation: String,
        /// The card was debited: the merchant is paid
        #[arg(long)]
        happened: bool,
        /// It was not: the merchant is not paid
        #[arg(long)]
        did_not_happen: bool,
        /// What the decision rests on; kept with it
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}
