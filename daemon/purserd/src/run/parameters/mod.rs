//! The provider's parameters while the daemon runs (money rules T3, C3): asked for at the start and then again and again, put into
//! force by the engine, and their hot list acknowledged until the provider has heard it.
//!
//! ```text
//!  kept file ─► in force ◄─ Input::Parameters ◄─ durable ◄─ believed ◄─ GET /v1/parameters, every so often
//!                  └─► Output::AcknowledgeHotList ─► POST /v1/hot-list/acknowledgement, until there is an answer
//! ```
//! One connection at a time: a provider takes two beside the standing link, and a settlement needs one. A terminal that loads cards
//! takes none: what it sells nobody claims.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purser_api::model::{Problem, ProviderReply};
use purser_engine::{HeardParameters, HotListTaken, Input, ParametersAge};
use purser_ledger::Wall;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::board::Board;
use super::core::random;
use super::health::problem;
use crate::provider::parameters::{Known, NotTaken, read, renew};
use crate::provider::{Link, ProviderFailure, names};
use crate::verbs::chain;

/// How long after one failure the provider is asked again; twice as long after each further one, up to the usual time.
const RETRY: Duration = Duration::from_secs(30);

/// What is known of the parameters: told by the loop and the one who follows them, read by whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    facts: Arc<Mutex<Facts>>,
    board: Board,
    taken: watch::Sender<Option<HotListTaken>>,
}

#[derive(Debug, Default)]
struct Facts {
    in_force: Option<HeardParameters>,
    /// Why what was kept is as good as none.
    unusable: Option<String>,
    /// Why the provider could not be asked, or was not believed, the last time.
    failure: Option<ProviderFailure>,
    /// The version of the hot list that the provider knows to be in force.
    acknowledged: Option<u64>,
    /// Why it could not be told, the last time.
    not_acknowledged: Option<ProviderFailure>,
}

/// Whoever asks the provider.
pub(super) struct Follower {
    parameters: Parameters,
    link: Link,
    state_dir: PathBuf,
    period: Duration,
    known: Option<Known>,
    answers: mpsc::Sender<Input>,
}

impl Parameters {
    /// Reads what is kept. The second asks the provider from its start on.
    pub(super) fn begin(
        state_dir: &Path,
        link: Link,
        board: Board,
        (period_seconds, answers): (u64, mpsc::Sender<Input>),
    ) -> (Self, Follower) {
        let mut facts = Facts::default();
        let known = read(state_dir, link.pinned()).unwrap_or_else(|error| {
            let cause = chain(&error);
            tracing::error!(%cause, "the provider's parameters that were kept are as good as none");
            facts.unusable = Some(cause);
            None
        });
        let parameters = Self {
            facts: Arc::new(Mutex::new(facts)),
            board,
            taken: watch::Sender::new(None),
        };
        let follower = Follower {
            parameters: parameters.clone(),
            link,
            state_dir: state_dir.to_owned(),
            period: Duration::from_secs(period_seconds),
            known,
            answers,
        };
        (parameters, follower)
    }

    /// The engine has these in force now.
    pub(super) fn in_force(&self, heard: Option<&HeardParameters>) {
        let mut facts = self.lock();
        if facts.in_force.as_ref() == heard {
            return;
        }
        facts.in_force = heard.cloned();
        drop(facts);
        self.board.tell();
    }

    /// Has the provider told that a hot list is in force.
    pub(super) fn acknowledge(&self, taken: HotListTaken) {
        self.taken.send_replace(Some(taken));
    }

    /// Puts what is known into the answer to `Provider`.
    pub(super) fn tell(&self, reply: &mut ProviderReply) {
        let now = self.board.wall();
        let facts = self.lock();
        let failure = facts.failure.as_ref().or(facts.not_acknowledged.as_ref());
        reply.parameters_failure = failure.map(|it| it.text.clone());
        let Some(heard) = &facts.in_force else { return };
        let parameters = &heard.parameters;
        let list = parameters.hot_list_version;
        reply.parameters_version = Some(parameters.version);
        reply.parameters_age = Some(age_name(heard.age(now)).to_owned());
        reply.parameters_heard_unix_seconds = Some(heard.heard_at_unix_seconds);
        reply.hot_list_version = Some(list);
        reply.hot_list_cards = u64::try_from(parameters.hot_list.len()).ok();
        // The empty list of the beginning needs no word.
        reply.hot_list_acknowledged = Some(list == 0 || facts.acknowledged == Some(list));
    }

