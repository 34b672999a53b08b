//! The configuration: `purser.toml`, its drop-ins, and one file for each driver.
//!
//! ```text
//! /etc/purser/purser.toml            every key once
//! /etc/purser/purser.toml.d/*.toml   drop-ins, in the order of their names; what a later file says wins, key by key
//! /etc/purser/drivers.d/NAME.toml    one driver each; NAME is the driver's name
//! ```
//! Nothing is taken that is not understood: an unknown key or a wrong value is an error at its line. `purser.toml(5)`
//! explains each key.

mod error;
mod file;
mod limits;
mod merge;
mod provider;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use purser_engine::Limits;
use purser_ledger::{Currency, DeviceName};
use purser_purse::pboc::{IssuerId, Profile, PsamProfile, PsamTerminalNumber};
use serde::de::DeserializeOwned;

use error::FILE_BYTES_MAX;
pub(crate) use error::driver_of;
pub use error::{ConfigError, TextError};
use file::{DriverFile, File, Purse};
pub use provider::{Provider, Settle};
pub use values::{AnswerMs, Bus, Devices, DriverMs, StartMs, WaitMs};

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// The PSAM terminal number.
    pub psam_terminal_number: PsamTerminalNumber,
    /// The application and the purse to use on a card.
    pub profile: Profile,
    /// The issuers whose cards are taken, and their purses' currency.
    pub issuers: BTreeMap<IssuerId, Currency>,
    /// Whether a PIN may come through the API.
    pub pin_through_api: bool,
    /// The amount in minor units up to which the card alone decides whether a PIN is needed.
    pub pin_free_up_to: BTreeMap<Currency, u64>,
    /// Which PIN pad belongs to a reader that has none of its own.
    pub pin_pads: BTreeMap<DeviceName, DeviceName>,
    /// How long a sale waits for a card.
    pub card_wait: WaitMs,
    /// How long a sale waits for a PIN.
    pub pin_wait: WaitMs,
    /// Where the purchase keys are.
    pub sam: Sam,
    /// Free space that sales leave alone, in mebibytes; none: the journal's own default.
    pub journal_reserve_mib: Option<u32>,
    /// What may wait for settlement.
    pub limits: Limits,
    /// The provider that settles; none: sales accumulate.
    pub provider: Option<Provider>,
    /// Where the D-Bus interface is offered.
    pub bus: Bus,
    /// The drivers, by name.
    pub drivers: Vec<Driver>,
}

/// The SAM that authorises debits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sam {
    /// Purser itself, with the keys of this file.
    Credential(PathBuf),
    /// A PSAM card in a reader of its own.
    Psam {
        /// The reader; no buyer's card is ever served there.
        reader: DeviceName,
        /// What has to be known of the PSAM.
        profile: PsamProfile,
    },
}

/// One driver instance.
#[derive(Clone, Debug)]
pub struct Driver {
    /// Its name.
    pub name: DeviceName,
    /// The shared object, beside which its manifest lies.
    pub path: PathBuf,
    /// How many of its devices are used.
    pub devices: Devices,
    /// Time to load it and make its instance; none: the supervisor's own default.
    pub start_ms: Option<StartMs>,
    /// The most time for one answer about a card; none: as long as cards may take.
    pub answer_ms: Option<AnswerMs>,
    /// What the driver itself is told, as a TOML document.
    pub settings: String,
}

impl Config {
    /// Reads the configuration whose main file is `path`.
    ///
    /// # Errors
    /// All that is wrong, one error for each file that has any.
    pub fn load(path: &Path) -> Result<Self, Vec<ConfigError>> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut errors = Vec::new();
        let mut keep = |error| errors.push(error);
        let mut merged = read::<File>(path).map_err(&mut keep).unwrap_or_default();
        for drop_in in toml_files(&drop_in_folder(path))
            .map_err(&mut keep)
            .unwrap_or_default()
        {
            let later = read::<File>(&drop_in).map_err(&mut keep).unwrap_or_default();
            merged = merged.overlaid_with(later);
        }
        let mut drivers = Vec::new();
        for file in toml_files(&folder.join("drivers.d"))
            .map_err(&mut keep)
            .unwrap_or_default()
        {
            drivers.extend(driver(&file).map_err(&mut keep).ok());
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        complete(path, merged, drivers).map_err(|error| vec![error])
    }
}

impl Config {
    /// How the journal is opened.
    pub(crate) fn journal_options(&self) -> purser_journal::Options {
        let usual = purser_journal::Options::default();
        purser_journal::Options {
            reserve_bytes: self
                .journal_reserve_mib
                .map_or(usual.reserve_bytes, |mib| u64::from(mib) << 20),
        }
    }
}

