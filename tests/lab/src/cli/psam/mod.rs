//! `purser-lab psam …`.

mod new;
mod show;

use clap::Subcommand;
use purser_lab::psam::Psam;

use super::Failed;
use super::insert::Insert;

/// The port on which vpcd's second slot listens.
const VPCD_PORT: u16 = 35964;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a PSAM: one file that holds its key and its counter
    New(Box<new::New>),
    /// Show what is in a PSAM, whoever uses it
    Show(show::Show),
    /// Put a PSAM into a reader that speaks the vpcd protocol on this machine, and keep it at hand
    Insert(Insert),
}

impl Verb {
    pub(crate) fn run(self) -> Result<(), Failed> {
        match self {
            Self::New(new) => new.run(),
            Self::Show(show) => show.run(),
            Self::Insert(insert) => insert.run::<Psam>(VPCD_PORT),
        }
    }
}
