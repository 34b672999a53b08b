//! Which bytes each MAC and TAC of a purse covers, and under which key.

use super::crypto::{Key8, Key16};
use super::state::PurseKind;
use super::values::{CardDate, CardTime, Mac, Minor, PsamTerminalNumber, TerminalSn};

/// What one purchase is about, as its MAC1 and its TAC cover it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The purse that pays; it fixes the type byte (05 or 06).
    pub purse: PurseKind,
    /// What is paid.
    pub amount: Minor,
    /// The PSAM terminal number of the shop.
    pub terminal: PsamTerminalNumber,
    /// The shop's own counter. The TAC covers it; the card's offline SN is not covered.
    pub terminal_sn: TerminalSn,
    /// The shop's day.
    pub date: CardDate,
    /// The shop's time of day.
    pub time: CardTime,
}

impl Purchase {
    /// MAC1: the shop's proof to the card.
    pub(crate) fn mac1(&self, session: &Key8) -> Mac {
        session.mac(&[
            &self.amount.to_bytes(),
            &[self.purse.purchase_type()],
            &self.terminal.0,
            &self.date.0,
            &self.time.0,
        ])
    }

    /// MAC2: the card's proof to the shop.
    pub(crate) fn mac2(&self, session: &Key8) -> Mac {
        session.mac(&[&self.amount.to_bytes()])
    }

    /// TAC: the card's proof to the issuer.
    pub(crate) fn tac(&self, tac_master: &Key16) -> Mac {
        tac_master.tac_key().mac(&[
            &self.amount.to_bytes(),
            &[self.purse.purchase_type()],
            &self.terminal.0,
            &self.terminal_sn.0.to_be_bytes(),
            &self.date.0,
            &self.time.0,
        ])
    }
}

/// What INITIALIZE FOR LOAD fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    /// The purse that is loaded; it fixes the type byte (01 or 02).
    pub purse: PurseKind,
    /// What is loaded.
    pub amount: Minor,
    /// The number of the terminal that loads.
    pub terminal: PsamTerminalNumber,
}

impl LoadRequest {
    /// MAC1: the card's proof to the issuer that it is present, at this balance.
    pub(crate) fn mac1(&self, session: &Key8, old_balance: Minor) -> Mac {
        session.mac(&[
            &old_balance.to_bytes(),
            &self.amount.to_bytes(),
            &[self.purse.load_type()],
            &self.terminal.0,
        ])
    }

    /// MAC2: the issuer's order to the card.
    pub(crate) fn mac2(&self, session: &Key8, date: CardDate, time: CardTime) -> Mac {
        session.mac(&[
            &self.amount.to_bytes(),
            &[self.purse.load_type()],
            &self.terminal.0,
            &date.0,
            &time.0,
        ])
    }

    /// TAC: the card's proof to the issuer that the load was executed. `online_sn` is the one that INITIALIZE
    /// returned.
    pub(crate) fn tac(
        &self,
        tac_master: &Key16,
        new_balance: Minor,
        online_sn: u16,
        date: CardDate,
        time: CardTime,
    ) -> Mac {
        tac_master.tac_key().mac(&[
            &new_balance.to_bytes(),
            &online_sn.to_be_bytes(),
            &self.amount.to_bytes(),
            &[self.purse.load_type()],
            &self.terminal.0,
            &date.0,
            &time.0,
        ])
    }
}
