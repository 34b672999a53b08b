//! Finding the application and reading who the card is.
//!
//! ```text
//!   SELECT aid ── 9000 ──▶ READ BINARY 0015 ── 9000, 30 bytes ──▶ CardFacts
//!       │                        │
//!       └── no such application ─┴── no such file ──▶ ForeignCard
//! ```

use super::date::BcdDate;
use super::ids::{Asn, IssuerId, SerialNumber};
use super::profile::Profile;
use crate::apdu::{CommandApdu, CommandName, Protocol};
use crate::bytes::take;
use crate::dialogue::{Answer, Dialogue, Exchange, Step, Turn};
use crate::error::CardError;

/// What file 0015 tells of a card. Source: epurse facts §1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFacts {
    /// Who issued the card: the key to its currency.
    pub issuer_id: IssuerId,
    /// Which purses the application has: 01 ED, 02 EP, 03 both.
    pub app_type: u8,
    /// The issuer's version of the application.
    pub app_version: u8,
    /// The application serial number.
    pub serial: SerialNumber,
    /// Its last 8 bytes: the card's name in claims.
    pub asn: Asn,
    /// The first day on which the card is valid.
    pub start: BcdDate,
    /// The last day on which the card is valid.
    pub expiry: BcdDate,
}

/// Length of file 0015.
const PUBLIC_INFORMATION_LENGTH: u8 = 30;

/// SELECT of the application and READ BINARY of file 0015.
///
/// It begins every use of a card, and every dialogue of this scheme needs it before. It does not lock a purse: cards
/// differ in whether a selection makes them forget a PIN. Rule P4's lock is a reset or power-off by the reader.
///
/// # Errors
/// [`CardError::ForeignCard`] where the card has no such application or no file 0015.
#[derive(Debug)]
pub struct Identify {
    exchange: Exchange,
    protocol: Protocol,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Selecting,
    Reading,
}

impl Identify {
    /// Begins with the application that `profile` names.
    pub fn new(profile: &Profile, protocol: Protocol) -> Self {
        let header = [0x00, 0xA4, 0x04, 0x00];
        let aid = profile.aid.as_bytes();
        let select = CommandApdu::new(CommandName::Select, header, aid, Some(0x00), protocol);
        Self {
            exchange: Exchange::new(select, protocol),
            protocol,
            state: State::Selecting,
        }
    }

    fn reading(protocol: Protocol) -> Self {
        let header = [0x00, 0xB0, 0x95, 0x00];
        let length = Some(PUBLIC_INFORMATION_LENGTH);
        let read = CommandApdu::new(CommandName::ReadBinary, header, &[], length, protocol);
        Self {
            exchange: Exchange::new(read, protocol),
            protocol,
            state: State::Reading,
        }
    }
}

impl Dialogue for Identify {
    type Done = CardFacts;

    fn command(&self) -> &CommandApdu {
        self.exchange.command()
    }

    fn handle_response(self, response: &[u8]) -> Turn<Self> {
        let Self {
            exchange,
            protocol,
            state,
        } = self;
        match (exchange.handle_response(response), state) {
            (Step::Transmit(exchange), _) => Turn::Transmit(Self {
                exchange,
                protocol,
                state,
            }),
            (Step::Failed(error), _) => Turn::Done(Err(error)),
            (Step::Answered(answer), State::Selecting) => match answer.accepted() {
                Ok(_) => Turn::Transmit(Self::reading(protocol)),
                Err(error) => Turn::Done(Err(foreign_if_absent(error))),
            },
            (Step::Answered(answer), State::Reading) => Turn::Done(facts(answer)),
        }
    }
}

fn facts(answer: Answer) -> Result<CardFacts, CardError> {
    let file: [u8; 30] = answer.exactly().map_err(foreign_if_absent)?;
    CardFacts::decode(&file)
}

/// A card that does not know the application, or has no file 0015 in it, is simply another kind of card.
fn foreign_if_absent(error: CardError) -> CardError {
    match error {
        CardError::FileNotFound
        | CardError::WrongParameters
        | CardError::WrongFileType
        | CardError::WrongOffset
        | CardError::NoCurrentFile
        | CardError::InstructionNotSupported
        | CardError::ClassNotSupported => CardError::ForeignCard,
        other => other,
    }
}

impl CardFacts {
    /// Reads the content of file 0015.
    pub(crate) fn decode(file: &[u8; 30]) -> Result<Self, CardError> {
        let (issuer_id, rest) = take::<8>(file);
        let ([app_type, app_version], rest) = take::<2>(rest);
        let (serial, rest) = take::<10>(rest);
        let (start, rest) = take::<4>(rest);
        let (expiry, _issuer_data) = take::<4>(rest);
        let serial = SerialNumber::new(serial);
        Ok(Self {
            issuer_id: IssuerId::new(issuer_id),
            app_type,
            app_version,
            serial,
            asn: serial.asn(),
            start: BcdDate::new(start).map_err(|_| CardError::BadDate)?,
            expiry: BcdDate::new(expiry).map_err(|_| CardError::BadDate)?,
        })
    }
}
