//! Reading a line.

use std::str::FromStr;

use crate::card::{Fault, Life, Minor, ScriptedFault, StatusWord, instruction};

/// One line, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlCommand {
    /// Put the card into the reader.
    Insert,
    /// Take it out.
    Remove,
    /// Script a fault.
    Script(ScriptedFault),
    /// Take faults back.
    Clear,
    /// Load elsewhere.
    Refill(Minor),
    /// Pay elsewhere.
    PayElsewhere(Minor),
    /// Block or unblock.
    Life(Life),
    /// Tell.
    Status,
    /// End.
    Quit,
}

/// Why a line is not understood.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotACommand {
    /// The first word, or the number of words.
    #[error(
        "say insert, remove, tear before|after INS, fault NAME [INS], clear, refill N, pay-elsewhere N, \
         life usable|blocked|dead, status or quit"
    )]
    Unknown,
    /// The same, to a PSAM.
    #[error("say insert, remove, tear before|after INS, fault NAME [INS], clear, unlock, status or quit")]
    UnknownToPsam,
    /// The instruction.
    #[error(
        "INS is debit, credit, initialize, select, verify, balance, prove, read-binary, read-record, response, \
         any, or two hexadecimal digits"
    )]
    Instruction,
    /// The same, to a PSAM.
    #[error("INS is initialize, credit, select, read-binary, response, any, or two hexadecimal digits")]
    PsamInstruction,
    /// The amount.
    #[error("an amount is a whole number of minor units below 2^32")]
    Amount,
    /// The fault.
    #[error(
        "a fault is garbage, wrong-mac2, mute, mute-after, status=SW or status-after=SW (SW: four hexadecimal digits)"
    )]
    Fault,
    /// The same, to a PSAM.
    #[error(
        "a fault is lose-power, garbage, wrong-mac1, repeat-sn, mute, status=SW or status-after=SW (SW: four hexadecimal \
         digits)"
    )]
    PsamFault,
}

impl NotACommand {
    /// Whether the same line can be understood later: never.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unknown
            | Self::UnknownToPsam
            | Self::Instruction
            | Self::PsamInstruction
            | Self::Amount
            | Self::Fault
            | Self::PsamFault => false,
        }
    }
}

impl FromStr for ControlCommand {
    type Err = NotACommand;

    fn from_str(line: &str) -> Result<Self, NotACommand> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["insert"] => Ok(Self::Insert),
            ["remove"] => Ok(Self::Remove),
            ["tear", "before", target] => script(Fault::TearBeforeExecute, target),
            ["tear", "after", target] => script(Fault::TearAfterExecute, target),
            ["fault", name] => script(fault(name)?, "debit"),
            ["fault", name, target] => script(fault(name)?, target),
            ["clear"] => Ok(Self::Clear),
            ["refill", amount] => Ok(Self::Refill(minor(amount)?)),
            ["pay-elsewhere", amount] => Ok(Self::PayElsewhere(minor(amount)?)),
            ["life", "usable"] => Ok(Self::Life(Life::Usable)),
            ["life", "blocked"] => Ok(Self::Life(Life::Blocked)),
            ["life", "dead"] => Ok(Self::Life(Life::Dead)),
            ["status"] => Ok(Self::Status),
            ["quit"] => Ok(Self::Quit),
            _ => Err(NotACommand::Unknown),
        }
    }
}

fn script(fault: Fault, target: &str) -> Result<ControlCommand, NotACommand> {
    Ok(ControlCommand::Script(ScriptedFault {
        instruction: target_instruction(target)?,
        skip: 0,
        fault,
    }))
}

fn target_instruction(target: &str) -> Result<Option<u8>, NotACommand> {
    let named = match target {
        "any" => return Ok(None),
        "debit" => instruction::DEBIT,
        "credit" => instruction::CREDIT,
        "initialize" => instruction::INITIALIZE,
        "select" => instruction::SELECT,
        "verify" => instruction::VERIFY,
        "balance" => instruction::GET_BALANCE,
        "prove" => instruction::GET_PROOF,
        "read-binary" => instruction::READ_BINARY,
        "read-record" => instruction::READ_RECORD,
        "response" => instruction::GET_RESPONSE,
        digits => {
            let [byte] = hex_bytes::<1>(digits).ok_or(NotACommand::Instruction)?;
            byte
        }
    };
    Ok(Some(named))
}

