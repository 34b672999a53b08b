//! Values of the configuration, each checked where it stands so that an error can point at it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use purser_ledger::MINOR_MAX;
use purser_provider_link::ProviderName;
use purser_provider_link::call_back::Mode;
use serde::{Deserialize, Deserializer, de};

use crate::provider::Address;

/// The shortest waiting time: a buyer cannot do anything in less.
const WAIT_MS_MIN: u64 = 1_000;
/// The longest waiting time, one hour: a sale that waits longer was forgotten.
const WAIT_MS_MAX: u64 = 3_600_000;

/// How long to wait for a buyer.
///
/// Units: milliseconds. Range: one second to one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitMs(u64);

impl WaitMs {
    /// One minute.
    pub const MINUTE: Self = Self(60_000);

    /// The milliseconds.
    pub fn ms(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for WaitMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        if (WAIT_MS_MIN..=WAIT_MS_MAX).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(de::Error::custom(format_args!(
                "expected {WAIT_MS_MIN} to {WAIT_MS_MAX} milliseconds"
            )))
        }
    }
}

/// Declares a whole number that is refused outside of its range.
macro_rules! bounded {
    ($($(#[$doc:meta])* $name:ident: $min:expr, $max:expr, $unit:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub(super) struct $name(pub(super) u64);

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let given = u64::deserialize(deserializer)?;
                    if ($min..=$max).contains(&given) {
                        Ok(Self(given))
                    } else {
                        Err(de::Error::custom(format_args!(concat!("expected {} to {} ", $unit), $min, $max)))
                    }
                }
            }
        )*
    };
}

bounded! {
    /// An amount of money. A limit of nothing would be a shop that is closed.
    Minor: 1, MINOR_MAX, "minor units";
    /// A number of claims; a million are years of sales, and some gigabytes of journal.
    Claims: 1, 1_000_000, "claims";
    /// An age; ten years is no limit any more.
    Hours: 1, 87_600, "hours";
    /// A share at which a warning makes sense.
    Percent: 1, 99, "percent";
    /// How long one message to the provider may take: on a slow mobile line a minute.
    MessageMs: 1_000, 60_000, "milliseconds";
    /// Over how long terminals spread the settlements of one time of the day.
    SpreadMinutes: 0, 720, "minutes";
    /// How long the provider has to call back. It tries for 90 seconds itself.
    CallBackMs: 5_000, 600_000, "milliseconds";
    /// How often the provider is asked for its parameters: a day is the time after which most of them warn.
    ParametersSeconds: 2, 86_400, "seconds";
}

/// Declares a value that is written as a text.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident($value:ty): $read:expr, $expected:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug)]
            pub(super) struct $name(pub(super) $value);

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    let read: fn(&str) -> Result<$value, String> = $read;
                    read(&text).map(Self).map_err(|why| {
                        de::Error::custom(if why.is_empty() { $expected.to_owned() } else { why })
                    })
                }
            }
        )*
    };
}

text! {
    /// Where the provider is reached.
    Reached(Address): |it| it.parse::<Address>().map_err(|error| error.to_string()), "";
    /// What the provider is called.
    Named(ProviderName): |it| ProviderName::new(it).map_err(|_| String::new()), "expected 1 to 64 visible ASCII characters";
    /// How the provider calls.
    Way(Mode): |it| crate::provider::mode_of(it).ok_or_else(String::new), "expected `standing` or `answer`";
    /// A time of the day, in minutes after local midnight.
    TimeOfDay(u16): |it| minutes(it).ok_or_else(String::new), "expected a time of the day, such as `03:30`";
    /// Where the provider's calls are taken.
    Listen(SocketAddr): |it| it.parse().map_err(|_| String::new()),
        "expected an IP address and a port, such as `0.0.0.0:7444` or `[::]:7444`";
}

/// `HH:MM`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, below: u16| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|it| it.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|it| is_plain && *it < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// A time that a driver has.
///
/// Units: milliseconds. Range: `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverMs<const MIN: u64, const MAX: u64>(u64);

/// Time for one answer about a card: at most as long as the engine waits for the driver, less what a kill takes.
pub type AnswerMs = DriverMs<100, 15_000>;
/// Time to load a driver and make its instance: readers that load firmware take several seconds.
pub type StartMs = DriverMs<100, 120_000>;

impl<const MIN: u64, const MAX: u64> DriverMs<MIN, MAX> {
    /// The time.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for DriverMs<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(de::Error::custom(format_args!(
                "expected {MIN} to {MAX} milliseconds"
            )))
        }
    }
}

/// Where Purser offers its D-Bus interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bus {
    /// On the system bus.
    #[default]
    System,
    /// Nowhere: the socket alone.
    Off,
    /// On the bus with this address. Source: D-Bus specification, "Server Addresses".
    Address(String),
}

impl<'de> Deserialize<'de> for Bus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "system" => Ok(Self::System),
            "off" => Ok(Self::Off),
            address if address.contains(':') => Ok(Self::Address(text)),
            _ => Err(de::Error::custom(
                "expected `system`, `off` or a bus address such as `unix:path=/run/bus`",
            )),
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Off => f.write_str("off"),
            Self::Address(address) => f.write_str(address),
        }
    }
}

/// How many devices of one driver are used, and so what they are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Devices {
    /// One; it is called as the driver. A second one that arrives is not used.
    #[default]
    One,
    /// Each; they are called `DRIVER/DEVICE`.
    Many,
}
