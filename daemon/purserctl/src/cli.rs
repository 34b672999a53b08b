//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use purser_api::client::SOCKET;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; with `sale --wait`: paid
  1  Purser refused; nothing was changed. With `status`: it cannot sell; with `doctor`: it found something
  2  the command line is wrong
  3  the sale ended without a payment; with `settle`: a batch was voided, or could not be sealed or sent
  4  the outcome of the sale is in doubt; with `settle`: the provider held back a claim
  5  Purser was not reached, or its answer is not known: repeat with the same reference";

/// The command line of Purser.
#[derive(Debug, Parser)]
#[command(name = "purserctl", version, about = "Sells, shows, and tells what happened to a payment", after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print JSON: one object, or one object a line where there are many
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The socket of purserd
    #[arg(long, global = true, value_name = "PATH", env = "PURSER_SOCKET", default_value = SOCKET)]
    pub(crate) socket: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Whether Purser can sell, and what keeps it from it
    Status,
    /// Sell: begin a sale, or find the one with this reference
    Sale(Sale),
    /// How a sale stands
    Attach(Reference),
    /// End a sale if nothing has been debited; tells its certain end
    Cancel(Reference),
    /// Choose the end of a sale that was in doubt
    Conclude(Conclude),
    /// Follow events as they happen
    Watch(Watch),
    /// Read the purse of the card in a reader
    Purse(Purse),
    /// Card readers and PIN pads with their true state
    Devices,
    /// Drivers: list, reload or record them; for operators
    #[command(subcommand)]
    Driver(Driver),
    /// The provider: how the link to it does, and what this terminal is there
    #[command(subcommand)]
    Provider(Provider),
    /// Loads: put value that the provider has ready onto a card, look at it, or cancel it
    #[command(subcommand)]
    Load(Load),
    /// Settle the claims that wait: batches are sealed and sent to the provider
    Settle(Settle),
    /// Batches: list them, or show one's items with what the provider says of each
    #[command(subcommand)]
    Batch(Batch),
    /// Journal entries
    Journal(Journal),
    /// The books
    Totals,
    /// What happened to the money of a sale, in words
    Where(Reference),
    /// The head of the record chain, for `purserd verify-journal --expect`
    Head,
    /// Look for everything that is wrong or will be soon, also while purserd does not run
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print the words that a completion script offers
    #[command(hide = true)]
    Words {
        /// Which
        kind: Words,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration of purserd
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder that holds the journal
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Provider {
    /// How the link does, and what this terminal is there; exit code 1 unless it is up or listening
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Begin a load that the provider knows, or go on with the one that has this reference
    Begin(BeginLoad),
    /// How a load stands
    Show(Reference),
    /// Void a load that no card has
    Cancel(Reference),
}

#[derive(Debug, Args)]
pub(crate) struct BeginLoad {
    /// The load's number at the provider, 32 hexadecimal digits
    #[arg(long, value_name = "NUMBER")]
    pub(crate) load: String,
    /// How much the bank has booked, in minor units: 500 for 500 yen
    #[arg(long, value_name = "MINOR")]
    pub(crate) amount: u64,
    /// The currency, three letters of ISO 4217
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: String,
    /// Your own name of this load; use it again to repeat the command, or to go on with a load that is owed
    #[arg(long)]
    pub(crate) reference: String,
    /// The reader to use; any free one without it
    #[arg(long)]
    pub(crate) reader: Option<String>,
    /// Wait until the card is loaded, or the load is void or owed
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Settle {
    /// Only this currency, three letters of ISO 4217
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    /// Wait until each batch has its permit or its void, and show how far it is
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Batch {
    /// The batches that were sealed, newest first
    List {
        /// At most so many; all without it
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Ask the provider to void a batch that waits and has no permit: its claims are free for another batch
    Void {
        /// The batch's number
        id: String,
    },
    /// Present claims again that a batch left unpaid: the next settlement takes them
    PresentAgain {
        /// The batch's number
        id: String,
        /// Only the claim at this place, as `batch show` tells it
        #[arg(long, value_name = "PLACE")]
        place: Option<u64>,
    },
    /// A batch's items, with what the provider says of each
    Show {
        /// The batch's number
        id: String,
        /// Only items that are not paid
        #[arg(long)]
        held: bool,
    },
}

/// What a completion script offers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Words {
    /// References of the newest sales
    References,
    /// Names of card readers
    Readers,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Driver {
    /// Every configured driver: what it is, how it is, why it went down last
    List,
    /// Start a driver from its file and manifest as they are now; refused while a card is being served at it
    Reload {
        /// The driver's name
        name: String,
    },
    /// Record a driver's traffic, secrets masked, into a new file; or end that
    Record(Record),
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// The driver's name
    pub(crate) name: String,
    /// The file to make; only its owner may read it
    #[arg(required_unless_present = "stop", conflicts_with = "stop")]
    pub(crate) file: Option<PathBuf>,
    /// End the recording that is under way
    #[arg(long)]
    pub(crate) stop: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sale {
    /// The price in minor units: 300 for 300 yen, 1250 for 12.50 dollars
    #[arg(long, value_name = "MINOR")]
    pub(crate) amount: u64,
    /// The currency, three letters of ISO 4217
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: String,
    /// Your own name of this sale attempt; use it again to repeat the command
    #[arg(long)]
    pub(crate) reference: String,
    /// The reader to use; any free one without it
    #[arg(long)]
    pub(crate) reader: Option<String>,
    /// Take the PIN's digits from this file descriptor when the card wants them (needs pin.through_api); waits for the end
    #[arg(long, value_name = "N")]
    pub(crate) pin_fd: Option<u32>,
    /// Say yes to using the card's last try with the PIN of --pin-fd
    #[arg(long, requires = "pin_fd")]
    pub(crate) last_try: bool,
    /// Wait until the sale has ended or is in doubt
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reference {
    /// Its reference
    pub(crate) reference: String,
}

#[derive(Debug, Args)]
pub(crate) struct Conclude {
    /// The sale's reference
    pub(crate) reference: String,
    /// What became of the goods
    pub(crate) conclusion: Conclusion,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Conclusion {
    /// The buyer has the goods
    GoodsGiven,
    /// The buyer left without, or paid in another way: owed the amount if the payment proves to have happened
    Abandoned,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Only this sale or load
    #[arg(long)]
    pub(crate) reference: Option<String>,
    /// First all events after this number, then live ones
    #[arg(long, value_name = "NUMBER")]
    pub(crate) after: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Purse {
    /// The reader; the only one that holds a card without it
    #[arg(long)]
    pub(crate) reader: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Journal {
    /// Begin after this number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) after: Option<u64>,
    /// At most so many entries; all without it
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only this sale
    #[arg(long)]
    pub(crate) reference: Option<String>,
}
