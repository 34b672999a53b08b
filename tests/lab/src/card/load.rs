//! INITIALIZE FOR LOAD and CREDIT FOR LOAD.

use super::apdu::Command;
use super::formulas::LoadRequest;
use super::purchase::{InitializeData, SN_END};
use super::state::{LogRecord, PurseKind};
use super::status::StatusWord;
use super::values::{CardDate, CardTime, Mac, Minor};
use super::{Begun, Card, Outcome, Reply};

impl Card {
    /// `80 50 00 P2 0B` → old balance, online SN, key version, algorithm id, challenge, MAC1.
    pub(super) fn initialize_for_load(&mut self, command: &Command<'_>) -> Outcome {
        let purse = PurseKind::from_p2(command.p2)?;
        let asked = InitializeData::read(command)?;
        self.usable_purse(purse)?;
        self.needs_pin()?;
        self.known_key(asked.key_index)?;
        self.acceptable_amount(asked.amount)?;
        let state = *self.state.purse(purse);
        if state.online_sn == SN_END {
            return Err(StatusWord::COUNTER_AT_END);
        }
        let request = LoadRequest {
            purse,
            amount: asked.amount,
            terminal: asked.terminal,
        };
        self.balance_after(&request)?;
        let rnd = self.random.four_bytes();
        let keys = &self.personalisation.keys;
        let session = keys.load.load_session(rnd, state.online_sn);
        let mut answer = Vec::with_capacity(18);
        answer.extend_from_slice(&state.balance.to_bytes());
        answer.extend_from_slice(&state.online_sn.to_be_bytes());
        answer.extend_from_slice(&[keys.version, keys.algorithm]);
        answer.extend_from_slice(&rnd);
        answer.extend_from_slice(&request.mac1(&session, state.balance).0);
        self.session.begun = Begun::Load { request, session };
        Reply::ok(answer)
    }

    /// `80 52 00 00 0B` → TAC. All or nothing.
    pub(super) fn credit_for_load(&mut self, command: &Command<'_>, begun: Begun) -> Outcome {
        if (command.p1, command.p2) != (0x00, 0x00) {
            return Err(StatusWord::WRONG_P1P2);
        }
        let &[d0, d1, d2, d3, t0, t1, t2, m0, m1, m2, m3] = command.exactly::<11>()?;
        let (date, time) = (CardDate([d0, d1, d2, d3]), CardTime([t0, t1, t2]));
        self.usable_application()?;
        let (request, session) = match begun {
            Begun::Load { request, session } => (request, session),
            Begun::Purchase { .. } => return Err(StatusWord::WRONG_STATE),
            Begun::Nothing => return Err(StatusWord::CONDITIONS_NOT_MET),
        };
        if request.mac2(&session, date, time) != Mac([m0, m1, m2, m3]) {
            return Err(StatusWord::WRONG_MAC);
        }
        self.execute_load(&request, date, time)
    }

    fn execute_load(&mut self, request: &LoadRequest, date: CardDate, time: CardTime) -> Outcome {
        let before_sn = self.state.purse(request.purse).online_sn;
        let after_sn = before_sn.checked_add(1).ok_or(StatusWord::COUNTER_AT_END)?;
        let balance = self.balance_after(request)?;
        let tac = request.tac(&self.personalisation.keys.tac, balance, before_sn, date, time);

        let state = self.state.purse_mut(request.purse);
        state.balance = balance;
        state.online_sn = after_sn;
        state.last_load = Some(tac);
        let log_sn = self.log_sn(before_sn, after_sn);
        let kind = request.purse.load_type();
        self.state.log.push(LogRecord::new(
            log_sn,
            request.amount,
            kind,
            request.terminal,
            date,
            time,
        ));
        self.session.pin_verified = false;
        Reply::ok(tac.0.to_vec())
    }

    /// The balance after a load, if the purse may hold it.
    fn balance_after(&self, request: &LoadRequest) -> Result<Minor, StatusWord> {
        let old = self.state.purse(request.purse).balance;
        let new = old
            .0
            .checked_add(request.amount.0)
            .ok_or(StatusWord::CONDITIONS_NOT_MET)?;
        if new > self.personalisation.balance_max.0 {
            return Err(StatusWord::CONDITIONS_NOT_MET);
        }
        Ok(Minor(new))
    }
}
