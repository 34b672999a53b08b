//! What can be told of a card.

use std::fmt;

use crate::card::{Life, Minor};

/// Where the card is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the buyer's pocket.
    Away,
    /// Put into a reader that does not listen yet.
    Approaching,
    /// In the reader.
    InReader,
}

/// What can be told of the card at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it is.
    pub place: Place,
    /// Money in the passbook.
    pub ed: Minor,
    /// Money in the wallet.
    pub ep: Minor,
    /// The wallet's purchase counter.
    pub ep_offline_sn: u16,
    /// The wallet's load counter.
    pub ep_online_sn: u16,
    /// Wrong PINs that may still follow.
    pub pin_tries_left: u8,
    /// Whether the application can be used.
    pub life: Life,
    /// Scripted faults that have not struck.
    pub faults_waiting: usize,
    /// Why the card left by itself, if its file failed.
    pub failure: Option<String>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Away => "away",
            Place::Approaching => "approaching",
            Place::InReader => "in-reader",
        };
        let life = match self.life {
            Life::Usable => "usable",
            Life::Blocked => "blocked",
            Life::Dead => "dead",
        };
        write!(
            f,
            "place={place} ep={} ed={} offline-sn={}",
            self.ep, self.ed, self.ep_offline_sn
        )?;
        write!(
            f,
            " online-sn={} pin-tries={} life={life}",
            self.ep_online_sn, self.pin_tries_left
        )?;
        write!(f, " faults={}", self.faults_waiting)?;
        match &self.failure {
            Some(failure) => write!(f, " failure={failure:?}"),
            None => Ok(()),
        }
    }
}
