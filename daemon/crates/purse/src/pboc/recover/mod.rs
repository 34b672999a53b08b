//! What became of a debit whose answer was lost (rule P1).
//!
//! ```text
//!   PROVE(SN + 1) ──▶ INITIALIZE(0) ──┬── accepted: the counter ──┬── decided ───────────────────▶ Verdict
//!                          │          │                           └── READ RECORD 1, 2 … of 0018 ─▶ Verdict
//!                          └ refused: INITIALIZE(smallest unit) ──┘
//! ```
//!
//! None of these commands moves money, so the dialogue may be dropped at any point and begun again: a transport
//! that dies is no input. The card has to be selected, and known to be the attempt's card ([`Attempt::is_of`]).
//!
//! The first column is what INITIALIZE tells of the card's counter, the second what PROVE handed out for SN + 1:
//! *verified* = its MAC2 is the one of our challenge; *wrong* = it is not; *unchecked* = no SAM here has the key;
//! *none* = the card refused. The log is read only where the table has something in its column.
//!
//! | counter | proof | log 0018 | verdict |
//! | --- | --- | --- | --- |
//! | unchanged | none, wrong | | did not happen |
//! | unchanged | verified, unchecked | | in doubt: the card misbehaved (a proof of a debit that it did not count) |
//! | SN + 1 | verified | | happened, MAC2 verified |
//! | SN + 1 | unchecked | newest debit is ours | happened, TAC and MAC2 unchecked |
//! | SN + 1 | wrong, none | newest debit is ours | happened, by the log (with the card's TAC, if any) |
//! | SN + 1 | unchecked, wrong, none | newest debit is another's | another happened |
//! | SN + 1 | wrong | no debit in it, or not readable | another happened |
//! | SN + 1 | unchecked, none | no debit in it, or not readable | PIN, else in doubt |
//! | more | verified | | happened, MAC2 verified |
//! | more | unchecked | names ours | happened, TAC and MAC2 unchecked |
//! | more | wrong, none | names ours | happened, by the log |
//! | more | unchecked, wrong, none | does not name ours, or not readable | PIN, else in doubt |
//! | less | any | | in doubt: the card misbehaved (its counter went down) |
//! | refused | verified | | happened, MAC2 verified |
//! | refused | unchecked | names ours | happened, TAC and MAC2 unchecked |
//! | refused | wrong, none | names ours | happened, by the log |
//! | refused | wrong | does not name ours | another happened |
//! | refused | unchecked, none | does not name ours | PIN, else in doubt |
//! | refused | any but verified | not readable | PIN, else in doubt |
//!
//! *Names ours* compares terminal, date, time and amount, never the log's SN. *The newest debit* steps over
//! records of loads and of the card's other purse, which do not move this purse's counter: a load after our debit
//! must not hide it. *PIN* = the card refused something with `6982` and has not been shown its PIN yet.
//!
//! A log says nothing to the issuer; a claim by the log alone has no TAC, and the provider decides what it is
//! worth. Where a card refused the proof for a passing reason, [`Prove`](super::Prove) may fetch the TAC later.

mod table;
mod verdict;

use self::table::{Counter, LogSays, Proven};
pub use self::verdict::{DoubtReason, PinState, Verdict};
use super::amount::PurseAmount;
use super::attempt::Attempt;
use super::log::{self, Found, LOG_RECORDS_MAX, LogRecord};
use super::prove;
use super::purchase::{self, DebitAnswer, InitAnswer};
use super::sam::{self, Mac2Check};
use crate::apdu::{CommandApdu, Protocol};
use crate::dialogue::{Answer, Dialogue, Exchange, Step, Turn};
use crate::error::CardError;
use crate::status::StatusWord;

/// Asks a card what became of an attempt.
///
/// # Errors
/// A [`CardError`] where the card's answers are no answers (no status word, wrong length): there is no verdict, the
/// attempt stays in doubt, ask again. Refusals are no errors: they are part of the table.
#[derive(Debug)]
pub struct Recover {
    exchange: Exchange,
    case: Case,
    state: State,
}

#[derive(Debug)]
struct Case {
    attempt: Attempt,
    mac2: Mac2Check,
    pin: PinState,
    protocol: Protocol,
    /// True once the card has refused something for want of the PIN.
    pin_refused: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Proving,
    Initializing {
        proof: Proven,
        amount: PurseAmount,
    },
    ReadingLog {
        proof: Proven,
        counter: Counter,
        number: u8,
    },
}

impl Recover {
    /// Begins. `mac2` comes from [`SoftwareSam::mac2_check`](super::SoftwareSam::mac2_check).
    pub fn new(attempt: Attempt, mac2: Mac2Check, pin: PinState, protocol: Protocol) -> Self {
        let case = Case {
            attempt,
            mac2,
            pin,
            protocol,
            pin_refused: false,
        };
        // A counter at its end allows no debit: there is no SN + 1 to ask for.
        match case.attempt.offline_sn.next() {
            Some(sn_after) => {
                let command = prove::prove(case.attempt.purse, sn_after, protocol);
                case.ask(command, State::Proving)
            }
            None => case.initialize(Proven::None, PurseAmount::ZERO),
        }
    }
}

