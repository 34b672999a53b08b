//! The provider, as this terminal knows it.

use serde::{Deserialize, Serialize};
use zlink::introspect::Type;

/// The answer to `Provider`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
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
    /// This terminal's generation: 0 before the first restore or clone (money rule T1).
    pub generation: u32,
}
