//! `[provider]`: whole, or not there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use purser_provider_link::ProviderName;
use purser_provider_link::call_back::{Limits, Mode};

use super::values::TimeOfDay;
use super::{ConfigError, file};
use crate::provider::Address;

/// Half an hour spreads a chain's terminals well enough.
const SPREAD_MINUTES: u64 = 30;
/// A stolen card is refused within the hour.
const PARAMETERS_SECONDS: u64 = 3_600;

/// The provider that settles this terminal's sales.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Where it is reached.
    pub address: Address,
    /// The file with its authority's certificate, in DER. Read by the enrolment alone, which pins what it says.
    pub authority: PathBuf,
    /// Its name.
    pub name: ProviderName,
    /// How it calls.
    pub mode: Mode,
    /// Where its calls are taken: in the mode `answer` alone, and there always.
    pub listen: Option<SocketAddr>,
    /// How long one message may take. Units: milliseconds.
    pub answer_ms: u64,
    /// How long it has to call back. Units: milliseconds.
    pub call_back_ms: u64,
    /// When Purser settles by itself.
    pub settle: Settle,
    /// How often it asks for the provider's parameters. Units: seconds.
    pub parameters_seconds: u64,
}

/// When Purser settles by itself (S30).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Times of the day. Units: minutes after local midnight.
    pub at_minutes: Vec<u16>,
    /// Over how long terminals spread themselves behind each of these times.
    pub spread_minutes: u64,
    /// Whether to settle when a limit on what waits is near.
    pub near_limits: bool,
}

fn minutes(times: Vec<TimeOfDay>) -> Vec<u16> {
    times.into_iter().map(|time| time.0).collect()
}

/// True where nothing of the section is set.
fn is_absent(given: &file::Provider) -> bool {
    given.address.is_none()
        && given.authority.is_none()
        && given.name.is_none()
        && given.mode.is_none()
        && given.listen.is_none()
        && given.answer_ms.is_none()
        && given.call_back_ms.is_none()
        && given.settle_at.is_none()
        && given.settle_spread_minutes.is_none()
        && given.settle_near_limits.is_none()
        && given.parameters_seconds.is_none()
}

pub(super) fn provider(path: &Path, given: file::Provider) -> Result<Option<Provider>, ConfigError> {
    if is_absent(&given) {
        return Ok(None);
    }
    let settle = Settle {
        at_minutes: minutes(given.settle_at.unwrap_or_default()),
        spread_minutes: given.settle_spread_minutes.map_or(SPREAD_MINUTES, |it| it.0),
        near_limits: given.settle_near_limits.unwrap_or(true),
    };
    let missing = |key, help| ConfigError::Missing {
        path: path.to_owned(),
        key,
        help,
    };
    let mode = given.mode.map_or(Mode::Standing, |way| way.0);
    let listen = given.listen.map(|listen| listen.0);
    match (mode, listen) {
        (Mode::Answer, None) => {
            let help =
                "name the address and port at which the provider calls, such as listen = \"0.0.0.0:7444\"";
            return Err(missing("provider.listen", help));
        }
        (Mode::Standing, Some(_)) => {
            return Err(ConfigError::UnusedListen {
                path: path.to_owned(),
            });
        }
        (Mode::Answer, Some(_)) | (Mode::Standing, None) => {}
    }
    let address = given.address.ok_or_else(|| {
        missing(
            "provider.address",
            "write where the provider is reached, such as address = \"provider.example:7443\"",
        )
    })?;
    let authority = given.authority.ok_or_else(|| {
        missing(
            "provider.authority",
            "name the file with the authority's certificate that the provider handed out",
        )
    })?;
    let name = given.name.ok_or_else(|| {
        missing(
            "provider.name",
            "write the provider's name as its operator told it",
        )
    })?;
    let usual = Limits::default();
    Ok(Some(Provider {
        address: address.0,
        authority: path.parent().unwrap_or(Path::new(".")).join(authority),
        name: name.0,
        mode,
        listen,
        answer_ms: given.answer_ms.map_or(usual.leg_ms, |ms| ms.0),
        call_back_ms: given.call_back_ms.map_or(usual.ticket_ms, |ms| ms.0),
        settle,
        parameters_seconds: given.parameters_seconds.map_or(PARAMETERS_SECONDS, |it| it.0),
    }))
}
