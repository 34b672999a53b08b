//! The lab's virtual PSAM: the card in a shop's second slot that holds the purchase key and the terminal SN.
//!
//! ```text
//! power_on ─▶ MF (0015, 0016) ─SELECT(ADF)─▶ application ─8070─▶ begun ─8072─▶ application
//!                                                ▲  any other command than 8072 forgets what was begun │
//!                                                └─────────────────────────────────────────────────────┘
//! reset, power off, tear: back to MF; nothing of the session is left, all of the EEPROM is.
//! wrong MAC2 too often: locked, until its issuer unlocks it.
//! ```
//!
//! It computes with the card's formulas of the lab and shares no line with the terminal's side. The terminal SN rises by
//! one with each 8070 that is executed, whatever becomes of the answer; a store writes it before the answer leaves.
//!
//! Source: the PSAM commands of the PBOC e-purse as independent public implementations have them; not yet tried against
//! a physical PSAM. Where products differ (factor order, levels, tries, interface) the personalisation has a setting. Not
//! documented anywhere and chosen here: 8072 out of turn is 6901, a MAC2 that fits gives all tries back, and a locked
//! application answers as a blocked one of a purse card does (SELECT 6283, commands 6A81).

mod faults;
mod files;
mod personalisation;
mod purchase;
mod state;
mod stored;

use std::sync::Arc;

use crate::card::apdu::Command;
use crate::card::faults::Script;
use crate::card::transport;
use crate::card::{CardReply, GARBAGE, Mac, Outcome, StatusWord, TerminalSn};
use files::{Directory, FileId};

pub use faults::PsamFault;
pub use personalisation::{FactorOrder, Levels, NotLevels, PsamKey, PsamPersonalisation};
pub use state::PsamState;
pub use stored::fuzz_stored;

/// Instruction bytes, as fault scripts name them.
pub mod instruction {
    /// SELECT.
    pub const SELECT: u8 = 0xA4;
    /// READ BINARY.
    pub const READ_BINARY: u8 = 0xB0;
    /// GET RESPONSE (T=0).
    pub const GET_RESPONSE: u8 = 0xC0;
    /// INIT_SAM_FOR_PURCHASE.
    pub const INITIALIZE: u8 = 0x70;
    /// CREDIT_SAM_FOR_PURCHASE.
    pub const CREDIT: u8 = 0x72;
}

/// A virtual PSAM.
#[derive(Clone, Debug)]
pub struct Psam {
    personalisation: Arc<PsamPersonalisation>,
    state: PsamState,
    session: Session,
    script: Script<PsamFault>,
    powered: bool,
}

/// What lasts until reset.
#[derive(Clone, Debug, Default)]
struct Session {
    directory: Directory,
    file: Option<FileId>,
    /// The MAC2 that 8072 has to bring, after 8070.
    expected: Option<Mac>,
    /// What waits for GET RESPONSE.
    pending: Vec<u8>,
    mute: bool,
    lie: Option<Lie>,
}

/// How the next 8070 lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    WrongMac1,
    RepeatedTerminalSn,
}

impl Psam {
    /// Makes a PSAM that has given out this terminal SN last, without power.
    pub fn new(personalisation: Arc<PsamPersonalisation>, last: TerminalSn) -> Self {
        let state = PsamState {
            revision: 0,
            terminal_sn: last,
            mac_tries_left: personalisation.mac_tries_max,
        };
        Self::restore(personalisation, state)
    }

    /// Makes a PSAM from a stored state, without power and without faults.
    pub fn restore(personalisation: Arc<PsamPersonalisation>, state: PsamState) -> Self {
        Self {
            personalisation,
            state,
            session: Session::default(),
            script: Script::default(),
            powered: false,
        }
    }

    /// What its issuer fixed.
    pub fn personalisation(&self) -> &PsamPersonalisation {
        &self.personalisation
    }

    /// What the EEPROM holds.
    pub fn state(&self) -> &PsamState {
        &self.state
    }

    /// How many scripted faults have not struck yet.
    pub fn faults_waiting(&self) -> usize {
        self.script.waiting()
    }

    /// Whether it is locked.
    pub fn is_locked(&self) -> bool {
        self.state.mac_tries_left == 0
    }

    /// Gives all tries back, as its issuer would.
    pub fn unlock(&mut self) {
        self.state.set_mac_tries(self.personalisation.mac_tries_max);
    }

    fn reset_session(&mut self) {
        self.session = Session::default();
    }

