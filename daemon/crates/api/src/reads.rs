//! Reads of the journal: on threads of their own, a few at a time, with a bounded line before them.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::facts::{Facts, FactsUnavailable};
use crate::fault;
use crate::model::Fault;

/// How many reads run at a time: the disk gains nothing from more, and sales need it too, as they need the processors of a small
/// machine.
const READS_MAX: usize = 2;

/// How many reads may wait or run; further ones are answered with `Busy`.
const READS_WAITING_MAX: usize = 64;

/// Runs blocking reads of the facts.
#[derive(Clone)]
pub(crate) struct Reads {
    facts: Arc<dyn Facts>,
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Reads {
    pub(crate) fn new(facts: Arc<dyn Facts>) -> Self {
        Self {
            facts,
            places: Arc::new(Semaphore::new(READS_WAITING_MAX)),
            running: Arc::new(Semaphore::new(READS_MAX)),
        }
    }

    /// The facts, for what does not block.
    pub(crate) fn facts(&self) -> &dyn Facts {
        self.facts.as_ref()
    }

    /// Runs one read. Cancel safe: a dropped read runs to its end and its answer is thrown away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Facts) -> Result<T, FactsUnavailable> + Send + 'static,
    ) -> Result<T, Fault> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| fault::busy())?;
        let turn = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let facts = Arc::clone(&self.facts);
        let done = tokio::task::spawn_blocking(move || {
            let answer = read(facts.as_ref());
            drop((turn, place));
            answer
        });
        match done.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(unavailable)) => Err(fault::of_facts(unavailable)),
            Err(_) => Err(fault::of_facts(FactsUnavailable::Unreadable)),
        }
    }
}
