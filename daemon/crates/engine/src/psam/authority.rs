//! Which SAM the engine has, and what it asks of it.

use std::sync::Arc;

use purser_ledger::DeviceName;
use purser_purse::pboc::{Attempt, DebitAnswer, Mac2Check, PsamProfile, SoftwareSam};

use super::Psam;

/// What authorises debits.
#[derive(Debug)]
pub enum Sam {
    /// Keys in this process. They may be shared with whoever else needs them.
    Software(Arc<SoftwareSam>),
    /// A PSAM card.
    Psam(PsamSettings),
}

/// Where the PSAM is, and what has to be known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsamSettings {
    /// Its reader. No buyer's card is ever served there.
    pub reader: DeviceName,
    /// The vendor's choices.
    pub profile: PsamProfile,
}

impl From<SoftwareSam> for Sam {
    fn from(sam: SoftwareSam) -> Self {
        Self::Software(Arc::new(sam))
    }
}

impl From<Arc<SoftwareSam>> for Sam {
    fn from(sam: Arc<SoftwareSam>) -> Self {
        Self::Software(sam)
    }
}

impl From<PsamSettings> for Sam {
    fn from(settings: PsamSettings) -> Self {
        Self::Psam(settings)
    }
}

/// The SAM, with its state.
#[derive(Debug)]
pub(crate) enum Authority {
    Software(Arc<SoftwareSam>),
    Psam(Box<Psam>),
}

impl From<Sam> for Authority {
    fn from(sam: Sam) -> Self {
        match sam {
            Sam::Software(sam) => Self::Software(sam),
            Sam::Psam(settings) => Self::Psam(Box::new(Psam::new(settings))),
        }
    }
}

impl Authority {
    /// What a proof of the attempt is judged by. A PSAM tells nobody what MAC2 has to be.
    pub(crate) fn mac2_check(&self, attempt: &Attempt) -> Mac2Check {
        match self {
            Self::Software(sam) => sam.mac2_check(attempt),
            Self::Psam(_) => Mac2Check::NotCheckable,
        }
    }

    /// Whether the answer's MAC2 is the attempt's; none where that cannot be told here.
    pub(crate) fn check(&self, attempt: &Attempt, answer: DebitAnswer) -> Option<bool> {
        match self {
            Self::Software(sam) => sam.check_mac2(attempt, answer.mac2).ok(),
            Self::Psam(_) => None,
        }
    }
}
