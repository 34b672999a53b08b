//! The file `parameters.json` in the folder `provider`: the document with its signature, and when it was heard.

use std::path::Path;
use std::sync::Arc;

use purser_engine::HeardParameters;
use serde::{Deserialize, Serialize};

use super::super::files::{self, FilesError, Folder};
use super::super::identity::Pinned;
use super::{ANSWER_BYTES_MAX, NotBelieved, Signed, believed};

/// The layout of the file.
const VERSION: u8 = 1;
/// Parameters that are durable.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// What comes into force.
    pub(crate) heard: HeardParameters,
    /// When the file says that they were heard.
    pub(super) kept_at_unix_seconds: i64,
}

/// Why a kept file is as good as none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    File(#[from] FilesError),
    #[error("the kept parameters are not what purserd writes")]
    Layout,
    #[error("others than purserd may write the kept parameters")]
    OpenToOthers,
    #[error("the kept parameters are not believed")]
    NotBelieved(#[from] NotBelieved),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u8,
    heard_at_unix_seconds: i64,
    #[serde(with = "hex::serde")]
    parameters: Vec<u8>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

impl Known {
    /// True while the file's time is as good as this one: what an hour's request tells again does not wear out the disk. After a
    /// restart they look older than they are, by a quarter of the time at which Purser warns at most.
    pub(super) fn is_kept_for(&self, heard_at_unix_seconds: i64) -> bool {
        let passed = heard_at_unix_seconds.saturating_sub(self.kept_at_unix_seconds);
        (0..i64::from(self.heard.parameters.warn_after_seconds / 4)).contains(&passed)
    }
}

/// Puts them in place of those that are kept. Durable when this returns.
pub(super) fn write(state_dir: &Path, signed: &Signed, heard_at_unix_seconds: i64) -> Result<(), FilesError> {
    let file = File {
        version: VERSION,
        heard_at_unix_seconds,
        parameters: signed.document.clone(),
        signature: signed.signature.clone(),
    };
    let bytes = serde_json::to_vec(&file).expect("texts and numbers are written as JSON");
    Folder::open(state_dir)?.put(files::PARAMETERS, &bytes)
}

/// What is kept, believed anew; none where nothing was ever heard. Blocks.
///
/// # Errors
/// [`Unusable`]: go on as without any, and tell it. What is heard next takes its place.
pub(crate) fn read(state_dir: &Path, pinned: &Pinned) -> Result<Option<Known>, Unusable> {
    let bytes = match files::kept(state_dir, files::PARAMETERS, ANSWER_BYTES_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        // Those words are about a key.
        Err(FilesError::Damaged { .. }) => return Err(Unusable::Layout),
        Err(FilesError::OpenToOthers { .. }) => return Err(Unusable::OpenToOthers),
        Err(error) => return Err(error.into()),
    };
    let file: File = serde_json::from_slice(&bytes).map_err(|_| Unusable::Layout)?;
    if file.version != VERSION {
        return Err(Unusable::Layout);
    }
    let signed = Signed {
        document: file.parameters,
        signature: file.signature,
    };
    let heard = HeardParameters {
        parameters: Arc::new(believed(pinned, &signed)?),
        heard_at_unix_seconds: file.heard_at_unix_seconds,
    };
    Ok(Some(Known {
        heard,
        kept_at_unix_seconds: file.heard_at_unix_seconds,
    }))
}
