//! Batches on their way (S30 to S34): counted over the journal's reader, sent over the link, their verdicts kept. The engine
//! hears what came of it.
//!
//! Nothing here decides about money, and nothing holds a whole batch: items are made from the journal page by page, for the
//! count, for the provider, and once more beside its verdicts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use purser_engine::settlement::{CountBatch, FindUnpaid, NotUnpaid, SendBatch, SettleAnswer};
use purser_engine::{CallId, Input, ProviderFailure};
use purser_journal::{KeepError, Keeper, SignedVerdict, VERDICTS_MAX};
use purser_ledger::OperationId;
use purser_provider_link::{CheckError, Judged, Permit, PermitCheck};
use tokio::sync::mpsc;

use super::core::random;
use super::loading::Loader;
use crate::counting::{self, Items};
use crate::provider::{self, Link};
use crate::unpaid;
use crate::verbs::chain;

/// Answers that may wait for the loop: each currency has one call under way at most.
const ANSWERS_MAX: usize = 64;

/// Why a batch is not counted, or has no answer from the provider.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Counting(#[from] counting::Fault),
    #[error(transparent)]
    NotBelieved(#[from] CheckError),
    #[error(transparent)]
    NotKept(#[from] KeepError),
    #[error("there are more verdicts than items")]
    TooManyVerdicts,
    #[error("Purser is stopping")]
    Stopping,
}

impl From<Fault> for ProviderFailure {
    fn from(fault: Fault) -> Self {
        let (name, is_transient) = match &fault {
            Fault::Counting(error) => (error.name(), error.is_transient()),
            Fault::NotBelieved(error) => (error.name(), error.is_transient()),
            Fault::NotKept(error) => ("verdicts_not_kept", error.is_transient()),
            Fault::TooManyVerdicts => ("verdicts_too_many", false),
            Fault::Stopping => ("stopping", true),
        };
        Self {
            name,
            is_transient,
            text: chain(&fault),
        }
    }
}

/// What counts and sends batches.
pub(super) struct Settler {
    state_dir: PathBuf,
    keeper: Keeper,
    /// The link, or why there is none.
    link: Result<Link, ProviderFailure>,
    answers: mpsc::Sender<Input>,
}

impl Settler {
    /// With where its answers for the engine come out.
    pub(super) fn new(
        state_dir: &Path,
        keeper: Keeper,
        link: Result<Link, ProviderFailure>,
    ) -> (Self, mpsc::Receiver<Input>) {
        let (answers, queue) = mpsc::channel(ANSWERS_MAX);
        let settler = Self {
            state_dir: state_dir.to_owned(),
            keeper,
            link,
            answers,
        };
        (settler, queue)
    }

    /// The link of a merchant's terminal, and where answers for the engine go; none where nothing is claimed.
    pub(super) fn merchant_link(&self) -> Option<(Link, mpsc::Sender<Input>)> {
        let link = self.link.as_ref().ok()?;
        link.pinned().merchant()?;
        Some((link.clone(), self.answers.clone()))
    }

    /// What carries loads over the same link.
    pub(super) fn loader(&self) -> Loader {
        Loader::new(self.link.clone(), self.answers.clone())
    }

    /// Counts what can be settled.
    pub(super) fn count(&self, id: CallId, asked: CountBatch) {
        let (state_dir, answers) = (self.state_dir.clone(), self.answers.clone());
        tokio::spawn(async move {
            let counted = blocking(move || Ok(counting::count(&state_dir, asked)?)).await;
            // The loop has ended: nothing was sealed, and whoever asks again has it counted again.
            let _ = answers.send(Input::Counted { id, counted }).await;
        });
    }

    /// Looks for the claims that a batch left unpaid.
    pub(super) fn find_unpaid(&self, id: CallId, asked: FindUnpaid) {
        let (state_dir, answers) = (self.state_dir.clone(), self.answers.clone());
        tokio::spawn(async move {
            let look = move || unpaid::find(&state_dir, asked);
            let looked = tokio::task::spawn_blocking(look).await;
            let found = looked.unwrap_or(Err(NotUnpaid::NotRead));
            // The loop has ended: nothing was presented again.
            let _ = answers.send(Input::Unpaid { id, found }).await;
        });
    }

    /// Sends a sealed batch, and gets its permit or its void.
    pub(super) fn send(&self, id: CallId, act: SendBatch) {
        let (state_dir, keeper) = (self.state_dir.clone(), self.keeper.clone());
        let answers = self.answers.clone();
        let progress = move |sent| {
            // Where the loop is behind, it hears of the next page.
            let _ = answers.try_send(Input::Sent { id, sent });
        };
        self.ask(id, async move |link| {
            send(&link, &state_dir, keeper, act, progress).await
        });
    }

    /// Has a sealed batch voided.
    pub(super) fn void(&self, id: CallId, act: SendBatch) {
        self.ask(id, async move |link| {
            let (void, signature) = link.void(&act.batch).await?;
            Ok(SettleAnswer::Void { void, signature })
        });
    }

    fn ask<A: Future<Output = Result<SettleAnswer, ProviderFailure>> + Send>(
        &self,
        id: CallId,
        ask: impl FnOnce(Link) -> A + Send + 'static,
    ) {
        let (link, answers) = (self.link.clone(), self.answers.clone());
        tokio::spawn(async move {
            let answered = match link {
                Ok(link) => ask(link).await,
                Err(failure) => Err(failure),
            };
            let settled = Input::Settled {
                id,
                answered,
                random: random(),
            };
            // The loop has ended: the batch is sent again after the next start.
            let _ = answers.send(settled).await;
        });
    }
}

async fn send(
    link: &Link,
    state_dir: &Path,
    keeper: Keeper,
    act: SendBatch,
    progress: impl Fn(u32) + Send + Sync,
) -> Result<SettleAnswer, ProviderFailure> {
    let items = Arc::new(Mutex::new(Items::new(state_dir, &act)));
    let judge = Arc::new(Mutex::new(Judge {
        id: OperationId::new(act.batch.id.0),
        items: Items::new(state_dir, &act),
        check: PermitCheck::begin(act.batch.clone()),
        keeper,
    }));
    let pages = |place| {
        // The provider has all in front of the page that it is sent next.
        progress(place);
        let items = Arc::clone(&items);
        blocking(move || Ok(lock(&items).page(place)?))
    };
    let verdicts = |page| {
        let judge = Arc::clone(&judge);
        blocking(move || lock(&judge).take(page))
    };
    let answered = link.settle(&act.batch, pages, verdicts).await?;
    match answered {
        provider::SettleAnswer::Permit { permit, signature } => {
            let judged = lock(&judge).finish(&permit).map_err(Fault::from)?;
            Ok(SettleAnswer::Permit {
                permit,
                signature,
                judged,
            })
        }
        provider::SettleAnswer::Void { void, signature } => Ok(SettleAnswer::Void { void, signature }),
    }
}

/// Counts the provider's verdicts beside the items that they are on, and keeps them (money rule T4).
struct Judge {
    id: OperationId,
    items: Items,
    check: PermitCheck,
    keeper: Keeper,
}

impl Judge {
    /// Takes the next verdicts. Blocks until they are durable.
    fn take(&mut self, page: Vec<provider::SignedVerdict>) -> Result<(), Fault> {
        let mut left = &page[..];
        while !left.is_empty() {
            let items = self.items.page(self.check.place())?;
            let (now, later) = left.split_at(items.len().min(left.len()));
            if now.is_empty() {
                return Err(Fault::TooManyVerdicts);
            }
            for (item, signed) in items.iter().zip(now) {
                self.check.take(item, &signed.verdict)?;
            }
            left = later;
        }
        let signed = page.into_iter().map(|signed| SignedVerdict {
            place: signed.verdict.place,
            bytes: signed.bytes,
            signature: signed.signature,
        });
        let signed: Vec<_> = signed.collect();
        for part in signed.chunks(VERDICTS_MAX) {
            self.keeper.keep(self.id, part.to_vec())?;
        }
        Ok(())
    }

    fn finish(&self, permit: &Permit) -> Result<Judged, CheckError> {
        self.check.clone().finish(permit)
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what waits for the disk where waiting is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, ProviderFailure> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.unwrap_or(Err(Fault::Stopping))?)
}
