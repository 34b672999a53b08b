//! The lines of a recording.

use purser_driver_wire::limits::NAME_MAX_BYTES;
use purser_driver_wire::{CallId, ConnectionNumber, Device, DeviceEvent, Fault, Protocol, SlotId, Text};
use serde::{Deserialize, Serialize};

use crate::masked::Masked;
use crate::{LINE_BYTES_MAX, VERSION};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the recording began.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The driver is ready.
    Ready(Ready),
    /// A call went to the driver.
    Call {
        /// Names the call.
        id: CallId,
        /// The time it had, in milliseconds.
        time_ms: u32,
        /// The call.
        #[serde(flatten)]
        call: Call,
    },
    /// The driver was asked to end a call soon.
    Cancel {
        /// The call.
        id: CallId,
    },
    /// The driver answered.
    Answer {
        /// The call.
        id: CallId,
        /// The answer.
        #[serde(flatten)]
        answer: Answer,
    },
    /// The driver told of a device.
    Event(DeviceEvent),
    /// The driver's process ended.
    Down {},
    /// So many lines are missing here.
    Gap {
        /// How many.
        lines: u64,
    },
    /// The file has reached its limit.
    Full {},
}

/// A driver that is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// Its id.
    pub id: Text<NAME_MAX_BYTES>,
    /// Its version.
    pub version: Text<NAME_MAX_BYTES>,
    /// Its devices.
    pub devices: Vec<DeviceState>,
}

/// A device that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceState {
    /// The device.
    pub device: Device,
    /// True while a card is in it.
    pub has_card: bool,
}

/// A call, masked. Two calls match when they are equal, apart from `connection`, which is another in each life of a driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// Power the card.
    Connect {
        /// The reader.
        slot: SlotId,
    },
    /// Send a command.
    Transmit {
        /// The reader.
        slot: SlotId,
        /// The connection.
        connection: ConnectionNumber,
        /// The command.
        command: Masked,
    },
    /// Power the card off.
    Disconnect {
        /// The reader.
        slot: SlotId,
        /// The connection.
        connection: ConnectionNumber,
    },
    /// Let the buyer enter a PIN.
    EnterPin {
        /// The pad.
        slot: SlotId,
        /// The price that is shown, in minor units.
        amount_minor: Option<u64>,
        /// Tries that the card has left.
        tries_left: Option<u8>,
        /// True where a PIN block is wanted.
        block: bool,
    },
}

/// An answer, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The card has power.
    Connected {
        /// The connection.
        connection: ConnectionNumber,
        /// How commands travel.
        protocol: Protocol,
        /// True for a card in the field.
        contactless: bool,
        /// The answer to reset.
        atr: Masked,
    },
    /// The card's response.
    Response {
        /// Its bytes.
        response: Masked,
    },
    /// The card has no power.
    Disconnected,
    /// A PIN, or a PIN block.
    Pin,
    /// The call failed.
    Failed {
        /// Why.
        fault: Fault,
    },
}

/// Why a line cannot be read. The recording is of another version, was changed, or is none.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The first line is not a recording's.
    #[error("this is no recording: its first line is not {{\"purser_recording\":{VERSION}}}")]
    NoHeader,
    /// A line is longer than any that is written.
    #[error("line {0} is too long")]
    TooLong(usize),
    /// A line is not what a recording has.
    #[error("line {line} is no line of a recording")]
    Malformed {
        /// Its number, counted from 1.
        line: usize,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
}

impl LineError {
    /// False: the same text reads the same again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoHeader | Self::TooLong(_) | Self::Malformed { .. } => false,
        }
    }
}

/// The first line of a recording, with its line feed.
pub fn header() -> String {
    format!("{{\"purser_recording\":{VERSION}}}\n")
}

impl Entry {
    /// The line, with its line feed.
    pub fn line(&self) -> String {
        let mut line =
            serde_json::to_string(self).expect("an entry holds only texts, numbers, lists and objects");
        line.push('\n');
        line
    }
}

/// Whether a recording has its whole last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It has.
    Whole,
    /// Its last line was cut and left out.
    LastLine,
}

/// The entries of a recording.
pub type Lines = (Vec<Entry>, Cut);

/// Reads a recording.
///
/// # Errors
/// [`LineError`]: it is none of this version.
pub fn lines(text: &str) -> Result<Lines, LineError> {
    let rest = text.strip_prefix(header().as_str()).ok_or(LineError::NoHeader)?;
    let (whole, cut) = match rest.rfind('\n') {
        _ if rest.is_empty() => ("", Cut::Whole),
        Some(last) if last.saturating_add(1) == rest.len() => (rest, Cut::Whole),
        Some(last) => (&rest[..last], Cut::LastLine),
        None => ("", Cut::LastLine),
    };
    let entry = |(index, line): (usize, &str)| {
        let line_number = index.saturating_add(2);
        if line.len() > LINE_BYTES_MAX {
            return Err(LineError::TooLong(line_number));
        }
        serde_json::from_str(line).map_err(|source| LineError::Malformed {
            line: line_number,
            source,
        })
    };
    let entries: Result<Vec<Entry>, LineError> = whole.lines().enumerate().map(entry).collect();
    Ok((entries?, cut))
}
