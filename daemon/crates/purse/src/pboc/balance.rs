//! GET BALANCE.

use super::amount::PurseAmount;
use super::profile::PurseKind;
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::dialogue::{Answer, Exchange, one_command_dialogue};
use crate::error::CardError;

/// GET BALANCE: what the purse holds. An ED may count its overdraft limit in.
///
/// A balance is for the display. It proves nothing after a lost answer: a load or another shop may lie between.
#[derive(Debug)]
pub struct GetBalance {
    exchange: Exchange,
}

impl GetBalance {
    /// Asks for the balance of `purse`.
    pub fn new(purse: PurseKind, protocol: Protocol) -> Self {
        let header = [0x80, 0x5C, 0x00, purse.p2()];
        let command = CommandApdu::new(CommandName::GetBalance, header, &[], Some(0x04), protocol);
        Self {
            exchange: Exchange::new(command, protocol),
        }
    }
}

fn balance(answer: Answer) -> Result<PurseAmount, CardError> {
    answer.exactly().map(PurseAmount::from_bytes)
}

one_command_dialogue!(GetBalance => PurseAmount, balance);
