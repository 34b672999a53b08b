//! The shape of one configuration file: every key, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use purser_ledger::{Currency, DeviceName};
use purser_purse::pboc::{Aid, FactorOrder, IssuerId, PsamAdf, PsamLevels, PsamTerminalNumber, PurseKind};
use serde::Deserialize;

use super::values::{
    AnswerMs, Bus, CallBackMs, Claims, Devices, Hours, Listen, MessageMs, Minor, Named, ParametersSeconds,
    Percent, Reached, SpreadMinutes, StartMs, TimeOfDay, WaitMs, Way,
};

/// `purser.toml` or a drop-in: each key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) terminal: Terminal,
    pub(super) purse: Purse,
    pub(super) issuers: BTreeMap<IssuerId, Currency>,
    pub(super) pin: Pin,
    pub(super) timeouts: Timeouts,
    pub(super) sam: Sam,
    pub(super) journal: Journal,
    pub(super) limits: Limits,
    pub(super) provider: Provider,
    pub(super) bus: BusSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Terminal {
    pub(super) psam_terminal_number: Option<PsamTerminalNumber>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Purse {
    pub(super) aid: Option<Aid>,
    pub(super) purse: Option<PurseKind>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pin {
    pub(super) through_api: Option<bool>,
    pub(super) free_up_to: BTreeMap<Currency, u64>,
    pub(super) pads: BTreeMap<DeviceName, DeviceName>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    pub(super) card_wait_ms: Option<WaitMs>,
    pub(super) pin_wait_ms: Option<WaitMs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sam {
    pub(super) credential: Option<PathBuf>,
    pub(super) psam: Option<Psam>,
}

/// A PSAM card; a drop-in that names one replaces the whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Psam {
    pub(super) reader: DeviceName,
    #[serde(default)]
    pub(super) adf: PsamAdf,
    #[serde(default)]
    pub(super) levels: PsamLevels,
    #[serde(default)]
    pub(super) factor_order: FactorOrder,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Journal {
    pub(super) reserve_mib: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) amount_max: BTreeMap<Currency, Minor>,
    pub(super) count_max: Option<Claims>,
    pub(super) total_max: BTreeMap<Currency, Minor>,
    pub(super) age_max_hours: Option<Hours>,
    pub(super) warn_percent: Option<Percent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Provider {
    pub(super) address: Option<Reached>,
    pub(super) authority: Option<PathBuf>,
    pub(super) name: Option<Named>,
    pub(super) mode: Option<Way>,
    pub(super) listen: Option<Listen>,
    pub(super) answer_ms: Option<MessageMs>,
    pub(super) call_back_ms: Option<CallBackMs>,
    pub(super) settle_at: Option<Vec<TimeOfDay>>,
    pub(super) settle_spread_minutes: Option<SpreadMinutes>,
    pub(super) settle_near_limits: Option<bool>,
    pub(super) parameters_seconds: Option<ParametersSeconds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BusSection {
    pub(super) bus: Option<Bus>,
}

/// `drivers.d/NAME.toml`: one driver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DriverFile {
    pub(super) path: PathBuf,
    #[serde(default)]
    pub(super) devices: Devices,
    pub(super) start_ms: Option<StartMs>,
    pub(super) answer_ms: Option<AnswerMs>,
    #[serde(default)]
    pub(super) settings: toml::Table,
}
