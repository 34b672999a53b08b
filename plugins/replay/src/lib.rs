//! A driver that plays a recording: what another driver did once, it does again, call by call. For tests, and for finding out what
//! happened in a shop.
//!
//! ```toml
//! # The settings of one instance.
//! recording = "/var/tmp/counter.recording"   # made by purserctl driver record
//! pin = "0000"                               # what its PIN pad gives; a recording holds no PIN
//! purse_id = "00000000000000000000"          # stands for each purse id that is masked: 10 bytes in hexadecimal digits
//! ```
//! It announces the devices with which the recording begins, emits the recorded events in their places (those between an answer
//! and the next call go just before the answer), and answers each call as it was answered when the call is, in its masked form, the
//! next one of the recording. Any other call is refused: nothing was sent. Times are not played: answers come at once.
//!
//! # What a mask makes impossible
//!
//! * A PIN is not recorded, so any PIN matches: VERIFY is compared by its header, and answered as it was.
//! * A purse id is not recorded. The card that is played has the one of the settings; with another one than the card's own its
//!   keys are another card's, its MAC2 does not verify, and a debit is never taken for paid.
//! * DEBIT is compared by its header: its time and MAC1 are another's in each sale. What it answers has MAC2 and no TAC, so that
//!   the evidence of a sale that was played is worth nothing.
//! * Log records and the answers of a PSAM are hidden wholly: a recovery by the card's log, and a PSAM, cannot be played.

mod play;
mod settings;

use std::sync::{Mutex, MutexGuard, PoisonError};

use purser_driver_recording::{Answer, Call as Recorded};
use purser_driver_wire as wire;
use purser_plugin_api::sdk::{
    Ability, Call, Card, CardReader, Connection, Driver, DriverError, Fault, Host, Output, PinFormat, PinPad,
    PinRequest, Protocol, Slot,
};

use play::Play;
use settings::Settings;

/// The driver.
#[derive(Debug)]
pub struct Replay {
    host: Host,
    settings: Settings,
    play: Mutex<Play>,
}

impl Driver for Replay {
    const ID: &'static str = "replay";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABILITIES: &'static [Ability] = &[Ability::card_reader::<Self>(), Ability::pin_pad::<Self>()];

    fn create(host: Host, settings: &str, _call: &Call) -> Result<Self, DriverError> {
        let settings = Settings::parse(settings)?;
        let mut play = Play::load(&settings.recording)?;
        play.tell_events(&host);
        Ok(Self {
            host,
            settings,
            play: Mutex::new(play),
        })
    }
}

impl Replay {
    /// Plays one call.
    fn call(&self, call: &wire::Call) -> Result<Answer, DriverError> {
        let mut play = self.lock();
        let masked = play.masker.call(CALL, call);
        played(play.answer_to(&masked, &self.host))
    }

    fn lock(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names each call to the masker, which needs no names where it sees no answers.
const CALL: wire::CallId = wire::CallId(0);

/// What the recording has for an answer. Nothing was sent where it has none: no card is here.
fn played(answer: Result<Answer, &'static str>) -> Result<Answer, DriverError> {
    match answer {
        Ok(Answer::Failed { fault }) => Err(fault_of(fault).into()),
        Ok(answer) => Ok(answer),
        Err(why) => Err(Fault::Unsupported.because(why)),
    }
}

impl CardReader for Replay {
    fn connect(&self, _: &Call, slot: Slot) -> Result<Card, DriverError> {
        let asked = wire::Call::Connect {
            slot: wire::SlotId(slot.0),
        };
        match self.call(&asked)? {
            Answer::Connected {
                connection,
                protocol,
                contactless,
                atr,
            } => Ok(Card {
                connection: self.lock().begin_connection(connection),
                protocol: match protocol {
                    wire::Protocol::T0 => Protocol::T0,
                    wire::Protocol::T1 => Protocol::T1,
                    wire::Protocol::Tcl => Protocol::Tcl,
                },
                contactless,
                atr: atr.fill(|_| 0).unwrap_or_default(),
            }),
            other => Err(odd(&other)),
        }
    }

    fn transmit(
        &self,
        _: &Call,
        slot: Slot,
        connection: Connection,
        command: &[u8],
        response: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        let connection = self.lock().recorded(connection)?;
        let command =
            wire::Command::new(command).map_err(|error| Fault::BadArgument.because(error.to_string()))?;
        let asked = wire::Call::Transmit {
            slot: wire::SlotId(slot.0),
            connection,
            command,
        };
        match self.call(&asked)? {
            Answer::Response { response: masked } => {
                let bytes = masked.fill(self.settings.stand_in()).unwrap_or_default();
                Ok(response.put(&bytes)?)
            }
            other => Err(odd(&other)),
        }
    }

    fn disconnect(&self, _: &Call, slot: Slot, live: Connection) -> Result<(), DriverError> {
        let connection = self.lock().recorded(live)?;
        let asked = wire::Call::Disconnect {
            slot: wire::SlotId(slot.0),
            connection,
        };
        match self.call(&asked)? {
            Answer::Disconnected => {
                self.lock().end_connection(live);
                Ok(())
            }
            other => Err(odd(&other)),
        }
    }
}

impl PinPad for Replay {
    fn enter_pin(
        &self,
        _: &Call,
        slot: Slot,
        request: &PinRequest<'_>,
        answer: &mut Output<'_>,
    ) -> Result<(), DriverError> {
        if !matches!(request.format, PinFormat::Digits) {
            return Err(Fault::Unsupported.because("a recording holds no PIN block"));
        }
        let asked = Recorded::EnterPin {
            slot: wire::SlotId(slot.0),
            amount_minor: request.amount.map(|amount| amount.minor),
            tries_left: request.tries_left.and_then(|tries| u8::try_from(tries).ok()),
            block: false,
        };
        let answered = self.lock().answer_to(&asked, &self.host);
        match played(answered)? {
            Answer::Pin => Ok(answer.put(self.settings.pin.as_bytes())?),
            other => Err(odd(&other)),
        }
    }
}

/// An answer to another kind of call: the file was changed. Its bytes stay out of the text `[G-7]`.
fn odd(_: &Answer) -> DriverError {
    Fault::Internal.because("the recording has another kind of answer here")
}

fn fault_of(fault: wire::Fault) -> Fault {
    match fault {
        wire::Fault::NoCard => Fault::NoCard,
        wire::Fault::CardChanged => Fault::CardChanged,
        wire::Fault::CardMute => Fault::CardMute,
        wire::Fault::Cancelled => Fault::Cancelled,
        wire::Fault::Busy => Fault::Busy,
        wire::Fault::DeviceGone => Fault::DeviceGone,
        wire::Fault::Timeout => Fault::Timeout,
        wire::Fault::OutcomeUnknown => Fault::OutcomeUnknown,
        wire::Fault::BadArgument => Fault::BadArgument,
        wire::Fault::Unsupported => Fault::Unsupported,
        wire::Fault::Internal => Fault::Internal,
    }
}

purser_plugin_api::export_driver!(Replay);
