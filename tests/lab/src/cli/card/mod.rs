//! `purser-lab card …`.

mod insert;
mod new;
mod show;

use clap::Subcommand;

use super::Failed;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a card: one file that holds its keys, its money and its memory
    New(Box<new::New>),
    /// Show what is on a card, whoever uses it
    Show(show::Show),
    /// Put a card into a reader that speaks the vpcd protocol on this machine, and keep it at hand
    Insert(insert::Insert),
}

impl Verb {
    pub(crate) fn run(self) -> Result<(), Failed> {
        match self {
            Self::New(new) => new.run(),
            Self::Show(show) => show.run(),
            Self::Insert(insert) => insert.run(),
        }
    }
}
