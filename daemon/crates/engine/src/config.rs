//! What the operator decides about sales.

use std::collections::BTreeMap;

use purser_ledger::{Currency, DeviceName};
use purser_purse::pboc::{IssuerId, Profile, PsamTerminalNumber};

use crate::Limits;
use crate::settlement::Enrolment;

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// This terminal's PSAM terminal number.
    pub terminal_number: PsamTerminalNumber,
    /// The application and purse to use on a card.
    pub profile: Profile,
    /// Which issuer's cards are taken, and the currency of their purses (money rule P7).
    pub issuers: BTreeMap<IssuerId, Currency>,
    /// The amount, in minor units, up to which the card alone decides whether a PIN is needed. None: always a PIN (S21).
    pub pin_free_up_to: BTreeMap<Currency, u64>,
    /// Whether a PIN may come through the API (money rule T5).
    pub pin_through_api: bool,
    /// The PIN pad that belongs to a reader which has none of its own.
    pub pin_pads: BTreeMap<DeviceName, DeviceName>,
    /// How long a sale waits for a card, in milliseconds.
    pub card_wait_ms: u64,
    /// How long a sale waits for a PIN after the last sign of the buyer, in milliseconds.
    pub pin_wait_ms: u64,
    /// What may wait for settlement.
    pub limits: Limits,
    /// What the provider made of this terminal; none before it is enrolled: then nothing is settled.
    pub provider: Option<Enrolment>,
    /// When this program was built, in seconds since 1970: the first clock floor, and what the ceiling counts from (money rule
    /// T2).
    pub built_unix_seconds: i64,
    /// The terminal's generation: one higher after each restore or clone (money rule T1). With a software SAM at most
    /// [`GENERATION_MAX_SOFTWARE_SAM`].
    pub generation: u32,
}

/// The highest generation of a terminal with a software SAM, which is the high byte of its terminal serial numbers.
pub const GENERATION_MAX_SOFTWARE_SAM: u32 = 255;

/// How far a generation is shifted up in the serial numbers of a software SAM.
const GENERATION_SHIFT: u32 = 24;

/// The generation that a software SAM's serial number is of, at least: 16 million sales are a generation more.
pub fn generation_of(terminal_sn: u32) -> u32 {
    terminal_sn >> GENERATION_SHIFT
}

/// The last serial number of a software SAM before a generation's first.
pub(crate) fn terminal_sn_before(generation: u32) -> u32 {
    let first = generation.min(GENERATION_MAX_SOFTWARE_SAM) << GENERATION_SHIFT;
    first.saturating_sub(1)
}
