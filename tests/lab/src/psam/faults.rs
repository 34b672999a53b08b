//! What goes wrong with a PSAM on demand.

use crate::card::StatusWord;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PsamFault {
    /// The PSAM loses its power before it executes the command; it is out of its slot until it is inserted again.
    LosePowerBefore,
    /// The PSAM executes the command, then loses its power; the answer is lost.
    LosePowerAfter,
    /// The PSAM executes the command and answers, and then loses its power.
    LosePowerOnceAnswered,
    /// The PSAM executes the command; the answer is noise.
    GarbageAnswer,
    /// MAC1 of an 8070 is wrong. No other command is touched.
    WrongMac1,
    /// A lying PSAM: an 8070 answers the terminal SN of the one before, with a MAC1 that fits it. No other command is
    /// touched.
    RepeatTerminalSn,
    /// The PSAM answers this status word and does not execute.
    StatusBefore(StatusWord),
    /// The PSAM executes the command and answers this status word only.
    StatusAfter(StatusWord),
    /// The PSAM does not execute, and says nothing until it is reset.
    MuteUntilReset,
}
