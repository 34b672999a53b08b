//! A PSAM card: its own counter, its own count of wrong MACs, and a lock. The bytes are those of the published layouts
//! (epurse facts §1.7); the cryptography is the product's software SAM, and the buyers' cards, which are not, check it.

use purser_engine::CallFailure;
use purser_purse::pboc::{
    Asn, Attempt, BcdDate, BcdTime, CardRandom, IssuerId, KeyVersion, Mac2, Mac2Check, OfflineSn,
    PsamTerminalNumber, PurseAmount, PurseKind, SoftwareSam, TerminalSn, TerminalTime,
};

use crate::flaw::Flaw;

/// Wrong MACs after which it locks itself.
const ERRORS_MAX: u8 = 3;

/// What the PSAM does at its next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// It answers noise.
    Garbage,
    /// It executes the command, and its answer is lost.
    AnswerLost,
    /// It has lost its power without a word, and answers that it is in another state.
    WrongState,
    /// It refuses a money command with this status word.
    Refuses(u16),
    /// It refuses the money commands of this card, by the last byte of its ASN, with this status word.
    RefusesCard(u8, u16),
    /// Its driver has this failure for an answer; it keeps its power.
    HeldUp(CallFailure),
}

/// A PSAM.
#[derive(Clone, Debug)]
pub(crate) struct SimPsam {
    terminal_number: PsamTerminalNumber,
    /// In its EEPROM: the last terminal SN.
    pub(crate) counter: u32,
    /// In its EEPROM: wrong MACs since the last right one.
    errors: u8,
    /// In its EEPROM.
    pub(crate) is_locked: bool,
    /// It belongs to another terminal.
    pub(crate) is_foreign: bool,
    pub(crate) oddity: Option<Oddity>,
    session: Session,
    /// The instructions of the money commands that it got.
    pub(crate) heard: Vec<u8>,
    /// The attempts whose MAC2 it can check no more, by their terminal SN: its power or another attempt ended them.
    pub(crate) uncheckable: Vec<u32>,
    /// Those of them that ended because it lost its power, and not because the engine took it away.
    pub(crate) cut: Vec<u32>,
    flaw: Flaw,
}

/// What a lost power ends.
#[derive(Clone, Debug, Default)]
struct Session {
    has_power: bool,
    is_selected: bool,
    /// The attempt that the last INIT_SAM was for.
    begun: Option<(u32, Mac2)>,
    /// Its terminal SN, also when it was asked about.
    last: Option<u32>,
}

/// What the PSAM answers, and which terminal SN's MAC2 it has just found right.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// None: no answer.
    pub(crate) answer: Option<Vec<u8>>,
    pub(crate) verified: Option<u32>,
    /// What its driver tells in place of an answer.
    pub(crate) failure: Option<CallFailure>,
}

impl SimPsam {
    pub(crate) fn new(terminal_number: PsamTerminalNumber, flaw: Flaw) -> Self {
        Self {
            terminal_number,
            counter: 0,
            errors: 0,
            is_locked: false,
            is_foreign: false,
            oddity: None,
            session: Session::default(),
            heard: Vec::new(),
            uncheckable: Vec::new(),
            cut: Vec::new(),
            flaw,
        }
    }

    pub(crate) fn power_on(&mut self) {
        self.forget_attempt();
        self.session = Session {
            has_power: true,
            ..Session::default()
        };
    }

    fn forget_attempt(&mut self) {
        self.uncheckable.extend(self.session.last.take());
    }

    /// It is cut off its power.
    pub(crate) fn cut(&mut self) {
        self.cut.extend(self.session.last);
        self.power_off();
    }

    pub(crate) fn power_off(&mut self) {
        self.forget_attempt();
        self.session = Session::default();
        if self.flaw == Flaw::PsamRepeatsNumbers {
            self.counter = 0;
        }
    }

    pub(crate) fn process(&mut self, sam: &SoftwareSam, command: &[u8]) -> Said {
        let oddity = self.oddity.take();
        if !self.session.has_power {
            return Said::default();
        }
        if let [0x80, 0x70, ..] = command {
            // Also one that is refused ends what the one before began.
            self.session.begun = None;
            self.forget_attempt();
        }
        match oddity {
            Some(Oddity::WrongState) => {
                self.cut();
                self.session.has_power = true;
                return said(&[], 0x6985);
            }
            Some(Oddity::Refuses(_)) if command.first() == Some(&0x00) => self.oddity = oddity,
            Some(Oddity::Refuses(status)) => return said(&[], status),
            Some(Oddity::RefusesCard(asn, status)) => {
                self.oddity = oddity;
                if let [0x80, 0x70, _, _, _, data @ ..] = command
                    && data.get(27) == Some(&asn)
                {
                    return said(&[], status);
                }
            }
            Some(Oddity::HeldUp(failure)) => {
                return Said {
                    failure: Some(failure),
                    ..Said::default()
                };
            }
            Some(Oddity::Garbage | Oddity::AnswerLost) | None => {}
        }
        if let [0x80, instruction, ..] = command {
            self.heard.push(*instruction);
        }
        let mut said = self.execute(sam, command);
        match oddity {
            Some(Oddity::AnswerLost) => said.answer = None,
            Some(Oddity::Garbage) => said.answer = Some(vec![0xA5; 5]),
            _ => {}
        }
        said
    }