impl Dialogue for Recover {
    type Done = Verdict;

    fn command(&self) -> &CommandApdu {
        self.exchange.command()
    }

    fn handle_response(self, response: &[u8]) -> Turn<Self> {
        let Self {
            exchange,
            case,
            state,
        } = self;
        let answer = match exchange.handle_response(response) {
            Step::Transmit(exchange) => {
                return Turn::Transmit(Self {
                    exchange,
                    case,
                    state,
                });
            }
            Step::Failed(error) => return Turn::Done(Err(error)),
            Step::Answered(answer) => answer,
        };
        let turn = match state {
            State::Proving => case.handle_proof(answer),
            State::Initializing { proof, amount } => case.handle_counter(proof, amount, answer),
            State::ReadingLog {
                proof,
                counter,
                number,
            } => case.handle_record(proof, counter, number, answer),
        };
        turn.unwrap_or_else(|error| Turn::Done(Err(error)))
    }
}

type Next = Result<Turn<Recover>, CardError>;

impl Case {
    fn ask(self, command: CommandApdu, state: State) -> Recover {
        Recover {
            exchange: Exchange::new(command, self.protocol),
            case: self,
            state,
        }
    }

    fn initialize(self, proof: Proven, amount: PurseAmount) -> Recover {
        let Attempt {
            purse,
            key_index,
            terminal_number,
            ..
        } = self.attempt;
        let command = purchase::initialize(purse, key_index, amount, terminal_number, self.protocol);
        self.ask(command, State::Initializing { proof, amount })
    }

    fn read_log(self, proof: Proven, counter: Counter, number: u8) -> Recover {
        let command = log::read_record(number, self.protocol);
        self.ask(
            command,
            State::ReadingLog {
                proof,
                counter,
                number,
            },
        )
    }

    fn handle_proof(mut self, answer: Answer) -> Next {
        let proof = match self.refused(&answer) {
            Some(_) => Proven::None,
            None => self.judge(prove::proof(answer)?),
        };
        Ok(Turn::Transmit(self.initialize(proof, PurseAmount::ZERO)))
    }

    fn judge(&self, answer: DebitAnswer) -> Proven {
        match self.mac2 {
            Mac2Check::Expected(mac2) if sam::is_equal(mac2, answer.mac2) => Proven::Verified(answer),
            Mac2Check::Expected(_) => Proven::Wrong(answer),
            Mac2Check::NotCheckable => Proven::Unchecked(answer),
        }
    }

    fn handle_counter(mut self, proof: Proven, amount: PurseAmount, answer: Answer) -> Next {
        let counter = match self.refused(&answer) {
            // The smallest unit does not replace a PIN.
            Some(status) if amount == PurseAmount::ZERO && status != StatusWord::PIN_NEEDED => {
                return Ok(Turn::Transmit(self.initialize(proof, PurseAmount::SMALLEST)));
            }
            Some(status) => Counter::Refused(status),
            None => Counter::from_sn(
                self.attempt.offline_sn,
                InitAnswer::from_answer(answer)?.offline_sn,
            ),
        };
        Ok(match table::without_log(proof, counter) {
            Some(verdict) => Turn::Done(Ok(verdict)),
            None => Turn::Transmit(self.read_log(proof, counter, 1)),
        })
    }

    fn handle_record(mut self, proof: Proven, counter: Counter, number: u8, answer: Answer) -> Next {
        let says = if answer.status == StatusWord::RECORD_NOT_FOUND {
            Some(LogSays::Nothing)
        } else if let Some(status) = self.refused(&answer) {
            Some(LogSays::NotReadable(status))
        } else {
            match log::found(answer)? {
                Found::EndOfLog => Some(LogSays::Nothing),
                Found::Record(record) => self.read(&record, counter),
            }
        };
        let says = says.or((number == LOG_RECORDS_MAX).then_some(LogSays::Nothing));
        Ok(match says {
            Some(says) => Turn::Done(Ok(self.verdict(proof, counter, says))),
            None => Turn::Transmit(self.read_log(proof, counter, number + 1)),
        })
    }

    /// What one record says; None where the next one has to be read.
    fn read(&self, record: &LogRecord, counter: Counter) -> Option<LogSays> {
        if record.names(&self.attempt) {
            return Some(LogSays::Ours);
        }
        match counter {
            Counter::Next => table::may_be_debit_of(self.attempt.purse, record).then_some(LogSays::Anothers),
            Counter::Down | Counter::Unchanged | Counter::More | Counter::Refused(_) => None,
        }
    }

    fn verdict(&self, proof: Proven, counter: Counter, says: LogSays) -> Verdict {
        let pin_helps = self.pin_refused && self.pin == PinState::NotVerified;
        match table::with_log(proof, counter, says) {
            Ok(verdict) => verdict,
            Err(_) if pin_helps => Verdict::PinNeeded,
            Err(reason) => Verdict::InDoubt(reason),
        }
    }

    /// The status word of a refusal; remembers whether the PIN was what the card missed.
    fn refused(&mut self, answer: &Answer) -> Option<StatusWord> {
        self.pin_refused |= answer.status == StatusWord::PIN_NEEDED;
        (answer.status != StatusWord::OK).then_some(answer.status)
    }
}
