//! The provider, as this terminal knows it.

use serde::{Deserialize, Serialize};
use zlink::introspect::Type;

/// The answer to `Provider`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ProviderReply {
    /// How the link does: `none`, `connecting`, `up`, `down` or `listening`.
    pub link: String,
    /// Why there is none, or why it is down.
    pub cause: Option<String>,
    /// The provider's name, where this terminal is enrolled.
    pub provider: Option<String>,
    /// The name under which it is enrolled.
    pub terminal: Option<String>,
    /// What it may do: `merchant` or `provider`.
    pub role: Option<String>,
    /// The merchant's name at the provider.
    pub merchant: Option<String>,
    /// How the provider calls: `standing` or `answer`.
    pub mode: Option<String>,
    /// When the certificate ends. Units: seconds since 1970-01-01 00:00:00 UTC.
    pub certificate_expires_unix_seconds: Option<i64>,
    /// The version of the provider's parameters in force; none before the first ones, and where none are taken.
    pub parameters_version: Option<u64>,
    /// How old they are: `fresh`, `old` or `stale`.
    pub parameters_age: Option<String>,
    /// When the provider last said that they are the newest. Units: seconds since 1970-01-01 00:00:00 UTC.
    pub parameters_heard_unix_seconds: Option<i64>,
    /// Why it could not be asked, or was not believed, the last time; none where that went well.
    pub parameters_failure: Option<String>,
    /// The version of the hot list in force.
    pub hot_list_version: Option<u64>,
    /// How many cards are on it.
    pub hot_list_cards: Option<u64>,
    /// Whether the provider knows that it is in force here.
    pub hot_list_acknowledged: Option<bool>,
    /// This terminal's generation: 0 before the first restore or clone (money rule T1).
    pub generation: u32,
}
