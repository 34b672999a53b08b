//! What the PSAM's EEPROM holds and power cuts do not change.

use serde::{Deserialize, Serialize};

use crate::card::TerminalSn;

/// The PSAM's persistent state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PsamState {
    /// Counts changes; tells a store when to write.
    pub revision: u64,
    /// The last terminal SN that was given out; none is ever given out again.
    pub terminal_sn: TerminalSn,
    /// Wrong MAC2 that may still follow; 0 is locked.
    pub mac_tries_left: u8,
}

impl PsamState {
    /// The next terminal SN, which is used up by this call; none at the end of the counter.
    pub(super) fn take_terminal_sn(&mut self) -> Option<TerminalSn> {
        let next = TerminalSn(self.terminal_sn.0.checked_add(1)?);
        self.terminal_sn = next;
        self.revision = self.revision.wrapping_add(1);
        Some(next)
    }

    pub(super) fn set_mac_tries(&mut self, tries: u8) {
        if self.mac_tries_left != tries {
            self.mac_tries_left = tries;
            self.revision = self.revision.wrapping_add(1);
        }
    }
}
