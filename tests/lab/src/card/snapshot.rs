//! A card as JSON, for a store and for people.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::elsewhere::OtherShop;
use super::faults::{Fault, ScriptedFault};
use super::personalisation::Personalisation;
use super::state::{PurseKind, State};
use super::values::Minor;
use super::{Card, CardReply};
use crate::chip::Chip;

/// The version of the layout below. A store of another version is refused, never guessed at.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot<P, S> {
    format: u32,
    personalisation: P,
    state: S,
}

/// Why a text is not a card.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not JSON, or a field is missing, unknown or out of range.
    #[error("this is not a card file of the lab")]
    Malformed(#[from] serde_json::Error),
    /// Written by another version of the lab.
    #[error("the card file has format {found}, this program knows {FORMAT}; make the card again")]
    UnknownFormat {
        /// The format that the file names.
        found: u32,
    },
}

impl SnapshotError {
    /// Whether the same text can be read later: never.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::UnknownFormat { .. } => false,
        }
    }
}

/// What a fuzzer calls: a text is refused, or is a card that is stored as it was read and can be used.
pub fn fuzz_snapshot(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(mut card) = Card::from_json(text) else {
        return;
    };
    let again = Card::from_json(&card.to_json()).expect("a card that was read can be written and read again");
    assert_eq!(
        (again.state(), again.personalisation()),
        (card.state(), card.personalisation())
    );
    let before = card.money();
    if card
        .pay_elsewhere(PurseKind::Ep, Minor(1), &OtherShop::default())
        .is_ok()
    {
        assert_eq!(card.money(), before - 1);
    }
}

/// A card file's text.
pub(crate) fn write(personalisation: &impl Serialize, state: &impl Serialize) -> String {
    let snapshot = Snapshot {
        format: FORMAT,
        personalisation,
        state,
    };
    serde_json::to_string_pretty(&snapshot).expect("a card has no map keys and no numbers that JSON refuses")
}

/// What a card file's text says.
pub(crate) fn read<P: DeserializeOwned, S: DeserializeOwned>(text: &str) -> Result<(P, S), SnapshotError> {
    #[derive(Deserialize)]
    struct FormatOnly {
        format: u32,
    }
    let FormatOnly { format } = serde_json::from_str(text)?;
    if format != FORMAT {
        return Err(SnapshotError::UnknownFormat { found: format });
    }
    let snapshot: Snapshot<P, S> = serde_json::from_str(text)?;
    Ok((snapshot.personalisation, snapshot.state))
}

impl Card {
    /// The card as JSON text: personalisation (with its keys and PIN: lab values) and EEPROM. Session and faults are
    /// not in it, as a card loses them with its power.
    pub fn to_json(&self) -> String {
        write(&*self.personalisation, &self.state)
    }

    /// The card that [`Card::to_json`] wrote, without power.
    ///
    /// # Errors
    /// [`SnapshotError`]: the text is from elsewhere or damaged; make the card again.
    pub fn from_json(text: &str) -> Result<Self, SnapshotError> {
        let (personalisation, state) = read::<Personalisation, State>(text)?;
        Ok(Self::restore(Arc::new(personalisation), state))
    }
}

impl Chip for Card {
    type Fault = Fault;

    fn to_json(&self) -> String {
        Self::to_json(self)
    }

    fn from_json(text: &str) -> Result<Self, SnapshotError> {
        Self::from_json(text)
    }

    fn revision(&self) -> u64 {
        Self::revision(self)
    }

    fn atr(&self) -> &'static [u8] {
        self.personalisation.interface.atr()
    }

    fn is_powered(&self) -> bool {
        Self::is_powered(self)
    }

    fn power_on(&mut self, seed: u64) {
        self.stir(seed);
        Self::power_on(self);
    }

    fn reset(&mut self) {
        Self::reset(self);
    }

    fn power_off(&mut self) {
        Self::power_off(self);
    }

    fn process(&mut self, apdu: &[u8]) -> CardReply {
        Self::process(self, apdu)
    }

    fn script(&mut self, fault: ScriptedFault) {
        Self::script(self, fault);
    }

    fn clear_script(&mut self) {
        Self::clear_script(self);
    }
}
