//! Faults on demand: at which command, and what goes wrong there.

use super::status::StatusWord;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The card leaves the field before it executes the command.
    TearBeforeExecute,
    /// The card executes the command and leaves the field; the answer is lost.
    TearAfterExecute,
    /// The card executes the command; the answer is noise.
    GarbageAnswer,
    /// A counterfeit card: it executes a DEBIT whatever its MAC1, and its MAC2 is wrong, in the answer and in the
    /// stored proof. No other command is touched.
    WrongMac2,
    /// The card answers this status word and does not execute.
    StatusBeforeExecute(StatusWord),
    /// The card executes the command and answers this status word only.
    StatusAfterExecute(StatusWord),
    /// The card executes the command and answers these bytes, whatever the true answer is.
    BytesAfterExecute(&'static [u8]),
    /// The card does not execute, and says nothing until it is reset.
    MuteUntilReset,
    /// The card executes the command, and says nothing until it is reset.
    MuteAfterExecute,
}

/// A fault and the command that it waits for. It strikes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptedFault<F = Fault> {
    /// The instruction byte that it waits for (DEBIT is 54); none waits for any command.
    pub instruction: Option<u8>,
    /// How many such commands pass unharmed first.
    pub skip: u32,
    /// What goes wrong.
    pub fault: F,
}

impl<F> ScriptedFault<F> {
    /// The next command with this instruction byte is struck.
    pub fn next(instruction: u8, fault: F) -> Self {
        Self {
            instruction: Some(instruction),
            skip: 0,
            fault,
        }
    }
}

/// The faults that wait on one card.
#[derive(Clone, Debug)]
pub(crate) struct Script<F = Fault>(Vec<ScriptedFault<F>>);

impl<F> Default for Script<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F> Script<F> {
    pub(crate) fn add(&mut self, fault: ScriptedFault<F>) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }

    /// The fault that strikes this command: the first in the order of scripting. Every fault that waits for such a
    /// command counts it.
    pub(crate) fn strike(&mut self, instruction: u8) -> Option<F> {
        let mut struck = None;
        for (index, waiting) in self.0.iter_mut().enumerate() {
            if waiting.instruction.is_some_and(|wanted| wanted != instruction) {
                continue;
            }
            if waiting.skip > 0 {
                waiting.skip -= 1;
            } else if struck.is_none() {
                struck = Some(index);
            }
        }
        struck.map(|index| self.0.remove(index).fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_its_instruction_and_its_occurrence_and_strikes_once() {
        let mut script: Script = Script::default();
        script.add(ScriptedFault {
            instruction: Some(0x54),
            skip: 1,
            fault: Fault::TearBeforeExecute,
        });
        assert_eq!(script.strike(0x50), None);
        assert_eq!(script.strike(0x54), None);
        assert_eq!(script.strike(0x50), None);
        assert_eq!(script.strike(0x54), Some(Fault::TearBeforeExecute));
        assert_eq!(script.strike(0x54), None);
    }

    #[test]
    fn a_fault_for_any_command_strikes_the_next_one() {
        let mut script: Script = Script::default();
        script.add(ScriptedFault {
            instruction: None,
            skip: 0,
            fault: Fault::MuteUntilReset,
        });
        assert_eq!(script.strike(0xA4), Some(Fault::MuteUntilReset));
        assert_eq!(script.waiting(), 0);
    }

    #[test]
    fn two_faults_at_one_command_strike_one_after_the_other() {
        let mut script: Script = Script::default();
        script.add(ScriptedFault::next(0x54, Fault::GarbageAnswer));
        script.add(ScriptedFault::next(0x54, Fault::TearAfterExecute));
        assert_eq!(script.strike(0x54), Some(Fault::GarbageAnswer));
        assert_eq!(script.strike(0x54), Some(Fault::TearAfterExecute));
    }
}
