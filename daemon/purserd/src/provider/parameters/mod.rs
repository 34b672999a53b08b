//! The provider's parameters at this terminal (money rules T3, C3): fetched, believed by their signature, and kept in the folder
//! `provider` before they are in force.
//!
//! Nobody can make a terminal go back: a version below the one in force is refused, and so is other content under the same one. A
//! kept file that cannot be read, or does not carry the pinned key's signature, is told and is as good as none.

mod kept;
#[cfg(test)]
pub(crate) mod tests;

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use purser_engine::{HeardParameters, HotListTaken, ProviderFailure};
use purser_provider_link::{DecodeError, HOT_LIST_MAX, Parameters};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

pub(crate) use self::kept::{Known, read};
use super::failure::{self, names};
use super::files::FilesError;
use super::identity::Pinned;
use super::key::verifies;
use super::link::Link;
use super::wire::Ask;

/// The longest document: of each card its scheme and serial number, beside what is short.
const DOCUMENT_BYTES_MAX: usize = 11 * HOT_LIST_MAX + 8 * 1024;
/// The longest answer: the document in hex with its signature.
const ANSWER_BYTES_MAX: usize = 2 * DOCUMENT_BYTES_MAX + 4 * 1024;
/// What they have beside the time of any message: the longest has two megabytes, and the line may be slow.
const TIME: Duration = Duration::from_secs(5 * 60);

/// Parameters as the provider sends them. Nothing of it is verified.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Signed {
    #[serde(with = "hex::serde", rename = "parameters")]
    pub(super) document: Vec<u8>,
    #[serde(with = "hex::serde")]
    pub(super) signature: Vec<u8>,
}

/// Why parameters are not the provider's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBelieved {
    #[error("they do not carry the signature of the key that enrolment pinned")]
    Signature,
    #[error("they are none of the contract")]
    Document(#[from] DecodeError),
    #[error("they are another provider's")]
    OtherProvider,
}

/// Why parameters do not come into force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("the provider's parameters are not believed")]
    NotBelieved(#[from] NotBelieved),
    #[error("the provider sends version {sent} of its parameters, and version {known} is in force here")]
    GoesBack { sent: u64, known: u64 },
    #[error("the provider sends other parameters under version {0}, which is in force here")]
    Differs(u64),
    #[error("the provider's parameters cannot be kept")]
    NotKept(#[from] FilesError),
}

impl From<NotTaken> for ProviderFailure {
    fn from(error: NotTaken) -> Self {
        let text = crate::verbs::chain(&error);
        match error {
            NotTaken::NotBelieved(_) => failure::lasting(names::BAD_PARAMETERS, text),
            NotTaken::GoesBack { .. } => failure::lasting(names::PARAMETERS_GO_BACK, text),
            NotTaken::Differs(_) => failure::lasting(names::PARAMETERS_DIFFER, text),
            NotTaken::NotKept(error) if error.is_transient() => {
                failure::transient(names::PARAMETERS_NOT_KEPT, text)
            }
            NotTaken::NotKept(_) => failure::lasting(names::PARAMETERS_NOT_KEPT, text),
        }
    }
}

/// What a document says, once its signature is the pinned provider's.
fn believed(pinned: &Pinned, signed: &Signed) -> Result<Parameters, NotBelieved> {
    if !verifies(&pinned.signing_key, &signed.document, &signed.signature) {
        return Err(NotBelieved::Signature);
    }
    let parameters = Parameters::decode(&signed.document)?;
    if parameters.provider != pinned.provider {
        return Err(NotBelieved::OtherProvider);
    }
    Ok(parameters)
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Renewed {
    /// What is known now.
    pub(crate) known: Known,
    /// Why the file does not say that the same were heard again: after a restart they look older than they are.
    pub(crate) not_kept: Option<FilesError>,
}

/// Takes what the provider sent at this time: durable when this returns, but for when the same were heard again. Blocks.
///
/// # Errors
/// [`NotTaken`]: what was known stays in force; ask again later.
pub(crate) fn renew(
    state_dir: &Path,
    pinned: &Pinned,
    known: Option<&Known>,
    signed: &Signed,
    heard_at_unix_seconds: i64,
) -> Result<Renewed, NotTaken> {
    let sent = believed(pinned, signed)?;
    let order = known.map(|known| (known, sent.version.cmp(&known.heard.parameters.version)));
    match order {
        Some((known, Ordering::Less)) => {
            let (sent, known) = (sent.version, known.heard.parameters.version);
            Err(NotTaken::GoesBack { sent, known })
        }
        Some((known, Ordering::Equal)) if *known.heard.parameters != sent => {
            Err(NotTaken::Differs(sent.version))
        }
        Some((known, Ordering::Equal)) => {
            let mut again = known.clone();
            again.heard.heard_at_unix_seconds = heard_at_unix_seconds;
            let is_kept = known.is_kept_for(heard_at_unix_seconds);
            let kept = if is_kept { Ok(()) } else { again.keep(state_dir) };
            Ok(Renewed {
                known: again,
                not_kept: kept.err(),
            })
        }
        Some((_, Ordering::Greater)) | None => {
            let heard = HeardParameters {
                parameters: Arc::new(sent),
                heard_at_unix_seconds,
            };
            let mut new = Known {
                heard,
                signed: Arc::new(signed.clone()),
                kept_at_unix_seconds: heard_at_unix_seconds,
                acknowledgements: known.map_or_else(Vec::new, |it| it.acknowledgements.clone()),
            };
            new.keep(state_dir)?;
            Ok(Renewed {
                known: new,
                not_kept: None,
            })
        }
    }
}

impl Link {
    /// Asks for the newest parameters, on a connection of its own.
    pub(crate) async fn parameters(&self) -> Result<Signed, ProviderFailure> {
        let time = Duration::from_millis(self.limits.leg_ms) + TIME;
        let ask = Ask::get("/v1/parameters", time).up_to(ANSWER_BYTES_MAX);
        let asked = async { self.line().await?.ask(ask).await }.await;
        asked.map_err(|error| failure::of("asking for the parameters", &error))
    }

    /// Tells the provider that a hot list is in force, on a connection of its own. May be told again and again.
    pub(crate) async fn acknowledge(&self, taken: HotListTaken) -> Result<(), ProviderFailure> {
        let body = json!({ "version": taken.version, "from_terminal_sn": taken.from_terminal_sn });
        let time = Duration::from_millis(self.limits.leg_ms);
        let ask = Ask::post("/v1/hot-list/acknowledgement", body, time);
        let asked = async { self.line().await?.ask::<IgnoredAny>(ask).await }.await;
        let told = asked.map(|_| ());
        told.map_err(|error| failure::of("acknowledging the hot list", &error))
    }
}
