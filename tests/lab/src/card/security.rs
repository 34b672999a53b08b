//! VERIFY, GET CHALLENGE, GET BALANCE, and what has to hold before a purse command.

use super::apdu::Command;
use super::files::Directory;
use super::personalisation::Purses;
use super::state::{Life, PurseKind};
use super::status::StatusWord;
use super::values::Pin;
use super::{Card, Outcome, Reply};

impl Card {
    /// `00 20 00 00 Lc PIN`.
    pub(super) fn verify(&mut self, command: &Command<'_>) -> Outcome {
        if command.p1 != 0x00 {
            return Err(StatusWord::WRONG_P1P2);
        }
        if command.p2 != 0x00 {
            return Err(StatusWord::KEY_NOT_FOUND);
        }
        if !(Pin::BYTES_MIN..=Pin::BYTES_MAX).contains(&command.data.len()) {
            return Err(StatusWord::WRONG_LENGTH);
        }
        self.usable_application()?;
        self.session.pin_verified = false;
        if self.state.pin_tries_left == 0 {
            return Err(StatusWord::PIN_BLOCKED);
        }
        if command.data == self.personalisation.pin.packed() {
            self.state.set_pin_tries(self.personalisation.pin_tries_max);
            self.session.pin_verified = true;
            return Reply::ok(Vec::new());
        }
        let left = self.state.pin_tries_left - 1;
        self.state.set_pin_tries(left);
        Err(StatusWord::wrong_pin(left))
    }

    /// `00 84 00 00 04|08`.
    pub(super) fn get_challenge(&mut self, command: &Command<'_>) -> Outcome {
        if (command.p1, command.p2) != (0, 0) {
            return Err(StatusWord::WRONG_P1P2);
        }
        command.without_data()?;
        let mut challenge = [self.random.four_bytes(), self.random.four_bytes()].concat();
        match command.le {
            Some(4) => challenge.truncate(4),
            Some(0 | 8) | None => {}
            Some(_) => return Err(StatusWord::WRONG_LENGTH),
        }
        Reply::ok(challenge)
    }

    /// `80 5C 00 P2 04`.
    pub(super) fn get_balance(&mut self, command: &Command<'_>) -> Outcome {
        if command.p1 != 0x00 {
            return Err(StatusWord::WRONG_P1P2);
        }
        let purse = PurseKind::from_p2(command.p2)?;
        command.without_data()?;
        self.usable_purse(purse)?;
        if self.personalisation.balance_needs_pin {
            self.needs_pin()?;
        }
        Reply::ok(self.balance(purse).to_bytes().to_vec())
    }

    /// The selected application, if it is not blocked.
    pub(super) fn usable_application(&self) -> Result<(), StatusWord> {
        match self.state.life {
            Life::Dead => Err(StatusWord::APPLICATION_DEAD),
            _ if self.session.directory != Directory::Application => Err(StatusWord::CONDITIONS_NOT_MET),
            Life::Blocked => Err(StatusWord::APPLICATION_BLOCKED),
            Life::Usable => Ok(()),
        }
    }

    /// A purse that this card has, in a usable application.
    pub(super) fn usable_purse(&self, purse: PurseKind) -> Result<(), StatusWord> {
        self.usable_application()?;
        match (self.personalisation.purses, purse) {
            (Purses::EdOnly, PurseKind::Ep) | (Purses::EpOnly, PurseKind::Ed) => {
                Err(StatusWord::FILE_NOT_FOUND)
            }
            (Purses::Both | Purses::EdOnly | Purses::EpOnly, _) => Ok(()),
        }
    }

    pub(super) fn needs_pin(&self) -> Result<(), StatusWord> {
        if self.session.pin_verified {
            Ok(())
        } else {
            Err(StatusWord::SECURITY_NOT_SATISFIED)
        }
    }
}
