//! What the methods take. A key that is not named here is refused, so that a misspelt option is not ignored.

use serde::{Deserialize, Serialize};
use zlink::introspect::Type;

use super::Amount;

/// Arguments of `BeginSale`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct BeginSaleArguments {
    /// The caller's reference: one for each sale attempt, used again to repeat it.
    pub reference: String,
    /// The price.
    pub amount: Amount,
    /// The reader to use; any free one if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// True when the PIN will come by `ProvidePin`. Off if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_through_api: Option<bool>,
}

/// Arguments of methods that name a sale and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct ReferenceArguments {
    /// The sale.
    pub reference: String,
}

/// Arguments of `Attach`.
pub type AttachArguments = ReferenceArguments;

/// Arguments of `Watch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct WatchArguments {
    /// Only this sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Begin with the events after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Arguments of `Events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct EventsArguments {
    /// Begin with the events after this number; 0 is the beginning.
    pub after: u64,
    /// At most so many; `page_max` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Only this sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Arguments of `Journal`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct JournalArguments {
    /// Begin after this number; the beginning if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many; `page_max` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Only this sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Arguments of `ProvidePin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct ProvidePinArguments {
    /// The sale.
    pub reference: String,
    /// The index of the file descriptor, among those that come with this call, that holds the PIN's digits.
    pub pin: u64,
    /// The explicit yes to using the card's last try. No if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_try: Option<bool>,
}

/// Arguments of `Conclude`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct ConcludeArguments {
    /// The sale.
    pub reference: String,
    /// `goods_given` or `abandoned`.
    pub conclusion: String,
}

/// Arguments of `ReadPurse`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct ReadPurseArguments {
    /// The reader; the only one that holds a card if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
}

/// Arguments of methods that name a driver and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct DriverArguments {
    /// The driver, by its name in the configuration.
    pub driver: String,
}

/// Arguments of `RecordDriver`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct RecordDriverArguments {
    /// The driver, by its name in the configuration.
    pub driver: String,
    /// The index of the file descriptor, among those that come with this call, that is written to.
    pub file: u64,
}