/// `purser.toml.d` beside `purser.toml`.
fn drop_in_folder(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".d");
    path.with_file_name(name)
}

/// The folder's `*.toml` files in the order of their names; none where the folder is not there.
fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension() == Some(OsStr::new("toml")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let input = text_of(path)?;
    toml::from_str(&input).map_err(|error| ConfigError::Text(Box::new(TextError::new(path, &input, &error))))
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // Before it is opened: a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ConfigError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    // One byte more than may be, so that a longer file is noticed.
    let length = file
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(ConfigError::TooLong {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|error| ConfigError::NotText {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to() + 1,
    })
}

fn driver(path: &Path) -> Result<Driver, ConfigError> {
    let DriverFile {
        path: object,
        devices,
        start_ms,
        answer_ms,
        settings,
    } = read(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = DeviceName::new(stem).map_err(|source| ConfigError::DriverName {
        path: path.to_owned(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    Ok(Driver {
        name,
        path: folder.join(object),
        devices,
        start_ms,
        answer_ms,
        settings: settings.to_string(),
    })
}

fn profile(purse: Purse) -> Profile {
    let common = Profile::default();
    Profile {
        aid: purse.aid.unwrap_or(common.aid),
        purse: purse.purse.unwrap_or(common.purse),
        ..common
    }
}

fn sam_of(path: &Path, section: file::Sam) -> Result<Sam, ConfigError> {
    match (section.credential, section.psam) {
        (Some(credential), None) => Ok(Sam::Credential(credential)),
        (None, Some(psam)) => Ok(Sam::Psam {
            reader: psam.reader,
            profile: PsamProfile {
                adf: psam.adf,
                levels: psam.levels,
                factor_order: psam.factor_order,
            },
        }),
        (Some(_), Some(_)) => Err(ConfigError::TwoSams {
            path: path.to_owned(),
        }),
        (None, None) => Err(ConfigError::Missing {
            path: path.to_owned(),
            key: "[sam]",
            help: "name the reader of the PSAM card, such as psam = { reader = \"psam\" }, \
                   or the file of a software SAM's keys, such as credential = \"sam.key\"",
        }),
    }
}

fn complete(path: &Path, file: File, drivers: Vec<Driver>) -> Result<Config, ConfigError> {
    let missing = |key, help| ConfigError::Missing {
        path: path.to_owned(),
        key,
        help,
    };
    let known: Vec<String> = drivers.iter().map(|driver| driver.name.to_string()).collect();
    let is_known = |device: &DeviceName| known.iter().any(|name| name == error::driver_of(device));
    let pads = file.pin.pads.iter().flat_map(|(reader, pad)| [reader, pad]);
    let named = pads.map(|device| ("[pin.pads]", device));
    let psam = file.sam.psam.as_ref().map(|psam| ("sam.psam", &psam.reader));
    if let Some((key, device)) = named.chain(psam).find(|(_, device)| !is_known(device)) {
        return Err(ConfigError::UnknownDriver {
            path: path.to_owned(),
            key,
            device: device.clone(),
            known,
        });
    }
    if file.issuers.is_empty() {
        return Err(missing(
            "[issuers]",
            "name the issuers whose cards are taken, such as \"0102030405060708\" = \"JPY\"",
        ));
    }
    let is_taken = |currency: &Currency| file.issuers.values().any(|taken| taken == currency);
    if let Some(currency) = file.pin.free_up_to.keys().find(|currency| !is_taken(currency)) {
        return Err(ConfigError::UnusedCurrency {
            path: path.to_owned(),
            currency: *currency,
        });
    }
    let psam_terminal_number = file.terminal.psam_terminal_number.ok_or_else(|| {
        missing(
            "terminal.psam_terminal_number",
            "write the twelve hexadecimal digits that the provider gave this terminal",
        )
    })?;
    let limits = limits::limits(path, file.limits, &file.issuers)?;
    Ok(Config {
        psam_terminal_number,
        profile: profile(file.purse),
        issuers: file.issuers,
        pin_through_api: file.pin.through_api.unwrap_or(false),
        pin_free_up_to: file.pin.free_up_to,
        pin_pads: file.pin.pads,
        card_wait: file.timeouts.card_wait_ms.unwrap_or(WaitMs::MINUTE),
        pin_wait: file.timeouts.pin_wait_ms.unwrap_or(WaitMs::MINUTE),
        sam: sam_of(path, file.sam)?,
        journal_reserve_mib: file.journal.reserve_mib,
        limits,
        provider: provider::provider(path, file.provider)?,
        bus: file.bus.bus.unwrap_or_default(),
        drivers,
    })
}