    /// Executes one command APDU, or the fault that waits for it.
    fn handle(&mut self, apdu: &[u8]) -> CardReply {
        if !self.powered {
            return CardReply::Torn;
        }
        if self.session.mute {
            return CardReply::Mute;
        }
        let struck = apdu
            .get(1)
            .and_then(|instruction| self.script.strike(*instruction));
        let Some(fault) = struck else {
            return CardReply::Answer(self.execute(apdu));
        };
        match fault {
            PsamFault::LosePowerBefore => self.lose_power(),
            PsamFault::LosePowerAfter => {
                self.execute(apdu);
                self.lose_power()
            }
            PsamFault::LosePowerOnceAnswered => {
                let answer = self.execute(apdu);
                self.lose_power();
                CardReply::LastAnswer(answer)
            }
            PsamFault::GarbageAnswer => {
                self.execute(apdu);
                CardReply::Answer(GARBAGE.to_vec())
            }
            PsamFault::WrongMac1 => CardReply::Answer(self.execute_lying(apdu, Lie::WrongMac1)),
            PsamFault::RepeatTerminalSn => {
                CardReply::Answer(self.execute_lying(apdu, Lie::RepeatedTerminalSn))
            }
            PsamFault::StatusBefore(status) => CardReply::Answer(transport::answer_status(status)),
            PsamFault::StatusAfter(status) => {
                self.execute(apdu);
                CardReply::Answer(transport::answer_status(status))
            }
            PsamFault::MuteUntilReset => {
                self.session.mute = true;
                CardReply::Mute
            }
        }
    }

    fn lose_power(&mut self) -> CardReply {
        self.reset_session();
        self.powered = false;
        CardReply::Torn
    }

    fn execute_lying(&mut self, apdu: &[u8], lie: Lie) -> Vec<u8> {
        self.session.lie = Some(lie);
        let answer = self.execute(apdu);
        self.session.lie = None;
        answer
    }

    fn execute(&mut self, apdu: &[u8]) -> Vec<u8> {
        match Command::parse(apdu) {
            Ok(command) => {
                let outcome = self.perform(&command);
                let interface = self.personalisation.interface;
                transport::answer(interface, &command, outcome, &mut self.session.pending)
            }
            Err(status) => transport::answer_status(status),
        }
    }

    /// Executes a command as if the whole answer could always be sent.
    fn perform(&mut self, command: &Command<'_>) -> Outcome {
        use instruction::*;
        let iso = command.class == 0x00;
        let purse = command.class == 0x80;
        if !iso && !purse {
            return Err(StatusWord::WRONG_CLASS);
        }
        if command.instruction == GET_RESPONSE && iso {
            return transport::get_response(command, &mut self.session.pending);
        }
        self.session.pending.clear();
        let expected = self.session.expected.take();
        match command.instruction {
            SELECT if iso => self.select(command),
            READ_BINARY if iso => self.read_binary(command),
            INITIALIZE if purse => self.initialize_for_purchase(command),
            CREDIT if purse => self.credit_for_purchase(command, expected),
            SELECT | READ_BINARY | GET_RESPONSE | INITIALIZE | CREDIT => Err(StatusWord::WRONG_CLASS),
            _ => Err(StatusWord::UNKNOWN_INSTRUCTION),
        }
    }
}

/// What a fuzzer calls: whatever bytes come, the PSAM answers; the terminal SN never goes back, and rises with each
/// answer that tells one. Each command in `data` follows a byte that tells its length.
pub fn fuzz(data: &[u8]) {
    use crate::card::Interface;
    use crate::chip::Chip;

    let masters = crate::issuer::Masters::public_lab();
    let mut personalisation = masters.personalise_psam();
    if data.first().is_some_and(|byte| byte & 1 == 1) {
        personalisation.interface = Interface::Whole;
    }
    let mut psam = Psam::new(Arc::new(personalisation), TerminalSn(0));
    psam.power_on(0);
    let mut rest = data;
    while let Some((&length, tail)) = rest.split_first() {
        let (apdu, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        let before = psam.state.terminal_sn;
        let reply = psam.process(apdu);
        let CardReply::Answer(answer) = reply else {
            unreachable!("no fault was scripted, and {apdu:02X?} got {reply:02X?}")
        };
        assert!(answer.len() >= 2, "{apdu:02X?} got {answer:02X?}");
        let given = psam.state.terminal_sn.0 - before.0;
        let is_begun = psam.session.expected.is_some() && apdu.get(1) == Some(&instruction::INITIALIZE);
        assert_eq!(given, u32::from(is_begun), "{apdu:02X?} moved the terminal SN");
    }
}
