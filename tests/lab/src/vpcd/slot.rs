//! One card and the reader that it may be in: what the thread and its callers share.

use std::net::{Shutdown, TcpStream};

use super::frame::Frame;
use super::reader::{Ended, Handled};
use super::status::{Place, PsamStatus, Status};
use super::thread::CardThreadError;
use crate::card::{Card, CardReply, StatusWord};
use crate::chip::Chip;
use crate::psam::Psam;
use crate::store::{ChipFile, StoreError};

#[derive(Debug)]
pub(super) struct Slot<C> {
    pub(super) file: ChipFile<C>,
    pub(super) wanted: Wanted,
    /// The connection of this insertion, to close it from outside the thread.
    pub(super) connection: Option<TcpStream>,
    /// Counts insertions: a connection that is no longer the current one reaches no card.
    pub(super) insertion: u64,
    pub(super) failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Away,
    Inserted,
    End,
}

impl<C: Chip> Slot<C> {
    pub(super) fn place(&self) -> Place {
        match (self.wanted, &self.connection) {
            (Wanted::Inserted, Some(_)) => Place::InReader,
            (Wanted::Inserted, None) => Place::Approaching,
            (Wanted::Away | Wanted::End, _) => Place::Away,
        }
    }

    /// The card enters the field of the reader behind this connection. Answers the number of the insertion.
    pub(super) fn enter(&mut self, connection: TcpStream) -> u64 {
        self.connection = Some(connection);
        self.insertion += 1;
        // Without the system's randomness the challenges follow from the card's state, which harms no test.
        self.file.power_on(getrandom::u64().unwrap_or_default());
        self.insertion
    }

    /// The card leaves the field, and stays away.
    pub(super) fn leave(&mut self) {
        if self.wanted != Wanted::End {
            self.wanted = Wanted::Away;
        }
        if let Some(connection) = self.connection.take() {
            // It fails only where the reader has closed it before us.
            drop(connection.shutdown(Shutdown::Both));
        }
        self.file.power_off();
    }

    pub(super) fn end_insertion(&mut self, insertion: u64, ended: Result<(), Ended>) {
        if self.insertion == insertion {
            self.connection = None;
            self.file.power_off();
            if let Err(Ended::NotAReader(error)) = ended {
                self.failure = Some(error.to_string());
            }
        }
    }

    /// What the card makes of a frame that came over the connection of this insertion.
    pub(super) fn handle(&mut self, insertion: u64, frame: &Frame) -> Handled {
        if self.insertion != insertion || self.connection.is_none() {
            return Handled::Gone;
        }
        match self.answer(frame) {
            Ok(Some(CardReply::Answer(answer))) => Handled::Answer(answer),
            Ok(Some(CardReply::LastAnswer(answer))) => {
                if self.wanted != Wanted::End {
                    self.wanted = Wanted::Away;
                }
                Handled::LastAnswer(answer)
            }
            Ok(Some(CardReply::Mute) | None) => Handled::Silent,
            Ok(Some(CardReply::Torn)) => {
                self.leave();
                Handled::Gone
            }
            Err(error) => {
                self.failure = Some(with_causes(&error));
                self.leave();
                Handled::Gone
            }
        }
    }

    fn answer(&mut self, frame: &Frame) -> Result<Option<CardReply>, StoreError> {
        let card = self.file.card();
        match frame {
            Frame::GetAtr => {
                return Ok(Some(CardReply::Answer(card.atr().to_vec())));
            }
            Frame::Command(apdu) if card.is_powered() => return self.file.process(apdu).map(Some),
            Frame::Command(_) => {}
            Frame::PowerOn => self.file.power_on(0),
            Frame::PowerOff => self.file.power_off(),
            Frame::Reset => self.file.reset(),
        }
        Ok(None)
    }

    pub(super) fn elsewhere<T>(
        &mut self,
        visit: impl FnOnce(&mut C) -> Result<T, StatusWord>,
    ) -> Result<T, CardThreadError> {
        if self.place() != Place::Away {
            return Err(CardThreadError::NotAway);
        }
        self.file.change(visit)?.map_err(CardThreadError::Refused)
    }
}

impl Slot<Card> {
    pub(super) fn status(&self) -> Status {
        let state = self.file.card().state();
        Status {
            place: self.place(),
            ed: state.ed.balance,
            ep: state.ep.balance,
            ep_offline_sn: state.ep.offline_sn,
            ep_online_sn: state.ep.online_sn,
            pin_tries_left: state.pin_tries_left,
            life: state.life,
            faults_waiting: self.file.card().faults_waiting(),
            failure: self.failure.clone(),
        }
    }
}

impl Slot<Psam> {
    pub(super) fn status(&self) -> PsamStatus {
        let psam = self.file.card();
        PsamStatus {
            place: self.place(),
            terminal_sn: psam.state().terminal_sn,
            mac_tries_left: psam.state().mac_tries_left,
            faults_waiting: psam.faults_waiting(),
            failure: self.failure.clone(),
        }
    }
}

/// An error with its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
