//! The shape that every card dialogue has, and the one place that knows `61xx` and `6Cxx`.
//!
//! ```text
//!                ┌────────── handle_response ──────────┐
//!                ▼                                     │
//!   new ──▶ Transmit(d): send d.command() to the card ─┤
//!                                                      └──▶ Done(Ok(result)) | Done(Err(CardError))
//! ```
//!
//! A dialogue is consumed by value: after `Done` there is nothing left that could send a command again. A lost
//! answer is no input; whoever drives the dialogue drops it. What that means for money is told at
//! [`Debit`](crate::pboc::Debit) and [`Recover`](crate::pboc::Recover).

use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::error::CardError;
use crate::status::StatusWord;

/// A conversation with one card: a command out, a response in, until it is done.
pub trait Dialogue: Sized {
    /// What the dialogue finds out.
    type Done;

    /// The command that the card is to get now. The same one until [`handle_response`](Self::handle_response).
    fn command(&self) -> &CommandApdu;

    /// Takes the card's whole response (data and status word) to that command. Call again for each `Transmit`.
    fn handle_response(self, response: &[u8]) -> Turn<Self>;
}

/// What a dialogue wants after a response.
#[derive(Debug)]
#[must_use = "a dialogue that is dropped here never ends"]
pub enum Turn<D: Dialogue> {
    /// Send the next command.
    Transmit(D),
    /// The dialogue is over.
    Done(Result<D::Done, CardError>),
}

/// How many extra exchanges one command may cost: a wrong Le, a fetch, a wrong Le of the fetch, and one more for a
/// card that hands its answer over in two pieces. A card that wants more would hold the reader for ever.
const EXTRA_ROUNDS_MAX: u8 = 4;

/// One command with everything that `61xx` and `6Cxx` make of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    name: CommandName,
    command: CommandApdu,
    protocol: Protocol,
    extra_rounds: u8,
    data: Vec<u8>,
}

/// What an exchange wants after a response.
pub(crate) enum Step {
    Transmit(Exchange),
    Answered(Answer),
    Failed(CardError),
}

/// A complete answer: all data, and a status word that is neither `61xx` nor a `6Cxx` that was followed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) name: CommandName,
    pub(crate) data: Vec<u8>,
    pub(crate) status: StatusWord,
}

impl Exchange {
    pub(crate) fn new(command: CommandApdu, protocol: Protocol) -> Self {
        Self {
            name: command.name(),
            command,
            protocol,
            extra_rounds: 0,
            data: Vec::new(),
        }
    }

    pub(crate) fn command(&self) -> &CommandApdu {
        &self.command
    }

    pub(crate) fn handle_response(mut self, response: &[u8]) -> Step {
        let Some((data, &[sw1, sw2])) = response.split_last_chunk::<2>() else {
            return Step::Failed(CardError::NoStatusWord { command: self.name });
        };
        self.data.extend_from_slice(data);
        let command = match (sw1, self.command.name().may_be_repeated()) {
            (0x61, _) => get_response(sw2, self.protocol),
            (0x6C, true) => self.command.with_le(sw2),
            _ => {
                return Step::Answered(Answer {
                    name: self.name,
                    data: self.data,
                    status: StatusWord::from_bytes([sw1, sw2]),
                });
            }
        };
        if self.extra_rounds == EXTRA_ROUNDS_MAX {
            return Step::Failed(CardError::TooManyRounds { command: self.name });
        }
        Step::Transmit(Self {
            command,
            extra_rounds: self.extra_rounds + 1,
            ..self
        })
    }
}

impl Answer {
    /// The data of an answer with `9000`; any other status word as its error.
    pub(crate) fn accepted(self) -> Result<Vec<u8>, CardError> {
        match self.status.error() {
            None => Ok(self.data),
            Some(error) => Err(error),
        }
    }

    /// The data of an answer with `9000` that must be exactly `N` bytes long.
    pub(crate) fn exactly<const N: usize>(self) -> Result<[u8; N], CardError> {
        let command = self.name;
        let data = self.accepted()?;
        let found = data.len();
        data.try_into().map_err(|_| CardError::WrongAnswerLength {
            command,
            expected: N,
            found,
        })
    }
}

fn get_response(available: u8, protocol: Protocol) -> CommandApdu {
    let header = [0x00, 0xC0, 0x00, 0x00];
    CommandApdu::new(CommandName::GetResponse, header, &[], Some(available), protocol)
}

/// A dialogue of one command: the wrappers around [`Exchange`] are all alike.
macro_rules! one_command_dialogue {
    ($dialogue:ident => $done:ty, $finish:expr) => {
        impl $crate::dialogue::Dialogue for $dialogue {
            type Done = $done;

            fn command(&self) -> &$crate::apdu::CommandApdu {
                self.exchange.command()
            }

            fn handle_response(self, response: &[u8]) -> $crate::dialogue::Turn<Self> {
                use $crate::dialogue::{Step, Turn};
                match self.exchange.handle_response(response) {
                    Step::Transmit(exchange) => Turn::Transmit(Self { exchange }),
                    Step::Answered(answer) => Turn::Done($finish(answer)),
                    Step::Failed(error) => Turn::Done(Err(error)),
                }
            }
        }
    };
}
pub(crate) use one_command_dialogue;
