//! The settlement of the demo: S30 to S34 between two real programs.

use std::thread;
use std::time::{Duration, Instant};

use purser_api::model::{Batch, BatchItem, BatchItemsArguments, BatchesArguments, SettleArguments};
use purser_lab::stack::{CURRENCY, PATIENCE, ProviderHost};
use serde::Serialize;

use super::DemoError;
use super::story::Story;

/// How often a batch is looked at: nobody announces its progress.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What the settlement came to, at both parties.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Settled {
    /// The batch as the shop tells it.
    pub(super) batch: Batch,
    /// Its items with the provider's verdicts.
    pub(super) items: Vec<BatchItem>,
    /// What the provider's books say that it owes by permits.
    pub(super) provider_permits_minor: u64,
    /// What it says that it has issued.
    pub(super) provider_issued_minor: u64,
    /// What it says that cards hold.
    pub(super) provider_outstanding_minor: u64,
    /// Whether the provider's books balance, and its audit finds nothing.
    pub(super) is_provider_sound: bool,
}

impl Story<'_, '_> {
    /// Exchanges what was sold for a permit.
    pub(super) fn settle(&mut self, provider: &ProviderHost) -> Result<Settled, DemoError> {
        self.show
            .heading("Settlement: the shop exchanges its claims for the provider's permit.")?;
        let sealed = self
            .till
            .call(async |purser| purser.settle(&SettleArguments::default()).await)?;
        let Some(sealed) = sealed.batches.into_iter().next() else {
            return Err(DemoError::NothingSettled);
        };
        self.show.step(
            "S30",
            &format!(
                "{} claims over {} {CURRENCY} are sealed as one batch, and the provider is asked to call back",
                sealed.count, sealed.claimed.minor
            ),
        )?;
        let batch = self.wait_for_end(&sealed.id)?;
        self.show.step(
            "S31-S33",
            "the provider hangs up, calls back down the link that the shop keeps, and the shop's device key answers its \
             challenge over TLS 1.3; the claims go up in numbered pages",
        )?;
        if batch.state != "exchanged" {
            return Err(DemoError::NotSettled(Box::new(batch)));
        }
        let total = batch.total.as_ref().map_or(0, |total| total.minor);
        self.show.step(
            "S34",
            &format!(
                "the provider has verified each TAC; its permit over {total} {CURRENCY} enters and the claims leave in one \
                 entry [rule 5, B2]"
            ),
        )?;
        let asked = BatchItemsArguments {
            id: batch.id.clone(),
            from: None,
            limit: None,
        };
        let items = self.till.call(async |purser| purser.batch_items(&asked).await)?;
        let books = provider.run(&["liability"])?;
        let audit = provider.run(&["audit"])?;
        let minor = |key: &str| books.first().and_then(|books| books[key].as_u64()).unwrap_or(0);
        let is_true = |key: &str| books.first().is_some_and(|books| books[key] == true);
        Ok(Settled {
            batch,
            items: items.items,
            provider_permits_minor: minor("permits"),
            provider_issued_minor: minor("issued"),
            provider_outstanding_minor: minor("outstanding"),
            is_provider_sound: is_true("is_balanced")
                && audit.first().is_some_and(|audit| audit["findings"] == 0),
        })
    }

    fn wait_for_end(&mut self, id: &str) -> Result<Batch, DemoError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let asked = BatchesArguments::default();
            let found = self.till.call(async |purser| purser.batches(&asked).await)?;
            let batch = found.batches.into_iter().find(|batch| batch.id == id);
            let batch = batch.ok_or(DemoError::NothingSettled)?;
            if ["exchanged", "voided"].contains(&batch.state.as_str()) {
                return Ok(batch);
            }
            if Instant::now() > end {
                return Err(DemoError::NotSettled(Box::new(batch)));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}