fn fault(name: &str) -> Result<Fault, NotACommand> {
    let status = |digits| status_word(digits).ok_or(NotACommand::Fault);
    match name.split_once('=') {
        None if name == "garbage" => Ok(Fault::GarbageAnswer),
        None if name == "wrong-mac2" => Ok(Fault::WrongMac2),
        None if name == "mute" => Ok(Fault::MuteUntilReset),
        None if name == "mute-after" => Ok(Fault::MuteAfterExecute),
        Some(("status", digits)) => status(digits).map(Fault::StatusBeforeExecute),
        Some(("status-after", digits)) => status(digits).map(Fault::StatusAfterExecute),
        _ => Err(NotACommand::Fault),
    }
}

fn minor(amount: &str) -> Result<Minor, NotACommand> {
    amount.parse().map(Minor).map_err(|_| NotACommand::Amount)
}

pub(super) fn status_word(digits: &str) -> Option<StatusWord> {
    hex_bytes(digits).map(u16::from_be_bytes).map(StatusWord)
}

pub(super) fn hex_bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_line_is_understood() {
        let debit = |fault| Ok(ControlCommand::Script(ScriptedFault::next(0x54, fault)));
        assert_eq!("insert".parse(), Ok(ControlCommand::Insert));
        assert_eq!(" remove ".parse(), Ok(ControlCommand::Remove));
        assert_eq!("tear before debit".parse(), debit(Fault::TearBeforeExecute));
        assert_eq!("tear after 54".parse(), debit(Fault::TearAfterExecute));
        assert_eq!("fault wrong-mac2".parse(), debit(Fault::WrongMac2));
        assert_eq!("fault garbage debit".parse(), debit(Fault::GarbageAnswer));
        assert_eq!("fault mute".parse(), debit(Fault::MuteUntilReset));
        assert_eq!("fault mute-after".parse(), debit(Fault::MuteAfterExecute));
        assert_eq!(
            "fault status=6581".parse(),
            debit(Fault::StatusBeforeExecute(StatusWord(0x6581)))
        );
        assert_eq!(
            "fault status-after=9406".parse(),
            debit(Fault::StatusAfterExecute(StatusWord(0x9406)))
        );
        assert_eq!("clear".parse(), Ok(ControlCommand::Clear));
        assert_eq!("refill 500".parse(), Ok(ControlCommand::Refill(Minor(500))));
        assert_eq!(
            "pay-elsewhere 5".parse(),
            Ok(ControlCommand::PayElsewhere(Minor(5)))
        );
        assert_eq!("life dead".parse(), Ok(ControlCommand::Life(Life::Dead)));
        assert_eq!("status".parse(), Ok(ControlCommand::Status));
        assert_eq!("quit".parse(), Ok(ControlCommand::Quit));
    }

    #[test]
    fn every_documented_instruction_name_is_understood() {
        for (name, byte) in [
            ("credit", 0x52),
            ("initialize", 0x50),
            ("select", 0xA4),
            ("verify", 0x20),
            ("balance", 0x5C),
            ("prove", 0x5A),
            ("read-binary", 0xB0),
            ("read-record", 0xB2),
            ("response", 0xC0),
        ] {
            assert_eq!(target_instruction(name), Ok(Some(byte)));
        }
        assert_eq!(target_instruction("any"), Ok(None));
    }

    #[test]
    fn other_lines_are_refused_with_what_would_be_right() {
        let parse = |line: &str| line.parse::<ControlCommand>();
        for line in [
            "",
            "jump",
            "insert twice",
            "tear debit",
            "tear during debit",
            "life",
        ] {
            assert_eq!(parse(line), Err(NotACommand::Unknown), "{line}");
        }
        assert_eq!(parse("tear before lunch"), Err(NotACommand::Instruction));
        assert_eq!(parse("refill -1"), Err(NotACommand::Amount));
        assert_eq!(parse("refill 4294967296"), Err(NotACommand::Amount));
        assert_eq!(parse("fault status=65"), Err(NotACommand::Fault));
        assert_eq!(parse("fault status"), Err(NotACommand::Fault));
    }
    proptest::proptest! {
        #[test]
        fn any_line_is_understood_or_refused(line in "(tear|fault|refill|life)?[ -~é]{0,40}") {
            let refused = line.parse::<ControlCommand>().err();
            proptest::prop_assert!(refused.is_none_or(|error| !error.is_transient() && !error.to_string().is_empty()));
        }
    }
}
