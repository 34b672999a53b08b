//! The table of the module above, as code: no command, no answer, only what they came to.

use super::verdict::{DoubtReason, Verdict};
use crate::pboc::evidence::Proof;
use crate::pboc::ids::OfflineSn;
use crate::pboc::log::LogRecord;
use crate::pboc::profile::PurseKind;
use crate::pboc::purchase::DebitAnswer;
use crate::status::StatusWord;

/// What PROVE handed out for SN + 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proven {
    /// Its MAC2 is the one of our challenge.
    Verified(DebitAnswer),
    /// Its MAC2 is another one.
    Wrong(DebitAnswer),
    /// No SAM here can check its MAC2.
    Unchecked(DebitAnswer),
    /// The card refused.
    None,
}

/// What INITIALIZE tells of the counter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counter {
    Down,
    Unchanged,
    Next,
    More,
    Refused(StatusWord),
}

/// What the log says.
#[derive(Clone, Copy, Debug)]
pub(super) enum LogSays {
    /// It names our attempt.
    Ours,
    /// The newest debit in it is another's.
    Anothers,
    /// It has come to its end without either.
    Nothing,
    /// The card refused.
    NotReadable(StatusWord),
}

impl Counter {
    pub(super) fn from_sn(before: OfflineSn, now: OfflineSn) -> Self {
        if now < before {
            Self::Down
        } else if now == before {
            Self::Unchanged
        } else if before.next() == Some(now) {
            Self::Next
        } else {
            Self::More
        }
    }
}

/// The verdict that needs no log; None where the log has to be read.
pub(super) fn without_log(proof: Proven, counter: Counter) -> Option<Verdict> {
    match (counter, proof) {
        (Counter::Down, _) => Some(Verdict::InDoubt(DoubtReason::CounterWentDown)),
        // A proof that does not verify proves nothing, so nothing contradicts the counter.
        (Counter::Unchanged, Proven::None | Proven::Wrong(_)) => Some(Verdict::DidNotHappen),
        (Counter::Unchanged, Proven::Verified(_) | Proven::Unchecked(_)) => {
            Some(Verdict::InDoubt(DoubtReason::ProofWithoutDebit))
        }
        (_, Proven::Verified(answer)) => Some(Verdict::Happened {
            answer: Some(answer),
            proof: Proof::Mac2Verified,
        }),
        (_, Proven::Wrong(_) | Proven::Unchecked(_) | Proven::None) => None,
    }
}

/// The verdict with the log; the reason for doubt where neither decides.
pub(super) fn with_log(proof: Proven, counter: Counter, says: LogSays) -> Result<Verdict, DoubtReason> {
    match (counter, says, proof) {
        (_, LogSays::Ours, _) => Ok(happened_by_log(proof, counter)),
        (_, LogSays::Anothers, _)
        | (Counter::Next, _, Proven::Wrong(_))
        | (Counter::Refused(_), LogSays::Nothing, Proven::Wrong(_)) => Ok(Verdict::AnotherHappened),
        (Counter::Refused(status), _, _) => Err(DoubtReason::CounterNotReadable { status }),
        (_, LogSays::Nothing, _) => Err(DoubtReason::NotInLog),
        (_, LogSays::NotReadable(status), _) => Err(DoubtReason::LogNotReadable { status }),
    }
}

fn happened_by_log(proof: Proven, counter: Counter) -> Verdict {
    let (answer, proof) = match (proof, counter) {
        (Proven::Verified(answer), _) => (Some(answer), Proof::Mac2Verified),
        (Proven::Unchecked(answer), _) => (Some(answer), Proof::Mac2NotCheckable),
        // One debit, and the log says it is ours: the TAC can be of no other, whatever became of our key.
        (Proven::Wrong(answer), Counter::Next) => (Some(answer), Proof::LogRecord),
        (Proven::Wrong(_) | Proven::None, _) => (None, Proof::LogRecord),
    };
    Verdict::Happened { answer, proof }
}

/// False for records that cannot have moved the debit counter of `purse`: loads (01, 02), unloads (03), overdraft
/// updates (07), and the debits of the other purse. Kinds that are not known count as debits.
pub(super) fn may_be_debit_of(purse: PurseKind, record: &LogRecord) -> bool {
    match (record.kind, purse) {
        (0x01 | 0x02 | 0x03 | 0x07, _) | (0x04 | 0x05, PurseKind::Ep) | (0x06 | 0x09, PurseKind::Ed) => false,
        (_, PurseKind::Ep | PurseKind::Ed) => true,
    }
}
