//! What can be told of a card.

use std::fmt;

use crate::card::{Life, Minor, TerminalSn};

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

/// What can be told of a PSAM at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsamStatus {
    /// Where it is.
    pub place: Place,
    /// The last terminal SN that it gave out.
    pub terminal_sn: TerminalSn,
    /// Wrong MAC2 that may still follow; 0 is locked.
    pub mac_tries_left: u8,
    /// Scripted faults that have not struck.
    pub faults_waiting: usize,
    /// Why it left by itself, if its file failed.
    pub failure: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away => "away",
            Self::Approaching => "approaching",
            Self::InReader => "in-reader",
        })
    }
}

impl fmt::Display for PsamStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            terminal_sn: TerminalSn(terminal_sn),
            mac_tries_left,
            faults_waiting,
            failure,
        } = self;
        write!(
            f,
            "place={place} terminal-sn={terminal_sn} mac-tries={mac_tries_left} faults={faults_waiting}"
        )?;
        write_failure(f, failure.as_deref())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place;
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
        write_failure(f, self.failure.as_deref())
    }
}

fn write_failure(f: &mut fmt::Formatter<'_>, failure: Option<&str>) -> fmt::Result {
    match failure {
        Some(failure) => write!(f, " failure={failure:?}"),
        None => Ok(()),
    }
}
