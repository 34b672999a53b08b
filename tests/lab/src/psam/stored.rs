//! A PSAM as its file and its slot see it.

use std::sync::Arc;

use super::{Psam, PsamFault, PsamPersonalisation, PsamState};
use crate::card::snapshot;
use crate::card::{CardReply, ScriptedFault, SnapshotError};
use crate::chip::Chip;

impl Chip for Psam {
    type Fault = PsamFault;

    fn to_json(&self) -> String {
        snapshot::write(&*self.personalisation, &self.state)
    }

    fn from_json(text: &str) -> Result<Self, SnapshotError> {
        let (personalisation, state) = snapshot::read::<PsamPersonalisation, PsamState>(text)?;
        Ok(Self::restore(Arc::new(personalisation), state))
    }

    fn revision(&self) -> u64 {
        self.state.revision
    }

    fn atr(&self) -> &'static [u8] {
        self.personalisation.interface.atr()
    }

    fn is_powered(&self) -> bool {
        self.powered
    }

    fn power_on(&mut self, _seed: u64) {
        self.powered = true;
        self.reset_session();
    }

    fn reset(&mut self) {
        self.reset_session();
    }

    fn power_off(&mut self) {
        self.powered = false;
        self.reset_session();
    }

    fn process(&mut self, apdu: &[u8]) -> CardReply {
        self.handle(apdu)
    }

    fn script(&mut self, fault: ScriptedFault<PsamFault>) {
        self.script.add(fault);
    }

    fn clear_script(&mut self) {
        self.script.clear();
    }
}

/// What a fuzzer calls: a text is refused, or is a PSAM that is stored as it was read.
pub fn fuzz_stored(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(psam) = Psam::from_json(text) else {
        return;
    };
    let again = Psam::from_json(&psam.to_json()).expect("a PSAM that was read can be written and read again");
    assert_eq!(
        (again.state(), again.personalisation()),
        (psam.state(), psam.personalisation())
    );
}