    /// What of it an operator should know.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let now = self.board.wall();
        let facts = self.lock();
        let lasting = |failure: &Option<ProviderFailure>| failure.clone().filter(|it| !it.is_transient);
        let refused = lasting(&facts.failure).map(|failure| {
            let remedy = "tell the provider's operator; what was in force before stays so meanwhile";
            problem("parameters_refused", &failure.text, remedy)
        });
        let not_acknowledged = lasting(&facts.not_acknowledged).map(|failure| {
            let remedy = "tell the provider's operator; Purser tells it again by itself";
            problem("hot_list_not_acknowledged", &failure.text, remedy)
        });
        let standing = match (&facts.in_force, &facts.unusable) {
            (Some(heard), _) => age_problem(heard, now),
            (None, Some(cause)) => Some(problem(
                "parameters_unusable",
                cause,
                "let purserd reach the provider, which sends them again; look at the disk if it happens again",
            )),
            (None, None) => Some(problem(
                "parameters_none",
                "the provider's parameters have never come here: no hot list, and only the operator's own limits",
                "let purserd reach the provider; purserctl provider status tells why it could not",
            )),
        };
        [refused, not_acknowledged, standing]
            .into_iter()
            .flatten()
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        // Nothing under this lock can leave the facts half changed.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn age_name(age: ParametersAge) -> &'static str {
    match age {
        ParametersAge::Fresh => "fresh",
        ParametersAge::Old => "old",
        ParametersAge::Stale => "stale",
    }
}

/// Parameters that are too old, in words.
pub(crate) fn age_problem(heard: &HeardParameters, now: Wall) -> Option<Problem> {
    let hours = now.unix_seconds.saturating_sub(heard.heard_at_unix_seconds) / 3_600;
    let cause = format!("nothing was heard from the provider for {hours} hours");
    let remedy = "let purserd reach the provider; purserctl provider status tells why it could not";
    match heard.age(now) {
        ParametersAge::Fresh => None,
        ParametersAge::Old => Some(problem("parameters_old", &cause, remedy)),
        ParametersAge::Stale => {
            let cause = format!("{cause}: sales above its limit for that time are refused");
            Some(problem("parameters_stale", &cause, remedy))
        }
    }
}

/// When something is tried next, and how often it has failed.
struct Turn {
    due: Option<Instant>,
    failures: u32,
}

impl Turn {
    fn at_once() -> Self {
        Self {
            due: Some(Instant::now()),
            failures: 0,
        }
    }

    fn failed(&mut self, period: Duration) {
        self.due = Some(Instant::now() + jittered(retry(self.failures, period)));
        self.failures = self.failures.saturating_add(1);
    }
}

/// The pause behind so many failures and one more.
fn retry(failures: u32, period: Duration) -> Duration {
    let doubled = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    RETRY.saturating_mul(doubled).min(period)
}

/// Between three quarters of it and all of it, so that a chain's terminals do not all call at once.
fn jittered(pause: Duration) -> Duration {
    let [a, b, ..] = random();
    let part = u32::from(u16::from_be_bytes([a, b]));
    pause - pause / 4 * part / u32::from(u16::MAX)
}

impl Follower {
    /// What was kept, to be put into force before anything else.
    pub(super) fn kept(&self) -> Option<Input> {
        let known = self.known.as_ref();
        known.map(|known| Input::Parameters(known.heard.clone()))
    }

    /// Asks until nobody listens any more.
    pub(super) async fn follow(mut self) {
        let mut taken = self.parameters.taken.subscribe();
        // What was kept is in force before this begins, and so may its list be.
        taken.mark_changed();
        let mut hear = Turn::at_once();
        let mut tell = Turn {
            due: None,
            failures: 0,
        };
        loop {
            tokio::select! {
                biased;
                changed = taken.changed() => match changed {
                    Ok(()) => tell = Turn::at_once(),
                    Err(_) => return,
                },
                () = until(tell.due) => {
                    let list = *taken.borrow_and_update();
                    match list {
                        Some(list) if !self.told(list).await => tell.failed(self.period),
                        Some(_) | None => tell.due = None,
                    }
                }
                () = until(hear.due) => match self.heard().await {
                    Ok(known) => {
                        let heard = known.heard.clone();
                        self.known = Some(known);
                        if self.answers.send(Input::Parameters(heard)).await.is_err() {
                            return;
                        }
                        hear.failures = 0;
                        hear.due = Some(Instant::now() + jittered(self.period));
                    }
                    Err(failure) => {
                        self.fails(failure);
                        hear.failed(self.period);
                    }
                },
            }
        }
    }

