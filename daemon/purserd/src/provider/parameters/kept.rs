//! The file `parameters.json` in the folder `provider`: the document with its signature, when it was heard, and the
//! acknowledgements of hot lists that the provider may not have heard yet.

use std::path::Path;
use std::sync::Arc;

use purser_engine::{HeardParameters, HotListTaken};
use serde::{Deserialize, Serialize};

use super::super::files::{self, FilesError, Folder};
use super::super::identity::Pinned;
use super::{ANSWER_BYTES_MAX, NotBelieved, Signed, believed};

/// The layout of the file.
const VERSION: u8 = 1;
/// How many acknowledgements wait at most: lists that changed while the provider took no acknowledgement.
const ACKNOWLEDGEMENTS_MAX: usize = 32;
/// The longest file.
const FILE_BYTES_MAX: usize = ANSWER_BYTES_MAX + 128 * ACKNOWLEDGEMENTS_MAX;

/// Parameters that are durable.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// What comes into force.
    pub(crate) heard: HeardParameters,
    /// The same as the provider signed it.
    pub(super) signed: Arc<Signed>,
    /// When the file says that they were heard.
    pub(super) kept_at_unix_seconds: i64,
    /// The hot lists that the provider has to be told of, in their order; the one in force also when it was told.
    pub(super) acknowledgements: Vec<HotListTaken>,
}

/// The same in the file.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledgement {
    hot_list_version: u64,
    from_terminal_sn: u32,
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
    #[serde(default)]
    acknowledgements: Vec<Acknowledgement>,
}

impl Known {
    /// True while the file's time is as good as this one: what an hour's request tells again does not wear out the disk. After a
    /// restart they look older than they are, by a quarter of the time at which Purser warns at most.
    pub(super) fn is_kept_for(&self, heard_at_unix_seconds: i64) -> bool {
        let passed = heard_at_unix_seconds.saturating_sub(self.kept_at_unix_seconds);
        (0..i64::from(self.heard.parameters.warn_after_seconds / 4)).contains(&passed)
    }
}

impl Known {
    /// Takes in that a hot list is in force: true where that is new and has to be kept. The first number of a version counts, over a
    /// restart too.
    pub(crate) fn acknowledge(&mut self, taken: HotListTaken) -> bool {
        if self.acknowledgements.iter().any(|it| it.version == taken.version) {
            return false;
        }
        if self.acknowledgements.len() == ACKNOWLEDGEMENTS_MAX {
            // The provider refuses no sale by it that a newer list permits: the claim says by which one it was.
            self.acknowledgements.remove(0);
        }
        self.acknowledgements.push(taken);
        true
    }

    /// What the provider is told of first.
    pub(crate) fn first_acknowledgement(&self) -> Option<HotListTaken> {
        self.acknowledgements.first().copied()
    }

    /// Forgets that one, which was answered. False where it is the last one, which stays.
    pub(crate) fn forget_first_acknowledgement(&mut self) -> bool {
        let has_more = self.acknowledgements.len() > 1;
        if has_more {
            self.acknowledgements.remove(0);
        }
        has_more
    }

    /// Puts this in place of what is kept. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`FilesError`]: what was kept before is there; try again later.
    pub(crate) fn keep(&mut self, state_dir: &Path) -> Result<(), FilesError> {
        let in_file = |it: &HotListTaken| Acknowledgement {
            hot_list_version: it.version,
            from_terminal_sn: it.from_terminal_sn,
        };
        let file = File {
            version: VERSION,
            heard_at_unix_seconds: self.heard.heard_at_unix_seconds,
            parameters: self.signed.document.clone(),
            signature: self.signed.signature.clone(),
            acknowledgements: self.acknowledgements.iter().map(in_file).collect(),
        };
        let bytes = serde_json::to_vec(&file).expect("texts and numbers are written as JSON");
        Folder::open(state_dir)?.put(files::PARAMETERS, &bytes)?;
        self.kept_at_unix_seconds = self.heard.heard_at_unix_seconds;
        Ok(())
    }
}

/// What is kept, believed anew; none where nothing was ever heard. Blocks.
///
/// # Errors
/// [`Unusable`]: go on as without any, and tell it. What is heard next takes its place.
pub(crate) fn read(state_dir: &Path, pinned: &Pinned) -> Result<Option<Known>, Unusable> {
    let bytes = match files::kept(state_dir, files::PARAMETERS, FILE_BYTES_MAX) {
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
    let taken = |it: Acknowledgement| HotListTaken {
        version: it.hot_list_version,
        from_terminal_sn: it.from_terminal_sn,
    };
    Ok(Some(Known {
        heard,
        signed: Arc::new(signed),
        kept_at_unix_seconds: file.heard_at_unix_seconds,
        acknowledgements: file.acknowledgements.into_iter().map(taken).collect(),
    }))
}
