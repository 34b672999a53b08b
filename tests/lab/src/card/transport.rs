//! How an outcome becomes an answer: whole over T=CL and T=1, in two steps over T=0.

use super::apdu::Command;
use super::personalisation::Interface;
use super::status::StatusWord;
use super::{Outcome, Reply};

/// The answer of two bytes.
pub(crate) fn answer_status(status: StatusWord) -> Vec<u8> {
    status.0.to_be_bytes().to_vec()
}

/// The answer of a command, with what has to wait for GET RESPONSE put aside.
pub(crate) fn answer(
    interface: Interface,
    command: &Command<'_>,
    outcome: Outcome,
    pending: &mut Vec<u8>,
) -> Vec<u8> {
    let Reply { mut data, status } = match outcome {
        Ok(reply) => reply,
        Err(status) => return answer_status(status),
    };
    // No answer of this card is longer than 255 bytes: the longest is a selection answer.
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    match interface {
        Interface::T0 if command.has_data && length > 0 && status == StatusWord::OK => {
            *pending = data;
            answer_status(StatusWord::more(length))
        }
        // T=0 cannot send data together with a command's data, warning or not.
        Interface::T0 if command.has_data => answer_status(status),
        Interface::T0 if length > 0 && command.le != Some(length) => {
            answer_status(StatusWord::repeat_with(length))
        }
        Interface::T0 | Interface::Whole => {
            data.extend_from_slice(&status.0.to_be_bytes());
            data
        }
    }
}

/// `00 C0 00 00 Le`: the answer that waits. Nothing waits on a card that answers whole.
pub(crate) fn get_response(command: &Command<'_>, pending: &mut Vec<u8>) -> Outcome {
    if (command.p1, command.p2) != (0, 0) {
        return Err(StatusWord::WRONG_P1P2);
    }
    command.without_data()?;
    let waiting = u8::try_from(pending.len()).unwrap_or(u8::MAX);
    match command.le {
        _ if waiting == 0 => Err(StatusWord::CONDITIONS_NOT_MET),
        Some(le) if le == waiting => Reply::ok(std::mem::take(pending)),
        _ => Err(StatusWord::repeat_with(waiting)),
    }
}
