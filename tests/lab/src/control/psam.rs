//! What a PSAM is told.

use std::str::FromStr;

use super::command::{NotACommand, hex_bytes, status_word};
use super::socket::{Answer, Led};
use crate::card::ScriptedFault;
use crate::psam::{PsamFault, instruction};
use crate::vpcd::PsamThread;

/// One line to a PSAM, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsamCommand {
    /// Put it into its slot.
    Insert,
    /// Take it out.
    Remove,
    /// Script a fault.
    Script(ScriptedFault<PsamFault>),
    /// Take faults back.
    Clear,
    /// Take the lock back.
    Unlock,
    /// Tell.
    Status,
    /// End.
    Quit,
}

impl FromStr for PsamCommand {
    type Err = NotACommand;

    fn from_str(line: &str) -> Result<Self, NotACommand> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["insert"] => Ok(Self::Insert),
            ["remove"] => Ok(Self::Remove),
            ["tear", "before", target] => script(PsamFault::LosePowerBefore, target),
            ["tear", "after", target] => script(PsamFault::LosePowerAfter, target),
            ["fault", name] => script(fault(name)?, "initialize"),
            ["fault", name, target] => script(fault(name)?, target),
            ["clear"] => Ok(Self::Clear),
            ["unlock"] => Ok(Self::Unlock),
            ["status"] => Ok(Self::Status),
            ["quit"] => Ok(Self::Quit),
            _ => Err(NotACommand::UnknownToPsam),
        }
    }
}

fn script(fault: PsamFault, target: &str) -> Result<PsamCommand, NotACommand> {
    let instruction = match target {
        "any" => None,
        "initialize" => Some(instruction::INITIALIZE),
        "credit" => Some(instruction::CREDIT),
        "select" => Some(instruction::SELECT),
        "read-binary" => Some(instruction::READ_BINARY),
        "response" => Some(instruction::GET_RESPONSE),
        digits => {
            let [byte] = hex_bytes::<1>(digits).ok_or(NotACommand::PsamInstruction)?;
            Some(byte)
        }
    };
    Ok(PsamCommand::Script(ScriptedFault {
        instruction,
        skip: 0,
        fault,
    }))
}

fn fault(name: &str) -> Result<PsamFault, NotACommand> {
    let status = |digits| status_word(digits).ok_or(NotACommand::PsamFault);
    match name.split_once('=') {
        None if name == "garbage" => Ok(PsamFault::GarbageAnswer),
        None if name == "lose-power" => Ok(PsamFault::LosePowerOnceAnswered),
        None if name == "wrong-mac1" => Ok(PsamFault::WrongMac1),
        None if name == "repeat-sn" => Ok(PsamFault::RepeatTerminalSn),
        None if name == "mute" => Ok(PsamFault::MuteUntilReset),
        Some(("status", digits)) => status(digits).map(PsamFault::StatusBefore),
        Some(("status-after", digits)) => status(digits).map(PsamFault::StatusAfter),
        _ => Err(NotACommand::PsamFault),
    }
}

impl Led for PsamThread {
    fn obey(&self, line: &str) -> Answer {
        let command = line.parse();
        let done = match command {
            Err(error) => Err(error.to_string()),
            Ok(PsamCommand::Unlock) => self.unlock().map_err(|error| error.to_string()),
            Ok(command) => {
                match command {
                    PsamCommand::Insert => self.insert(),
                    PsamCommand::Remove | PsamCommand::Quit => self.remove(),
                    PsamCommand::Script(fault) => self.script(fault),
                    PsamCommand::Clear => self.clear_script(),
                    PsamCommand::Status | PsamCommand::Unlock => {}
                }
                Ok(())
            }
        };
        Answer {
            line: match done {
                Ok(()) => format!("ok {}", self.status()),
                Err(error) => format!("error {error}"),
            },
            is_quit: command == Ok(PsamCommand::Quit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::StatusWord;

    #[test]
    fn every_documented_line_is_understood() {
        let next = |instruction, fault| Ok(PsamCommand::Script(ScriptedFault::next(instruction, fault)));
        assert_eq!(" insert ".parse(), Ok(PsamCommand::Insert));
        assert_eq!("remove".parse(), Ok(PsamCommand::Remove));
        assert_eq!(
            "tear before initialize".parse(),
            next(0x70, PsamFault::LosePowerBefore)
        );
        assert_eq!("tear after credit".parse(), next(0x72, PsamFault::LosePowerAfter));
        assert_eq!(
            "tear before select".parse(),
            next(0xA4, PsamFault::LosePowerBefore)
        );
        assert_eq!(
            "fault lose-power response".parse(),
            next(0xC0, PsamFault::LosePowerOnceAnswered)
        );
        assert_eq!("fault wrong-mac1".parse(), next(0x70, PsamFault::WrongMac1));
        assert_eq!(
            "fault repeat-sn initialize".parse(),
            next(0x70, PsamFault::RepeatTerminalSn)
        );
        assert_eq!(
            "fault garbage read-binary".parse(),
            next(0xB0, PsamFault::GarbageAnswer)
        );
        assert_eq!(
            "fault mute response".parse(),
            next(0xC0, PsamFault::MuteUntilReset)
        );
        assert_eq!(
            "fault status=9302 credit".parse(),
            next(0x72, PsamFault::StatusBefore(StatusWord(0x9302)))
        );
        assert_eq!(
            "fault status-after=6F00 70".parse(),
            next(0x70, PsamFault::StatusAfter(StatusWord(0x6F00)))
        );
        let any = ScriptedFault {
            instruction: None,
            skip: 0,
            fault: PsamFault::MuteUntilReset,
        };
        assert_eq!("fault mute any".parse(), Ok(PsamCommand::Script(any)));
        assert_eq!("clear".parse(), Ok(PsamCommand::Clear));
        assert_eq!("unlock".parse(), Ok(PsamCommand::Unlock));
        assert_eq!("status".parse(), Ok(PsamCommand::Status));
        assert_eq!("quit".parse(), Ok(PsamCommand::Quit));
    }

    #[test]
    fn other_lines_are_refused_with_what_would_be_right() {
        let parse = |line: &str| line.parse::<PsamCommand>();
        for line in ["", "refill 5", "unlock it", "tear credit"] {
            assert_eq!(parse(line), Err(NotACommand::UnknownToPsam), "{line}");
        }
        assert_eq!(parse("tear before debit"), Err(NotACommand::PsamInstruction));
        assert_eq!(parse("fault wrong-mac2"), Err(NotACommand::PsamFault));
        assert_eq!(parse("fault status=93"), Err(NotACommand::PsamFault));
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_understood_or_refused(line in "(tear|fault)?[ -~é]{0,40}") {
            let refused = line.parse::<PsamCommand>().err();
            proptest::prop_assert!(refused.is_none_or(|error| !error.is_transient() && !error.to_string().is_empty()));
        }
    }
}