    /// Asks once. What comes back is durable.
    async fn heard(&self) -> Result<Known, ProviderFailure> {
        // Before the question: they cannot be older than that.
        let at = self.parameters.board.wall().unix_seconds;
        let signed = self.link.parameters().await?;
        let (link, state_dir, known) = (self.link.clone(), self.state_dir.clone(), self.known.clone());
        let before = known.as_ref().map(|it| it.heard.parameters.version);
        let renewed = tokio::task::spawn_blocking(move || -> Result<Known, NotTaken> {
            renew(&state_dir, link.pinned(), known.as_ref(), &signed, at)
        });
        let known = renewed.await.map_err(|_| ProviderFailure {
            name: names::LINK_ENDED,
            is_transient: true,
            text: "Purser is stopping".to_owned(),
        })??;
        let parameters = &known.heard.parameters;
        if before != Some(parameters.version) {
            let (version, hot_list, cards) = (
                parameters.version,
                parameters.hot_list_version,
                parameters.hot_list.len(),
            );
            tracing::info!(version, hot_list, cards, "the provider's parameters are new here");
        }
        let mut facts = self.parameters.lock();
        facts.failure = None;
        facts.unusable = None;
        Ok(known)
    }

    fn fails(&self, failure: ProviderFailure) {
        let mut facts = self.parameters.lock();
        if facts.failure.as_ref().map(|it| it.name) != Some(failure.name) {
            tracing::warn!(name = failure.name, %failure, "the provider's parameters are not had; they are asked for again");
        }
        facts.failure = Some(failure);
        drop(facts);
        self.parameters.board.tell();
    }

    /// Tells once that a hot list is in force. False where that is to be tried again.
    async fn told(&self, list: HotListTaken) -> bool {
        let told = self.link.acknowledge(list).await;
        let mut facts = self.parameters.lock();
        match &told {
            Ok(()) => {
                let (version, from_terminal_sn) = (list.version, list.from_terminal_sn);
                tracing::info!(
                    version,
                    from_terminal_sn,
                    "the provider knows that the hot list is in force"
                );
                facts.acknowledged = Some(list.version);
            }
            Err(failure) => {
                tracing::warn!(name = failure.name, %failure, "the hot list is not acknowledged; it is told again");
            }
        }
        let is_told = told.is_ok();
        facts.not_acknowledged = told.err();
        drop(facts);
        self.parameters.board.tell();
        is_told
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use purser_provider_link::ProviderName;

    use super::*;

    #[test]
    fn old_parameters_and_stale_ones_are_problems_of_their_own_and_a_clock_that_is_not_trusted_makes_none_stale()
     {
        let parameters = purser_provider_link::Parameters {
            provider: ProviderName::new("provider.example").unwrap(),
            version: 1,
            made_at_unix_seconds: 0,
            warn_after_seconds: 3_600,
            stale_after_seconds: 7_200,
            is_software_sam_allowed: false,
            currencies: Vec::new(),
            key_versions: Vec::new(),
            hot_list_version: 0,
            hot_list: Vec::new(),
        };
        let heard = HeardParameters {
            parameters: Arc::new(parameters),
            heard_at_unix_seconds: 1_000,
        };
        let name = |after: i64, trusted| {
            let now = Wall {
                unix_seconds: 1_000 + after,
                utc_offset_seconds: 0,
                trusted,
            };
            age_problem(&heard, now).map(|it| it.name)
        };
        assert_eq!(name(3_599, true), None);
        assert_eq!(name(3_600, true).as_deref(), Some("parameters_old"));
        assert_eq!(name(7_200, true).as_deref(), Some("parameters_stale"));
        assert_eq!(name(7_200, false).as_deref(), Some("parameters_old"));
    }

    #[test]
    fn pauses_grow_up_to_the_usual_time_and_differ_from_terminal_to_terminal() {
        let pauses = |period| [0, 1, 2, 6, 7, u32::MAX].map(|failures| retry(failures, period).as_secs());
        assert_eq!(
            pauses(Duration::from_secs(3_600)),
            [30, 60, 120, 1_920, 3_600, 3_600]
        );
        assert_eq!(pauses(Duration::from_secs(2)), [2; 6]);
        let period = Duration::from_secs(3_600);
        let all: BTreeSet<_> = (0..16).map(|_| jittered(period)).collect();
        assert!(all.len() > 1);
        assert!(all.iter().all(|it| *it <= period && *it >= period * 3 / 4));
    }
}