    fn execute(&mut self, sam: &SoftwareSam, command: &[u8]) -> Said {
        match command {
            [0x00, 0xB0, 0x95, 0x00, ..] => said(&[0x5A; 14], 0x9000),
            [0x00, 0xB0, 0x96, 0x00, ..] => {
                let mut number = *self.terminal_number.as_bytes();
                number[0] ^= u8::from(self.is_foreign);
                said(&number, 0x9000)
            }
            [0x00, 0xA4, 0x00, 0x00, 0x02, 0xDF, 0x01, ..] => {
                self.session.is_selected = true;
                said(&[], if self.is_locked { 0x6283 } else { 0x9000 })
            }
            [0x00, 0xA4, ..] => said(&[], 0x6A82),
            [0x80, 0x70 | 0x72, ..] if self.is_locked => said(&[], 0x9303),
            [0x80, 0x70 | 0x72, ..] if !self.session.is_selected => said(&[], 0x6985),
            [0x80, 0x70, 0x00, 0x00, 28, data @ ..] => self.init(sam, data),
            [0x80, 0x72, 0x00, 0x00, 0x04, mac2 @ ..] => self.credit(mac2),
            _ => said(&[], 0x6D00),
        }
    }

    fn init(&mut self, sam: &SoftwareSam, data: &[u8]) -> Said {
        let Some(next) = self.counter.checked_add(1) else {
            return said(&[], 0x9402);
        };
        self.counter = next;
        let Some(attempt) = attempt(self.terminal_number, next, data) else {
            return said(&[], 0x6A80);
        };
        match (sam.mac1(&attempt), sam.mac2_check(&attempt)) {
            (Ok(mac1), Mac2Check::Expected(mac2)) => {
                self.session.begun = Some((next, mac2));
                self.session.last = Some(next);
                let sn = next.to_be_bytes();
                said(&[&sn[..], mac1.as_bytes()].concat(), 0x9000)
            }
            _ => said(&[], 0x6A88),
        }
    }

    fn credit(&mut self, mac2: &[u8]) -> Said {
        let Some((sn, expected)) = self.session.begun.take() else {
            return said(&[], 0x6985);
        };
        if mac2 == expected.as_bytes() {
            self.errors = 0;
            return Said {
                verified: Some(sn),
                ..said(&[], 0x9000)
            };
        }
        if self.flaw == Flaw::PsamAcceptsAnyMac2 {
            return said(&[], 0x9000);
        }
        self.errors += 1;
        self.is_locked |= self.errors >= ERRORS_MAX;
        said(&[], 0x9302)
    }
}

/// The attempt as the command's data tells it: challenge 4, offline SN 2, amount 4, TT 1, date 4, time 3, key version 1,
/// algorithm 1, ASN 8.
fn attempt(terminal_number: PsamTerminalNumber, sn: u32, data: &[u8]) -> Option<Attempt> {
    let data: &[u8; 28] = data.get(..28)?.try_into().ok()?;
    let part = |from: usize, length: usize| &data[from..from + length];
    let fixed = |from: usize| -> Option<[u8; 4]> { part(from, 4).try_into().ok() };
    Some(Attempt {
        issuer_id: IssuerId::new([0; 8]),
        asn: Asn::new(part(20, 8).try_into().ok()?),
        purse: PurseKind::Ep,
        key_index: 1,
        terminal_number,
        terminal_sn: TerminalSn::new(sn),
        offline_sn: OfflineSn::new(u16::from_be_bytes(part(4, 2).try_into().ok()?)),
        random: CardRandom::new(fixed(0)?),
        key_version: KeyVersion(data[18]),
        algorithm_id: purser_purse::pboc::AlgorithmId(data[19]),
        old_balance: PurseAmount::ZERO,
        amount: PurseAmount::new(u32::from_be_bytes(fixed(6)?)),
        time: TerminalTime {
            date: BcdDate::new(fixed(11)?).ok()?,
            time: BcdTime::new(part(15, 3).try_into().ok()?).ok()?,
        },
    })
}

fn said(data: &[u8], status: u16) -> Said {
    Said {
        answer: Some([data, &status.to_be_bytes()].concat()),
        ..Said::default()
    }
}
