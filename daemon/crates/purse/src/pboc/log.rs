//! The card's own log of what it did (file 0018).

use super::amount::PurseAmount;
use super::attempt::Attempt;
use super::ids::PsamTerminalNumber;
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::bytes::take;
use crate::dialogue::{Answer, Dialogue, Exchange, Step, Turn};
use crate::error::CardError;
use crate::status::StatusWord;

/// Length of one record of file 0018.
const RECORD_LENGTH: u8 = 23;

/// How many records are read at most. Cards keep ten or some more; a card that never says "no such record" must
/// not hold the reader for ever.
pub const LOG_RECORDS_MAX: u8 = 30;

/// One record of the card's log. Source: epurse facts §1.1.
///
/// It tells what happened and proves nothing to anyone: only TAC and MAC2 do. Whether its SN is the counter before
/// or after the debit differs between cards, so Purser never looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The card's counter, before or after.
    pub sn: u16,
    /// The overdraft limit of an ED.
    pub overdraft_limit: PurseAmount,
    /// The amount.
    pub amount: PurseAmount,
    /// What was done (TT): 02 EP load, 05 ED purchase, 06 EP purchase; others in epurse facts §1.4.
    pub kind: u8,
    /// Who did it.
    pub terminal_number: PsamTerminalNumber,
    /// When, YYYYMMDD. As the other terminal wrote it: not always a date.
    pub date: [u8; 4],
    /// When, hhmmss. As the other terminal wrote it.
    pub time: [u8; 3],
}

impl LogRecord {
    /// Reads a record; None where the card has not yet written to this place of its file (all 00 or all FF).
    pub(crate) fn decode(record: &[u8; 23]) -> Option<Self> {
        if record == &[0x00; 23] || record == &[0xFF; 23] {
            return None;
        }
        let (sn, rest) = take(record);
        let ([limit_high, limit_middle, limit_low], rest) = take(rest);
        let (amount, rest) = take(rest);
        let ([kind], rest) = take(rest);
        let (terminal_number, rest) = take(rest);
        let (date, rest) = take(rest);
        let (time, _) = take(rest);
        Some(Self {
            sn: u16::from_be_bytes(sn),
            overdraft_limit: PurseAmount::from_bytes([0, limit_high, limit_middle, limit_low]),
            amount: PurseAmount::from_bytes(amount),
            kind,
            terminal_number: PsamTerminalNumber::new(terminal_number),
            date,
            time,
        })
    }

    /// True where the record names the attempt's terminal, date, time and amount: rule P1's four fields.
    pub fn names(&self, attempt: &Attempt) -> bool {
        self.terminal_number == attempt.terminal_number
            && &self.date == attempt.time.date.as_bytes()
            && &self.time == attempt.time.time.as_bytes()
            && self.amount == attempt.amount
    }
}

pub(crate) fn read_record(number: u8, protocol: Protocol) -> CommandApdu {
    let header = [0x00, 0xB2, number, 0xC4];
    let length = Some(RECORD_LENGTH);
    CommandApdu::new(CommandName::ReadRecord, header, &[], length, protocol)
}

/// What one READ RECORD found.
pub(crate) enum Found {
    Record(LogRecord),
    EndOfLog,
}

pub(crate) fn found(answer: Answer) -> Result<Found, CardError> {
    if answer.status == StatusWord::RECORD_NOT_FOUND {
        return Ok(Found::EndOfLog);
    }
    let record = answer.exactly()?;
    Ok(LogRecord::decode(&record).map_or(Found::EndOfLog, Found::Record))
}

/// READ RECORD from the newest record on, until the card has no more.
///
/// ```text
///   n = 1 ─▶ READ RECORD n ─┬─ 23 bytes ─▶ n + 1, up to LOG_RECORDS_MAX
///                           ├─ 6A83, or a place not yet written ─▶ Ok(records, newest first)
///                           └─ anything else ─▶ Err
/// ```
#[derive(Debug)]
pub struct ReadLog {
    exchange: Exchange,
    protocol: Protocol,
    number: u8,
    records: Vec<LogRecord>,
}

impl ReadLog {
    /// Begins with the newest record.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            exchange: Exchange::new(read_record(1, protocol), protocol),
            protocol,
            number: 1,
            records: Vec::new(),
        }
    }

    fn answered(mut records: Vec<LogRecord>, number: u8, protocol: Protocol, answer: Answer) -> Turn<Self> {
        match found(answer) {
            Err(error) => return Turn::Done(Err(error)),
            Ok(Found::EndOfLog) => return Turn::Done(Ok(records)),
            Ok(Found::Record(record)) => records.push(record),
        }
        if number == LOG_RECORDS_MAX {
            return Turn::Done(Ok(records));
        }
        let number = number + 1;
        Turn::Transmit(Self {
            exchange: Exchange::new(read_record(number, protocol), protocol),
            protocol,
            number,
            records,
        })
    }
}

impl Dialogue for ReadLog {
    type Done = Vec<LogRecord>;

    fn command(&self) -> &CommandApdu {
        self.exchange.command()
    }

    fn handle_response(self, response: &[u8]) -> Turn<Self> {
        let Self {
            exchange,
            protocol,
            number,
            records,
        } = self;
        match exchange.handle_response(response) {
            Step::Transmit(exchange) => Turn::Transmit(Self {
                exchange,
                protocol,
                number,
                records,
            }),
            Step::Answered(answer) => Self::answered(records, number, protocol, answer),
            Step::Failed(error) => Turn::Done(Err(error)),
        }
    }
}
