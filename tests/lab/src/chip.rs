//! What a chip card is to its file and to its slot in a reader: purse card and PSAM alike.

use std::fmt;

use crate::card::{CardReply, ScriptedFault, SnapshotError};

/// A virtual chip card: what is stored of it, and what a reader does to it.
pub trait Chip: fmt::Debug + Clone + Send + 'static {
    /// What can go wrong with it on demand.
    type Fault: fmt::Debug + Copy + Send;

    /// The whole card as text, for its file. Session and faults are not in it, as a card loses them with its power.
    fn to_json(&self) -> String;

    /// The card that [`Chip::to_json`] wrote, without power.
    ///
    /// # Errors
    /// [`SnapshotError`]: the text is from elsewhere or damaged; make the card again.
    fn from_json(text: &str) -> Result<Self, SnapshotError>;

    /// Counts changes of what is stored: whoever stores the card writes it when this number has moved, before the
    /// answer leaves.
    fn revision(&self) -> u64;

    /// The answer to reset.
    fn atr(&self) -> &'static [u8];

    /// Whether it has power.
    fn is_powered(&self) -> bool;

    /// It gets power. `seed` makes its challenges, if it has any, differ from those of its last life.
    fn power_on(&mut self, seed: u64);

    /// The reader resets it: the session is forgotten.
    fn reset(&mut self);

    /// It loses its power: the session is forgotten.
    fn power_off(&mut self);

    /// Executes one command, or the fault that waits for it.
    fn process(&mut self, apdu: &[u8]) -> CardReply;

    /// Scripts a fault.
    fn script(&mut self, fault: ScriptedFault<Self::Fault>);

    /// Takes back the faults that have not struck.
    fn clear_script(&mut self);
}
