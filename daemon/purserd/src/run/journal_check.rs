//! The full check of the journal, once after each start, while sales go on.
//!
//! A start reads what the next sale needs and no more. Damage anywhere else must not stay unheard until somebody asks for that
//! very sale: it is told in the log and in the status. A damaged entry is its own sale's misfortune, and the others go on
//! (design, money rule 7). So is damage to the provider's verdicts nobody's but theirs. Damage to the rows and pages by which a paid sale is found again is everybody's: a repeat could be
//! taken for a new sale and debited twice, and evidence could find no page to be written to. Then no new sale begins.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::Builder;

use purser_journal::{FullCheck, VerifyError, verify};

use crate::journal_verbs::{NOT_COMPARED, is_not_compared};
use crate::verbs::chain;

/// What the check found; nothing while it is under way, and where the journal is whole. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct JournalCheck(Arc<OnceLock<Damage>>);

#[derive(Debug)]
struct Damage {
    cause: String,
    stops_sales: bool,
}

impl JournalCheck {
    /// Begins a check on a thread of its own, which nobody waits for.
    pub(super) fn begin(state_dir: PathBuf, full_check: FullCheck) -> Self {
        let check = Self::default();
        let found = check.clone();
        let begun = Builder::new().name("journal-check".to_owned()).spawn(move || {
            let checked = verify(&state_dir, None, |_, _| {});
            match checked {
                Ok(report) => {
                    tracing::debug!(entries = report.head.number, "the journal is whole");
                    full_check.has_ended_well();
                }
                Err(error) => {
                    found.tell(&error);
                    if stops_sales(&error) == Some(false) {
                        if is_not_compared(&error) {
                            tracing::warn!("{NOT_COMPARED}");
                        }
                        // The trees in which a reference is looked for were.
                        full_check.has_ended_well();
                    }
                }
            }
        });
        if let Err(error) = begun {
            tracing::warn!(%error, "the journal is not checked; run purserd verify-journal");
        }
        check
    }

    fn tell(&self, error: &VerifyError) {
        let cause = chain(error);
        let Some(stops_sales) = stops_sales(error) else {
            tracing::warn!(%cause, "the journal could not be checked; run purserd verify-journal");
            return;
        };
        tracing::error!(%cause, stops_sales, "the journal is damaged; keep a copy of the state folder, check the disk, and run purserd verify-journal");
        // Told once by the one check.
        let _ = self.0.set(Damage { cause, stops_sales });
    }

    /// What is damaged, in words.
    pub(super) fn cause(&self) -> Option<&str> {
        self.0.get().map(|damage| damage.cause.as_str())
    }

    /// True when no new sale may begin.
    pub(super) fn stops_sales(&self) -> bool {
        self.0.get().is_some_and(|damage| damage.stops_sales)
    }
}

/// Whether damage stops new sales; none where the journal could not be looked at, which is no damage.
fn stops_sales(error: &VerifyError) -> Option<bool> {
    match error {
        VerifyError::Found(finding) => Some(finding.hits_all()),
        VerifyError::Read(error) => error.is_damage().then_some(true),
        VerifyError::Open(error) => error.is_damage().then_some(true),
    }
}
