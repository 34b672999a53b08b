//! INIT_SAM_FOR_PURCHASE and CREDIT_SAM_FOR_PURCHASE.

use super::files::Directory;
use super::{FactorOrder, Lie, Psam};
use crate::card::apdu::Command;
use crate::card::formulas::Purchase;
use crate::card::{CardDate, CardTime, Mac, Minor, Outcome, PurseKind, Reply, StatusWord, TerminalSn};

/// How long 8070's data is without its factors.
const FIXED_BYTES: usize = 20;
/// One factor.
const FACTOR_BYTES: usize = 8;

/// The data field of 8070: what the card told in INITIALIZE, what is sold, and the factors of the card's key.
struct InitializeData<'a> {
    rnd: [u8; 4],
    offline_sn: u16,
    amount: Minor,
    purse: PurseKind,
    date: CardDate,
    time: CardTime,
    key_version: u8,
    algorithm: u8,
    factors: &'a [[u8; FACTOR_BYTES]],
}

impl<'a> InitializeData<'a> {
    /// Takes the data apart. Another number of factors than the key has levels is 6700.
    fn read(command: &Command<'a>, levels: usize) -> Result<Self, StatusWord> {
        let (fixed, factors) = command
            .data
            .split_first_chunk::<FIXED_BYTES>()
            .ok_or(StatusWord::WRONG_LENGTH)?;
        let (factors, rest) = factors.as_chunks::<FACTOR_BYTES>();
        if !rest.is_empty() || factors.len() != levels {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let &[
            r0,
            r1,
            r2,
            r3,
            s0,
            s1,
            a0,
            a1,
            a2,
            a3,
            kind,
            d0,
            d1,
            d2,
            d3,
            t0,
            t1,
            t2,
            key_version,
            algorithm,
        ] = fixed;
        let purse = match kind {
            0x05 => PurseKind::Ed,
            0x06 => PurseKind::Ep,
            _ => return Err(StatusWord::WRONG_DATA),
        };
        Ok(Self {
            rnd: [r0, r1, r2, r3],
            offline_sn: u16::from_be_bytes([s0, s1]),
            amount: Minor(u32::from_be_bytes([a0, a1, a2, a3])),
            purse,
            date: CardDate([d0, d1, d2, d3]),
            time: CardTime([t0, t1, t2]),
            key_version,
            algorithm,
            factors,
        })
    }
}

impl Psam {
    /// `80 70 00 00 Lc` → terminal SN, MAC1. The terminal SN is used up whatever follows.
    pub(super) fn initialize_for_purchase(&mut self, command: &Command<'_>) -> Outcome {
        if (command.p1, command.p2) != (0x00, 0x00) {
            return Err(StatusWord::WRONG_P1P2);
        }
        let key = self.personalisation.key.clone();
        let asked = InitializeData::read(command, key.levels.count())?;
        self.usable_application()?;
        if (asked.key_version, asked.algorithm) != (key.version, key.algorithm) {
            return Err(StatusWord::KEY_NOT_FOUND);
        }
        let terminal_sn = self.next_terminal_sn().ok_or(StatusWord::COUNTER_AT_END)?;
        let mut factors = asked.factors.to_vec();
        if self.personalisation.factor_order == FactorOrder::AsnFirst {
            factors.reverse();
        }
        let card_key = factors
            .into_iter()
            .fold(key.master, |key, factor| key.diversify(factor));
        let session = card_key.purchase_session(asked.rnd, asked.offline_sn, terminal_sn.0);
        let purchase = Purchase {
            purse: asked.purse,
            amount: asked.amount,
            terminal: self.personalisation.terminal_number,
            terminal_sn,
            date: asked.date,
            time: asked.time,
        };
        let mut mac1 = purchase.mac1(&session);
        if self.session.lie == Some(Lie::WrongMac1) {
            mac1 = Mac(mac1.0.map(|byte| !byte));
        }
        self.session.expected = Some(purchase.mac2(&session));
        Reply::ok([terminal_sn.0.to_be_bytes(), mac1.0].concat())
    }

    /// `80 72 00 00 04 MAC2`, right after 8070.
    pub(super) fn credit_for_purchase(&mut self, command: &Command<'_>, expected: Option<Mac>) -> Outcome {
        if (command.p1, command.p2) != (0x00, 0x00) {
            return Err(StatusWord::WRONG_P1P2);
        }
        let mac2 = Mac(*command.exactly::<4>()?);
        self.usable_application()?;
        let expected = expected.ok_or(StatusWord::WRONG_STATE)?;
        if mac2 == expected {
            self.unlock();
            return Reply::ok(Vec::new());
        }
        self.state.set_mac_tries(self.state.mac_tries_left - 1);
        Err(StatusWord::WRONG_MAC)
    }

    /// The purchase application, if it is selected and not locked.
    fn usable_application(&self) -> Result<(), StatusWord> {
        if self.session.directory != Directory::Purchase {
            return Err(StatusWord::CONDITIONS_NOT_MET);
        }
        if self.is_locked() {
            return Err(StatusWord::APPLICATION_BLOCKED);
        }
        Ok(())
    }

    fn next_terminal_sn(&mut self) -> Option<TerminalSn> {
        if self.session.lie == Some(Lie::RepeatedTerminalSn) {
            return Some(self.state.terminal_sn);
        }
        self.state.take_terminal_sn()
    }
}
