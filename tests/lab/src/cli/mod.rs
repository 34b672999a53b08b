//! One file per subcommand.

pub(crate) mod card;
#[cfg(feature = "stack")]
pub(crate) mod demo;
mod insert;
pub(crate) mod keys;
pub(crate) mod psam;

use std::error::Error;
use std::io;
use std::path::PathBuf;

use purser_lab::store::StoreError;

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The card's file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another file.
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
    /// The demo.
    #[cfg(feature = "stack")]
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
    /// A limit of the card.
    #[error("a purse holds at most {max} minor units; ask for less or raise --balance-max")]
    AboveMaximum { max: u32 },
}

/// Tells a failure with all its causes, on standard error.
pub(crate) fn tell(error: &Failed) {
    eprintln!("purser-lab: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
