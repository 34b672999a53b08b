//! INITIALIZE FOR PURCHASE, DEBIT FOR PURCHASE and GET TRANSACTION PROVE.

use super::apdu::Command;
use super::formulas::Purchase;
use super::state::{LogRecord, PurseKind, PurseProof};
use super::status::StatusWord;
use super::values::{CardDate, CardTime, Mac, Minor, PsamTerminalNumber, TerminalSn};
use super::{Begun, Card, LogSn, Outcome, Reply};

/// The last value of a counter: nothing can be begun there.
pub(super) const SN_END: u16 = u16::MAX;

/// The data field of both INITIALIZE commands: key index, amount, terminal number.
pub(super) struct InitializeData {
    pub(super) key_index: u8,
    pub(super) amount: Minor,
    pub(super) terminal: PsamTerminalNumber,
}

impl InitializeData {
    pub(super) fn read(command: &Command<'_>) -> Result<Self, StatusWord> {
        let &[key_index, a, b, c, d, t0, t1, t2, t3, t4, t5] = command.exactly::<11>()?;
        Ok(Self {
            key_index,
            amount: Minor(u32::from_be_bytes([a, b, c, d])),
            terminal: PsamTerminalNumber([t0, t1, t2, t3, t4, t5]),
        })
    }
}

impl Card {
    /// `80 50 01 P2 0B` → old balance, offline SN, overdraft limit, key version, algorithm id, challenge.
    pub(super) fn initialize_for_purchase(&mut self, command: &Command<'_>) -> Outcome {
        let purse = PurseKind::from_p2(command.p2)?;
        let asked = InitializeData::read(command)?;
        self.usable_purse(purse)?;
        if purse == PurseKind::Ed || self.personalisation.ep_purchase_needs_pin {
            self.needs_pin()?;
        }
        self.known_key(asked.key_index)?;
        self.acceptable_amount(asked.amount)?;
        let state = *self.state.purse(purse);
        if state.offline_sn == SN_END {
            return Err(StatusWord::COUNTER_AT_END);
        }
        if state.balance < asked.amount {
            return Err(StatusWord::BALANCE_TOO_LOW);
        }
        let rnd = self.random.four_bytes();
        let keys = &self.personalisation.keys;
        let mut answer = Vec::with_capacity(17);
        answer.extend_from_slice(&state.balance.to_bytes());
        answer.extend_from_slice(&state.offline_sn.to_be_bytes());
        answer.extend_from_slice(&[0, 0, 0, keys.version, keys.algorithm]);
        answer.extend_from_slice(&rnd);
        self.session.begun = Begun::Purchase {
            purse,
            amount: asked.amount,
            terminal: asked.terminal,
            rnd,
        };
        Reply::ok(answer)
    }

    /// `80 54 01 00 0F` → TAC, MAC2. All or nothing.
    pub(super) fn debit_for_purchase(&mut self, command: &Command<'_>, begun: Begun) -> Outcome {
        if (command.p1, command.p2) != (0x01, 0x00) {
            return Err(StatusWord::WRONG_P1P2);
        }
        let &[s0, s1, s2, s3, d0, d1, d2, d3, t0, t1, t2, m0, m1, m2, m3] = command.exactly::<15>()?;
        self.usable_application()?;
        let (purse, amount, terminal, rnd) = match begun {
            Begun::Purchase {
                purse,
                amount,
                terminal,
                rnd,
            } => (purse, amount, terminal, rnd),
            Begun::Load { .. } => return Err(StatusWord::WRONG_STATE),
            Begun::Nothing => return Err(StatusWord::CONDITIONS_NOT_MET),
        };
        let purchase = Purchase {
            purse,
            amount,
            terminal,
            terminal_sn: TerminalSn(u32::from_be_bytes([s0, s1, s2, s3])),
            date: CardDate([d0, d1, d2, d3]),
            time: CardTime([t0, t1, t2]),
        };
        self.execute_purchase(&purchase, rnd, Mac([m0, m1, m2, m3]))
    }

    fn execute_purchase(&mut self, purchase: &Purchase, rnd: [u8; 4], mac1: Mac) -> Outcome {
        let keys = &self.personalisation.keys;
        let before = *self.state.purse(purchase.purse);
        let session = keys
            .purchase
            .purchase_session(rnd, before.offline_sn, purchase.terminal_sn.0);
        if purchase.mac1(&session) != mac1 && !self.session.counterfeit {
            return Err(StatusWord::WRONG_MAC);
        }
        let mut mac2 = purchase.mac2(&session);
        if self.session.counterfeit {
            mac2 = Mac(mac2.0.map(|byte| !byte));
        }
        let proof = PurseProof {
            mac2,
            tac: purchase.tac(&keys.tac),
        };
        let left = before
            .balance
            .0
            .checked_sub(purchase.amount.0)
            .ok_or(StatusWord::BALANCE_TOO_LOW)?;
        let after_sn = before
            .offline_sn
            .checked_add(1)
            .ok_or(StatusWord::COUNTER_AT_END)?;

        let state = self.state.purse_mut(purchase.purse);
        state.balance = Minor(left);
        state.offline_sn = after_sn;
        state.last_purchase = Some(proof);
        let log_sn = self.log_sn(before.offline_sn, after_sn);
        self.state.log.push(LogRecord::new(
            log_sn,
            purchase.amount,
            purchase.purse.purchase_type(),
            purchase.terminal,
            purchase.date,
            purchase.time,
        ));
        self.session.pin_verified = false;
        Reply::ok([proof.tac.0, proof.mac2.0].concat())
    }

    /// `80 5A 00 type 02 SN` → MAC2, TAC for a purchase; TAC for a load.
    pub(super) fn get_transaction_prove(&mut self, command: &Command<'_>) -> Outcome {
        if command.p1 != 0x00 {
            return Err(StatusWord::WRONG_P1P2);
        }
        let sn = u16::from_be_bytes(*command.exactly::<2>()?);
        self.usable_application()?;
        let (ed, ep) = (&self.state.ed, &self.state.ep);
        let load_proof = |mac: Mac| mac.0.to_vec();
        let purchase_proof = |proof: PurseProof| [proof.mac2.0, proof.tac.0].concat();
        let (current, proof) = match command.p2 {
            0x01 => (ed.online_sn, ed.last_load.map(load_proof)),
            0x02 => (ep.online_sn, ep.last_load.map(load_proof)),
            0x05 => (ed.offline_sn, ed.last_purchase.map(purchase_proof)),
            0x06 => (ep.offline_sn, ep.last_purchase.map(purchase_proof)),
            _ => return Err(StatusWord::WRONG_P1P2),
        };
        match proof {
            Some(proof) if sn == current => Reply::ok(proof),
            _ => Err(StatusWord::PROOF_NOT_AVAILABLE),
        }
    }

    pub(super) fn known_key(&self, index: u8) -> Result<(), StatusWord> {
        if index == self.personalisation.keys.index {
            Ok(())
        } else {
            Err(StatusWord::KEY_NOT_FOUND)
        }
    }

    pub(super) fn acceptable_amount(&self, amount: Minor) -> Result<(), StatusWord> {
        if amount == Minor(0) && !self.personalisation.zero_amount_accepted {
            return Err(StatusWord::WRONG_DATA);
        }
        Ok(())
    }

    pub(super) fn log_sn(&self, before: u16, after: u16) -> u16 {
        match self.personalisation.log_sn {
            LogSn::BeforeIncrement => before,
            LogSn::AfterIncrement => after,
        }
    }
}
