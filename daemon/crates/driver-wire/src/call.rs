//! Calls to a driver and their replies.

use serde::{Deserialize, Serialize};

use crate::limits::{ATR_MAX_BYTES, NAME_MAX_BYTES, PIN_MAX_DIGITS, PIN_MIN_DIGITS};
use crate::{Account, Command, PinBlock, PinDigits, Response, SlotId, Text};

/// Names one call; the daemon never uses one twice in the life of a driver host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// Names one connection to one card; ends with the card's removal or reset (`purser/driver.h` `[C-1]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionNumber(pub u32);

/// What a driver can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Power the card and take exclusive access.
    Connect {
        /// The reader.
        slot: SlotId,
    },
    /// Send one command exactly once.
    Transmit {
        /// The reader.
        slot: SlotId,
        /// The connection that the command is for.
        connection: ConnectionNumber,
        /// The command.
        command: Command,
    },
    /// Power the card off; its PIN state is gone then.
    Disconnect {
        /// The reader.
        slot: SlotId,
        /// The connection to end.
        connection: ConnectionNumber,
    },
    /// Let the buyer enter a PIN.
    EnterPin {
        /// The pad.
        slot: SlotId,
        /// What to ask.
        request: PinRequest,
    },
}

/// What a driver answers when a call succeeded; the variant is the call's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Call::Connect`].
    Connected(Card),
    /// To [`Call::Transmit`].
    Response(Response),
    /// To [`Call::Disconnect`].
    Disconnected,
    /// To [`Call::EnterPin`].
    Pin(PinEntry),
}

impl Reply {
    /// True if this is the kind of reply that belongs to `call`.
    pub fn answers(&self, call: &Call) -> bool {
        match (self, call) {
            (Self::Connected(_), Call::Connect { .. })
            | (Self::Response(_), Call::Transmit { .. })
            | (Self::Disconnected, Call::Disconnect { .. }) => true,
            (Self::Pin(entry), Call::EnterPin { request, .. }) => entry.fits(request),
            _ => false,
        }
    }
}

/// How commands travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// ISO/IEC 7816-3 T=0.
    T0,
    /// ISO/IEC 7816-3 T=1.
    T1,
    /// ISO/IEC 14443-4.
    Tcl,
}

/// A card that was powered and is ours alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The connection.
    pub connection: ConnectionNumber,
    /// How commands travel.
    pub protocol: Protocol,
    /// True for a card in the field.
    pub contactless: bool,
    atr: Vec<u8>,
}

impl Card {
    /// A card; `None` for an ATR of more than 33 bytes.
    pub fn new(
        connection: ConnectionNumber,
        protocol: Protocol,
        contactless: bool,
        atr: &[u8],
    ) -> Option<Self> {
        (atr.len() <= ATR_MAX_BYTES).then(|| Self {
            connection,
            protocol,
            contactless,
            atr: atr.to_vec(),
        })
    }

    /// The answer to reset, 0 to 33 bytes.
    pub fn atr(&self) -> &[u8] {
        &self.atr
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.atr.len() <= ATR_MAX_BYTES
    }
}

/// The price that a PIN pad shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownAmount {
    /// Minor units of the currency.
    pub minor: u64,
    /// ISO 4217 letters.
    pub currency: [u8; 3],
    /// Decimal digits of the minor unit (ISO 4217).
    pub minor_digits: u8,
}

/// An ISO 9564-1 PIN block format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockFormat {
    /// Format 0: binds the account, 64-bit ciphers.
    Format0,
    /// Format 3: as 0 with random fill.
    Format3,
    /// Format 4: AES.
    Format4,
}

/// In which form a PIN is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinFormat {
    /// Digits, for a PIN that the card checks.
    Digits,
    /// A block that the daemon cannot read.
    Block {
        /// Its format.
        format: BlockFormat,
        /// Names the key inside the pad.
        key_id: Text<NAME_MAX_BYTES>,
        /// What the block binds.
        account: Account,
    },
}

/// What the buyer is asked at a PIN pad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRequest {
    /// Fewest digits, 4 or more.
    pub digits_min: u8,
    /// Most digits, 12 or fewer.
    pub digits_max: u8,
    /// What to show first, where there is an amount.
    pub amount: Option<ShownAmount>,
    /// Tries that the card has left, where that is known.
    pub tries_left: Option<u8>,
    /// In which form the PIN is wanted.
    pub format: PinFormat,
}

impl PinRequest {
    pub(crate) fn is_valid(&self) -> bool {
        let (min, max) = (usize::from(self.digits_min), usize::from(self.digits_max));
        (PIN_MIN_DIGITS..=max).contains(&min) && max <= PIN_MAX_DIGITS
    }
}

/// What came from a PIN pad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinEntry {
    /// The digits.
    Digits(PinDigits),
    /// A block that the daemon cannot read.
    Block(PinBlock),
}

impl PinEntry {
    fn fits(&self, request: &PinRequest) -> bool {
        match (self, &request.format) {
            (Self::Digits(digits), PinFormat::Digits) => {
                let allowed = usize::from(request.digits_min)..=usize::from(request.digits_max);
                allowed.contains(&digits.as_bytes().len())
            }
            (Self::Block(_), PinFormat::Block { .. }) => true,
            _ => false,
        }
    }
}
