//! What other shops do to the card while it is away from the one under test.

use super::apdu::Command;
use super::formulas::{LoadRequest, Purchase};
use super::state::PurseKind;
use super::status::StatusWord;
use super::values::{CardDate, CardTime, Mac, Minor, PsamTerminalNumber, TerminalSn};
use super::{Card, Session, instruction};

/// Another shop at one moment of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherShop {
    /// Its PSAM terminal number.
    pub terminal: PsamTerminalNumber,
    /// Its purchase counter.
    pub terminal_sn: TerminalSn,
    /// Its day.
    pub date: CardDate,
    /// Its time of day.
    pub time: CardTime,
}

impl Default for OtherShop {
    /// A shop that no test configures for itself.
    fn default() -> Self {
        Self {
            terminal: PsamTerminalNumber([0x99, 0x99, 0x99, 0x00, 0x00, 0x01]),
            terminal_sn: TerminalSn(1),
            date: CardDate([0x20, 0x26, 0x11, 0x02]),
            time: CardTime([0x12, 0x00, 0x00]),
        }
    }
}

/// A purchase that another shop completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidElsewhere {
    /// What was paid, as the other shop would claim it.
    pub purchase: Purchase,
    /// The card's offline SN afterwards.
    pub offline_sn: u16,
    /// The other shop's evidence.
    pub tac: Mac,
}

/// A load that another terminal completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedElsewhere {
    /// The card's online SN afterwards.
    pub online_sn: u16,
    /// The proof of the load.
    pub tac: Mac,
}

/// How much of the card's answer to an INITIALIZE matters here.
struct Initialized {
    sn: u16,
    rnd: [u8; 4],
}

impl Card {
    /// Another shop's complete purchase: counter, log and stored proof change as they would there. The holder knows
    /// the PIN. Scripted faults wait; afterwards the card has no power.
    ///
    /// # Errors
    /// The status word that stopped the other shop.
    pub fn pay_elsewhere(
        &mut self,
        purse: PurseKind,
        amount: Minor,
        shop: &OtherShop,
    ) -> Result<PaidElsewhere, StatusWord> {
        let OtherShop {
            terminal,
            terminal_sn,
            date,
            time,
        } = *shop;
        let purchase = Purchase {
            purse,
            amount,
            terminal,
            terminal_sn,
            date,
            time,
        };
        let needs_pin = purse == PurseKind::Ed || self.personalisation.ep_purchase_needs_pin;
        let outcome = self.away(needs_pin, |card| card.pay_here(&purchase));
        let (tac, offline_sn) = outcome?;
        Ok(PaidElsewhere {
            purchase,
            offline_sn,
            tac,
        })
    }

    /// A complete load at another terminal, in the same way.
    ///
    /// # Errors
    /// The status word that stopped the other terminal.
    pub fn load_elsewhere(
        &mut self,
        purse: PurseKind,
        amount: Minor,
        shop: &OtherShop,
    ) -> Result<LoadedElsewhere, StatusWord> {
        let request = LoadRequest {
            purse,
            amount,
            terminal: shop.terminal,
        };
        let outcome = self.away(true, |card| card.load_here(&request, shop.date, shop.time));
        let (tac, online_sn) = outcome?;
        Ok(LoadedElsewhere { online_sn, tac })
    }

    fn away<T>(
        &mut self,
        needs_pin: bool,
        visit: impl FnOnce(&mut Self) -> Result<T, StatusWord>,
    ) -> Result<T, StatusWord> {
        self.session = Session::default();
        let aid = self.personalisation.aid.clone();
        let pin = self.personalisation.pin.clone();
        let outcome = self
            .send([0x00, instruction::SELECT, 0x04, 0x0C], aid.bytes())
            .and_then(|_| match needs_pin {
                true => self
                    .send([0x00, instruction::VERIFY, 0x00, 0x00], pin.packed())
                    .map(drop),
                false => Ok(()),
            })
            .and_then(|()| visit(self));
        self.power_off();
        outcome
    }

    fn pay_here(&mut self, purchase: &Purchase) -> Result<(Mac, u16), StatusWord> {
        let begun = self.initialize_here(0x01, purchase.purse, purchase.amount, purchase.terminal, 11)?;
        let key = &self.personalisation.keys.purchase;
        let session = key.purchase_session(begun.rnd, begun.sn, purchase.terminal_sn.0);
        let mut data = purchase.terminal_sn.0.to_be_bytes().to_vec();
        data.extend_from_slice(&purchase.date.0);
        data.extend_from_slice(&purchase.time.0);
        data.extend_from_slice(&purchase.mac1(&session).0);
        let answer = self.send([0x80, instruction::DEBIT, 0x01, 0x00], &data)?;
        Ok((leading_mac(&answer), self.state.purse(purchase.purse).offline_sn))
    }

    fn load_here(
        &mut self,
        request: &LoadRequest,
        date: CardDate,
        time: CardTime,
    ) -> Result<(Mac, u16), StatusWord> {
        let begun = self.initialize_here(0x00, request.purse, request.amount, request.terminal, 8)?;
        let session = self.personalisation.keys.load.load_session(begun.rnd, begun.sn);
        let mut data = [&date.0[..], &time.0].concat();
        data.extend_from_slice(&request.mac2(&session, date, time).0);
        let answer = self.send([0x80, instruction::CREDIT, 0x00, 0x00], &data)?;
        Ok((leading_mac(&answer), self.state.purse(request.purse).online_sn))
    }

    fn initialize_here(
        &mut self,
        p1: u8,
        purse: PurseKind,
        amount: Minor,
        terminal: PsamTerminalNumber,
        rnd_at: usize,
    ) -> Result<Initialized, StatusWord> {
        let mut data = vec![self.personalisation.keys.index];
        data.extend_from_slice(&amount.to_bytes());
        data.extend_from_slice(&terminal.0);
        let answer = self.send([0x80, instruction::INITIALIZE, p1, purse.load_type()], &data)?;
        let sn = u16::from_be_bytes([answer[4], answer[5]]);
        let mut rnd = [0; 4];
        rnd.copy_from_slice(&answer[rnd_at..rnd_at + 4]);
        Ok(Initialized { sn, rnd })
    }

    fn send(&mut self, [class, instruction, p1, p2]: [u8; 4], data: &[u8]) -> Result<Vec<u8>, StatusWord> {
        let command = Command {
            class,
            instruction,
            p1,
            p2,
            data,
            has_data: true,
            le: None,
        };
        self.perform(&command).map(|reply| reply.data)
    }
}

fn leading_mac(answer: &[u8]) -> Mac {
    let mut mac = [0; 4];
    mac.copy_from_slice(&answer[..4]);
    Mac(mac)
}
