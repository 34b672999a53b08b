//! The reader that holds a shop's PSAM, and what can happen to it.

use purser_engine::{Answer, CallFailure, CallId, DeviceEvent};
use purser_purse::{CommandApdu, CommandName, Protocol};

use crate::device::Call;
use crate::flaw::Flaw;
use crate::psam::Said;
use crate::rule::{Violation, hold};
use crate::trace::tell;
use crate::world::{PSAM, World};

impl World {
    /// The PSAM's reader takes its next call.
    pub(crate) fn work_at_psam(&mut self, s: usize, id: CallId, call: Call) -> Result<(), Violation> {
        let device = &mut self.shops[s].devices[PSAM];
        match call {
            Call::Connect if !device.holds_psam => device.answer(id, Err(CallFailure::NoCard)),
            Call::Connect if device.connection.is_some() => device.answer(id, Err(CallFailure::Busy)),
            Call::Connect => {
                let connection = device.begin_connection();
                let protocol = Protocol::T1;
                device.answer(id, Ok(Answer::Connected { connection, protocol }));
                self.psam(s).power_on();
            }
            Call::Disconnect { connection } => {
                let live = device.connection.as_ref().map(|live| live.number);
                if live == Some(connection) {
                    device.connection = None;
                    device.answer(id, Ok(Answer::Disconnected));
                    self.psam(s).power_off();
                } else {
                    device.answer(id, Err(CallFailure::CardChanged));
                }
            }
            Call::Transmit {
                connection, command, ..
            } => return self.transmit_to_psam(s, id, connection, &command),
            Call::EnterPin(_) => device.answer(id, Err(CallFailure::Unsupported)),
        }
        Ok(())
    }

    fn transmit_to_psam(
        &mut self,
        s: usize,
        id: CallId,
        connection: u32,
        command: &CommandApdu,
    ) -> Result<(), Violation> {
        let device = &self.shops[s].devices[PSAM];
        let live = device.connection.as_ref().map(|live| live.number);
        if live != Some(connection) || !device.holds_psam {
            self.shops[s].devices[PSAM].answer(id, Err(CallFailure::CardChanged));
            return Ok(());
        }
        let sam = self.kit.sam(self.shops[s].has_key);
        if self.flaw == Flaw::PsamReaderLies && command.name() == CommandName::CreditSam {
            self.shops[s].devices[PSAM].answer(id, Err(CallFailure::CardChanged));
            return Ok(());
        }
        let Said {
            answer,
            verified,
            failure,
        } = self.psam(s).process(&sam, command.as_bytes());
        if let Some(failure) = failure {
            self.shops[s].devices[PSAM].answer(id, Err(failure));
            return Ok(());
        }
        if let Some(sn) = verified {
            let shop = &mut self.shops[s];
            hold!(
                SentOnce,
                !shop.mac2_verified.contains(&sn) || self.flaw == Flaw::PsamRepeatsNumbers,
                "the PSAM of shop {s} is asked about terminal SN {sn} twice"
            );
            shop.mac2_verified.push(sn);
        }
        match answer {
            Some(answer) => self.shops[s].devices[PSAM].answer(id, Ok(Answer::Response(answer))),
            None => {
                self.cut_psam(s);
                self.shops[s].devices[PSAM].answer(id, Err(CallFailure::OutcomeUnknown));
            }
        }
        Ok(())
    }

    fn psam(&mut self, s: usize) -> &mut crate::psam::SimPsam {
        let psam = self.shops[s].psam.as_mut();
        psam.expect("only a shop with a PSAM has calls in its reader")
    }

    /// The PSAM loses its power for a moment: its connection is dead, and nobody is told.
    pub(crate) fn cut_psam(&mut self, s: usize) {
        tell!(self, "shop {s}: the PSAM loses its power");
        self.shops[s].devices[PSAM].connection = None;
        self.psam(s).power_off();
    }

    /// Somebody takes the PSAM out.
    pub(crate) fn remove_psam(&mut self, s: usize) {
        tell!(self, "shop {s}: the PSAM is taken out");
        self.cut_psam(s);
        let device = &mut self.shops[s].devices[PSAM];
        device.holds_psam = false;
        device.event(DeviceEvent::CardRemoved);
    }

    /// Whatever is wrong with the PSAM is put right: it is put in again, unlocked, or exchanged for the right one.
    pub(crate) fn repair_psam(&mut self, s: usize) {
        let is_out = !self.shops[s].devices[PSAM].holds_psam;
        let Some(psam) = &mut self.shops[s].psam else {
            return;
        };
        psam.oddity = None;
        let was_useless = std::mem::take(&mut psam.is_locked) | std::mem::take(&mut psam.is_foreign);
        // One that repeats numbers is exchanged for one that does not.
        let last = self.shops[s].debits_sent.iter().max().copied();
        if let Some(psam) = self.shops[s].psam.as_mut().filter(|_| self.flaw == Flaw::None) {
            psam.counter = psam.counter.max(last.unwrap_or(0));
        }
        if was_useless && !is_out {
            self.remove_psam(s);
        }
        if was_useless || is_out {
            self.insert_psam(s);
        }
    }

    /// Somebody puts it in again.
    pub(crate) fn insert_psam(&mut self, s: usize) {
        tell!(self, "shop {s}: the PSAM is put in");
        let device = &mut self.shops[s].devices[PSAM];
        device.holds_psam = true;
        device.event(DeviceEvent::CardInserted);
    }
}
