//! Reading which PSAM is in the slot, and opening its purchase application.
//!
//! ```text
//!   READ BINARY 0015 ── 14 bytes ──▶ READ BINARY 0016 ── 6 bytes ──▶ SELECT adf ── 9000 ──▶ PsamFacts
//! ```
//! The PSAM has just had its reset, so both files lie in the directory that is selected.

use super::profile::PsamAdf;
use super::profile::PsamProfile;
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::bytes::take;
use crate::dialogue::{Answer, Dialogue, Exchange, Step, Turn};
use crate::error::CardError;
use crate::pboc::ids::{PsamTerminalNumber, SerialNumber};

/// What a PSAM tells of itself. Source: epurse facts §1.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsamFacts {
    /// The PSAM's own serial number (file 0015).
    pub serial: SerialNumber,
    /// The PSAM's version byte (file 0015).
    pub version: u8,
    /// The terminal number that the provider gave to it (file 0016). MACs, TACs and claims carry it.
    pub terminal_number: PsamTerminalNumber,
}

/// Length of file 0015 of a PSAM.
const INFORMATION_LENGTH: u8 = 14;
/// Length of file 0016 of a PSAM.
const TERMINAL_NUMBER_LENGTH: u8 = 6;

/// READ BINARY of the files 0015 and 0016, and SELECT of the purchase application. Moves nothing.
///
/// # Errors
/// [`CardError`]; [`PsamError`](super::PsamError) says what each means of a PSAM.
#[derive(Debug)]
pub struct IdentifyPsam {
    exchange: Exchange,
    protocol: Protocol,
    adf: PsamAdf,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    ReadingInformation,
    ReadingNumber { serial: SerialNumber, version: u8 },
    Selecting(PsamFacts),
}

impl IdentifyPsam {
    /// Begins, after the PSAM's reset.
    pub fn new(profile: &PsamProfile, protocol: Protocol) -> Self {
        let adf = profile.adf.clone();
        let command = read(0x95, INFORMATION_LENGTH, protocol);
        Self::ask(command, protocol, adf, State::ReadingInformation)
    }

    fn ask(command: CommandApdu, protocol: Protocol, adf: PsamAdf, state: State) -> Self {
        Self {
            exchange: Exchange::new(command, protocol),
            protocol,
            adf,
            state,
        }
    }

    fn answered(state: State, answer: Answer, protocol: Protocol, adf: PsamAdf) -> Next {
        Ok(match state {
            State::ReadingInformation => {
                let file: [u8; 14] = answer.exactly()?;
                let (serial, rest) = take(&file);
                let ([version], _kind_and_issuer_data) = take(rest);
                let serial = SerialNumber::new(serial);
                let command = read(0x96, TERMINAL_NUMBER_LENGTH, protocol);
                let state = State::ReadingNumber { serial, version };
                Turn::Transmit(Self::ask(command, protocol, adf, state))
            }
            State::ReadingNumber { serial, version } => {
                let facts = PsamFacts {
                    serial,
                    version,
                    terminal_number: PsamTerminalNumber::new(answer.exactly()?),
                };
                let command = adf.select(protocol);
                Turn::Transmit(Self::ask(command, protocol, adf, State::Selecting(facts)))
            }
            State::Selecting(facts) => Turn::Done(answer.accepted().map(|_| facts)),
        })
    }
}

type Next = Result<Turn<IdentifyPsam>, CardError>;

fn read(short_file_id: u8, length: u8, protocol: Protocol) -> CommandApdu {
    let header = [0x00, 0xB0, short_file_id, 0x00];
    CommandApdu::new(CommandName::ReadBinary, header, &[], Some(length), protocol)
}

impl Dialogue for IdentifyPsam {
    type Done = PsamFacts;

    fn command(&self) -> &CommandApdu {
        self.exchange.command()
    }

    fn handle_response(self, response: &[u8]) -> Turn<Self> {
        let Self {
            exchange,
            protocol,
            adf,
            state,
        } = self;
        match exchange.handle_response(response) {
            Step::Transmit(exchange) => Turn::Transmit(Self {
                exchange,
                protocol,
                adf,
                state,
            }),
            Step::Failed(error) => Turn::Done(Err(error)),
            Step::Answered(answer) => {
                Self::answered(state, answer, protocol, adf).unwrap_or_else(|error| Turn::Done(Err(error)))
            }
        }
    }
}
