//! The terminal's generation (money rule T1): a number in the state folder that an operator raises after a restore or a clone.
//!
//! An old copy of a state folder gives out terminal serial numbers once more that other sales have. Nothing on this machine can tell
//! an old copy from the newest one: the operator says so, and the provider, which has seen the later sales, finds out where nobody does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use purser_engine::{GENERATION_MAX_SOFTWARE_SAM, generation_of};
use purser_journal::{Held, OpenError, ReadError, Reader};
use serde_json::json;

use crate::cli::NewGeneration;
use crate::config::Sam;
use crate::exit::Exit;
use crate::journal_verbs::exit_of;
use crate::verbs::chain;

/// Its file: decimal digits and a line feed. There is none before the first restore.
const FILE: &str = "generation";

/// Why the generation is not known, or no new one begins. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// The file cannot be read or written.
    #[error(
        "the file generation in the state folder cannot be read or written; check the folder and its disk"
    )]
    File(#[from] io::Error),
    /// The file holds no number.
    #[error(
        "the file generation in the state folder holds no number; ask the provider's operator for the terminal's generation, and begin a later one with `purserd new-generation --later-than`, after moving the file away"
    )]
    NotANumber,
    /// The journal is in use or damaged.
    #[error("the journal cannot be opened; purserd must not run")]
    Open(#[from] OpenError),
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A software SAM has no serial numbers left for it.
    #[error(
        "a software SAM has no terminal serial numbers of a generation later than {GENERATION_MAX_SOFTWARE_SAM}; have the provider enrol this machine as a new terminal"
    )]
    Exhausted,
    /// The operator has not said that it is wanted.
    #[error(
        "a new generation stops settlement until the provider's operator has reconciled this terminal; say --yes where this state folder was restored from a copy, or is a copy of another machine's, and not otherwise"
    )]
    NotConfirmed,
}

impl GenerationError {
    /// True when the same call may succeed later without repair.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open(error) => error.is_transient(),
            Self::File(_) | Self::NotANumber | Self::Read(_) | Self::Exhausted | Self::NotConfirmed => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Open(error) => exit_of(error),
            Self::File(_) | Self::Read(_) => Exit::StoreBroken,
            Self::NotANumber | Self::Exhausted | Self::NotConfirmed => Exit::Failed,
        }
    }
}

/// The generation of a state folder; 0 before the first restore or clone.
///
/// # Errors
/// [`GenerationError`]: it is not known, and nothing is sold or settled under a wrong one.
pub fn read(state_dir: &Path) -> Result<u32, GenerationError> {
    match fs::read_to_string(state_dir.join(FILE)) {
        Ok(text) => text.trim_end().parse().map_err(|_| GenerationError::NotANumber),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(GenerationError::NotANumber),
        Err(error) => Err(error.into()),
    }
}

/// The generation to sell and settle under: the file's, or the newest sale's where the file was lost or is an older one's.
///
/// # Errors
/// As [`read`]; or the journal cannot be read.
pub fn in_force(state_dir: &Path) -> Result<u32, GenerationError> {
    let told = read(state_dir)?;
    let sold = Reader::open(state_dir)?.newest_generation()?.unwrap_or(0);
    if sold > told {
        tracing::warn!(
            told,
            sold,
            "the file generation was lost or is older than the newest sale, whose generation goes on"
        );
    }
    Ok(told.max(sold))
}

/// `purserd new-generation`.
pub(crate) fn new_generation(sam: &Sam, state_dir: &Path, how: &NewGeneration) -> Exit {
    match begin(sam, state_dir, how) {
        Ok(generation) => {
            let remedy = format!("purser-provider terminal reconcile NAME --generation {generation}");
            if how.json {
                println!("{}", json!({ "generation": generation, "remedy": remedy }));
            } else {
                println!(
                    "this terminal is of generation {generation} from its next start on; its batches are refused until the \
                     provider's operator has compared the books and said\n  {remedy}"
                );
            }
            Exit::Done
        }
        Err(error) => {
            eprintln!("error: {}: {}", state_dir.display(), chain(&error));
            error.exit()
        }
    }
}

fn begin(sam: &Sam, state_dir: &Path, how: &NewGeneration) -> Result<u32, GenerationError> {
    if !how.yes {
        return Err(GenerationError::NotConfirmed);
    }
    // Nobody sells while it changes: the journal is held until the number is durable. A folder without one was not restored.
    let held = Held::open(state_dir)?;
    let sold = held.reader().newest_generation()?.unwrap_or(0);
    let known = read(state_dir)?.max(sold).max(how.later_than.unwrap_or(0));
    let is_software = matches!(sam, Sam::Credential(_));
    let counted = held.reader().terminal_sn_max()?.unwrap_or(0);
    let last = if is_software {
        known.max(generation_of(counted))
    } else {
        known
    };
    let next = last.checked_add(1).ok_or(GenerationError::Exhausted)?;
    if is_software && next > GENERATION_MAX_SOFTWARE_SAM {
        return Err(GenerationError::Exhausted);
    }
    write(&held, state_dir, next)?;
    Ok(next)
}

/// Durable, whole and under its name when this returns. It belongs to whom the journal belongs to, whoever calls this.
fn write(held: &Held, state_dir: &Path, generation: u32) -> io::Result<()> {
    let unfinished = state_dir.join(format!("{FILE}.new"));
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    held.give(&file)?;
    writeln!(file, "{generation}")?;
    file.sync_all()?;
    fs::rename(&unfinished, state_dir.join(FILE))?;
    File::open(state_dir)?.sync_all()
}
