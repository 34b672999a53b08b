//! What the card's EEPROM holds and power cuts do not change.

use serde::{Deserialize, Serialize};

use super::status::StatusWord;
use super::values::{CardDate, CardTime, Mac, Minor, PsamTerminalNumber};

/// One of the two purses of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurseKind {
    /// Electronic deposit ("passbook"), P2 = 01. A purchase always needs the PIN.
    Ed,
    /// Electronic purse ("wallet"), P2 = 02.
    Ep,
}

impl PurseKind {
    /// The purse that a P2 names.
    pub(crate) fn from_p2(p2: u8) -> Result<Self, StatusWord> {
        match p2 {
            0x01 => Ok(Self::Ed),
            0x02 => Ok(Self::Ep),
            _ => Err(StatusWord::WRONG_P1P2),
        }
    }

    /// The type byte of a load: 01 or 02.
    pub fn load_type(self) -> u8 {
        match self {
            Self::Ed => 0x01,
            Self::Ep => 0x02,
        }
    }

    /// The type byte of a purchase: 05 or 06.
    pub fn purchase_type(self) -> u8 {
        match self {
            Self::Ed => 0x05,
            Self::Ep => 0x06,
        }
    }
}

/// Whether the application can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Yes.
    #[default]
    Usable,
    /// Blocked until the issuer unblocks it: SELECT answers 6283, purse commands 6A81.
    Blocked,
    /// Blocked for good: SELECT and purse commands answer 9303.
    Dead,
}

/// What the last purchase left behind for GET TRANSACTION PROVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurseProof {
    /// The card's proof to the shop.
    pub mac2: Mac,
    /// The card's proof to the issuer.
    pub tac: Mac,
}

/// One purse: its money, its counters, and the proof of what last changed each counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurseState {
    /// The money.
    pub balance: Minor,
    /// Counts loads; ends at FFFF.
    pub online_sn: u16,
    /// Counts purchases; ends at FFFF.
    pub offline_sn: u16,
    /// TAC of the load that made `online_sn`.
    pub last_load: Option<Mac>,
    /// Proof of the purchase that made `offline_sn`.
    pub last_purchase: Option<PurseProof>,
}

impl PurseState {
    pub(crate) fn opening(balance: Minor, sn: u16) -> Self {
        Self {
            balance,
            online_sn: sn,
            offline_sn: sn,
            last_load: None,
            last_purchase: None,
        }
    }
}

/// One record of file 0018, byte-exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogRecord(#[serde(with = "hex::serde")] pub [u8; LogRecord::BYTES]);

impl LogRecord {
    /// The length of a record.
    pub const BYTES: usize = 23;

    /// `SN ‖ overdraft limit (0) ‖ amount ‖ type ‖ terminal ‖ date ‖ time`.
    pub(crate) fn new(
        sn: u16,
        amount: Minor,
        kind: u8,
        terminal: PsamTerminalNumber,
        date: CardDate,
        time: CardTime,
    ) -> Self {
        let mut record = [0; Self::BYTES];
        record[..2].copy_from_slice(&sn.to_be_bytes());
        record[5..9].copy_from_slice(&amount.to_bytes());
        record[9] = kind;
        record[10..16].copy_from_slice(&terminal.0);
        record[16..20].copy_from_slice(&date.0);
        record[20..].copy_from_slice(&time.0);
        Self(record)
    }
}

/// File 0018: the last ten operations, newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Log([Option<LogRecord>; Log::RECORDS]);

impl Log {
    /// The least number of records that the published layout asks for.
    pub const RECORDS: usize = 10;

    pub(crate) fn push(&mut self, record: LogRecord) {
        self.0.rotate_right(1);
        self.0[0] = Some(record);
    }

    /// The `nth` newest record, counted from 1.
    pub fn nth_newest(&self, nth: u8) -> Option<LogRecord> {
        let index = usize::from(nth).checked_sub(1)?;
        self.0.get(index).copied().flatten()
    }
}

/// The card's persistent state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Counts changes; tells a store when to write.
    pub revision: u64,
    /// Whether the application can be used.
    pub life: Life,
    /// Wrong PINs that may still follow; 0 is blocked.
    pub pin_tries_left: u8,
    /// The passbook.
    pub ed: PurseState,
    /// The wallet.
    pub ep: PurseState,
    /// File 0018.
    pub log: Log,
}

impl State {
    pub(crate) fn purse(&self, kind: PurseKind) -> &PurseState {
        match kind {
            PurseKind::Ed => &self.ed,
            PurseKind::Ep => &self.ep,
        }
    }

    /// The purse, to be changed: the revision moves with it.
    pub(crate) fn purse_mut(&mut self, kind: PurseKind) -> &mut PurseState {
        self.revision = self.revision.wrapping_add(1);
        match kind {
            PurseKind::Ed => &mut self.ed,
            PurseKind::Ep => &mut self.ep,
        }
    }

    pub(crate) fn set_pin_tries(&mut self, tries: u8) {
        if self.pin_tries_left != tries {
            self.pin_tries_left = tries;
            self.revision = self.revision.wrapping_add(1);
        }
    }

    pub(crate) fn set_life(&mut self, life: Life) {
        if self.life != life {
            self.life = life;
            self.revision = self.revision.wrapping_add(1);
        }
    }
}
