//! Loads over the link to the provider (S6 to S12): each question and attempt on a leg of its own; and queries of sales in doubt
//! (money rule C4). The engine hears what came of it.

use purser_engine::load::{LoadAnswer, LoadAsk, SendAttempt};
use purser_engine::{CallId, Input, ProviderFailure};
use purser_provider_link::Query;
use tokio::sync::mpsc;

use super::core::random;
use super::journey;
use crate::provider::Link;

/// What carries the engine's words about loads.
pub(super) struct Loader {
    /// The link, or why there is none.
    link: Result<Link, ProviderFailure>,
    answers: mpsc::Sender<Input>,
}

impl Loader {
    /// With where its answers for the engine come out.
    pub(super) fn new(link: Result<Link, ProviderFailure>, answers: mpsc::Sender<Input>) -> Self {
        Self { link, answers }
    }

    /// Asks what releases no value.
    pub(super) fn ask(&self, id: CallId, ask: LoadAsk) {
        self.answer(id, async move |link| link.ask_of_load(&ask).await);
    }

    /// Sends an attempt, and gets its MAC2.
    pub(super) fn attempt(&self, id: CallId, act: SendAttempt) {
        self.answer(id, async move |link| link.attempt(&act).await);
    }

    /// Asks about a sale in doubt.
    pub(super) fn query(&self, id: CallId, query: Query) {
        let (link, answers) = (self.link.clone(), self.answers.clone());
        tokio::spawn(async move {
            let answered = match link {
                Ok(link) => link.query(&query).await,
                Err(failure) => Err(failure),
            };
            journey::queried(&query, &answered);
            let answer = Input::Queried {
                id,
                answered,
                random: random(),
            };
            // The loop has ended: the sale is asked about again after the next start.
            let _ = answers.send(answer).await;
        });
    }

    fn answer<A: Future<Output = Result<LoadAnswer, ProviderFailure>> + Send>(
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
            let answer = Input::Provider {
                id,
                answered,
                random: random(),
            };
            // The loop has ended: what was recorded is asked about after the next start.
            let _ = answers.send(answer).await;
        });
    }
}
