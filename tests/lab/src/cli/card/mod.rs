//! `purser-lab card …`.

mod new;
mod show;

use clap::Subcommand;
use purser_lab::card::Card;

use super::Failed;
use super::insert::Insert;

/// The port on which vpcd's first slot listens.
const VPCD_PORT: u16 = 35963;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a card: one file that holds its keys, its money and its memory
    New(Box<new::New>),
    /// Show what is on a card, whoever uses it
    Show(show::Show),
    /// Put a card into a reader that speaks the vpcd protocol on this machine, and keep it at hand
    Insert(Insert),
}

impl Verb {
    pub(crate) fn run(self) -> Result<(), Failed> {
        match self {
            Self::New(new) => new.run(),
            Self::Show(show) => show.run(),
            Self::Insert(insert) => insert.run::<Card>(VPCD_PORT),
        }
    }
}
