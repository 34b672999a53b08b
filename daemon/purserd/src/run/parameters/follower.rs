//! Who asks the provider for the parameters, and tells it of the hot lists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use purser_engine::{HotListTaken, Input};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::super::core::random;
use super::{Asking, Parameters};
use crate::provider::parameters::{Known, NotTaken, Renewed, renew};
use crate::provider::{FilesError, Link, LinkState, ProviderFailure, names};

/// How long after one failure the provider is asked again; twice as long after each further one, up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_secs(30);
/// The longest pause behind a failure, where the usual time is no shorter.
const RETRY_MAX: Duration = Duration::from_secs(15 * 60);

/// How the provider refuses an acknowledgement for good.
const NEVER_TAKEN: [&str; 2] = ["GoesBack", "UnknownVersion"];

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
    RETRY.saturating_mul(doubled).min(RETRY_MAX).min(period)
}

/// Between three quarters of it and all of it, so that a chain's terminals do not all call at once.
fn jittered(pause: Duration) -> Duration {
    let [a, b, ..] = random();
    let part = u32::from(u16::from_be_bytes([a, b]));
    pause - pause / 4 * part / u32::from(u16::MAX)
}

/// Whoever asks the provider.
pub(in super::super) struct Follower {
    parameters: Parameters,
    link: Link,
    state_dir: PathBuf,
    period: Duration,
    known: Option<Known>,
    answers: mpsc::Sender<Input>,
    taken: mpsc::UnboundedReceiver<HotListTaken>,
    /// False while the file does not have the acknowledgements as they are here.
    is_recorded: bool,
    /// The version of the hot list that the provider was told of last.
    told: Option<u64>,
    /// When the provider was heard last.
    heard_at: Option<Instant>,
}

impl Follower {
    pub(super) fn new(
        parameters: &Parameters,
        asking: Asking,
        state_dir: &Path,
        (known, taken): (Option<Known>, mpsc::UnboundedReceiver<HotListTaken>),
    ) -> Self {
        Self {
            parameters: parameters.clone(),
            link: asking.link,
            state_dir: state_dir.to_owned(),
            period: Duration::from_secs(asking.period_seconds),
            known,
            answers: asking.answers,
            taken,
            is_recorded: true,
            told: None,
            heard_at: None,
        }
    }

    /// Asks until nobody listens any more.
    pub(in super::super) async fn follow(mut self) {
        let mut rises = Rises::of(&self.link);
        let mut hear = Turn::at_once();
        let mut tell = Turn::at_once();
        loop {
            tokio::select! {
                biased;
                taken = self.taken.recv() => match taken {
                    Some(taken) => {
                        self.note(taken);
                        tell = Turn::at_once();
                    }
                    None => return,
                },
                () = rises.next() => {
                    if self.heard_at.is_none_or(|at| at.elapsed() >= RETRY) {
                        hear = Turn::at_once();
                    }
                    if tell.due.is_some() {
                        tell = Turn::at_once();
                    }
                }
                () = until(tell.due) => {
                    if self.tell().await {
                        tell.due = None;
                    } else {
                        tell.failed(self.usual());
                    }
                }
                () = until(hear.due) => match self.hear().await {
                    Ok(input) => {
                        if self.answers.send(input).await.is_err() {
                            return;
                        }
                        hear.failures = 0;
                        hear.due = Some(Instant::now() + jittered(self.usual()));
                    }
                    Err(failure) => {
                        self.fails(failure);
                        hear.failed(self.usual());
                    }
                },
            }
        }
    }

    /// How often the provider is asked: so that two failures behind one another do not yet warn.
    fn usual(&self) -> Duration {
        let warn_after = self
            .known
            .as_ref()
            .map(|it| it.heard.parameters.warn_after_seconds);
        usual(self.period, warn_after)
    }

    /// Asks once. What comes back is durable.
    async fn hear(&mut self) -> Result<Input, ProviderFailure> {
        // Before the question: they cannot be older than that.
        let at = self.parameters.board.wall().unix_seconds;
        let signed = self.link.parameters().await?;
        let (link, state_dir, known) = (self.link.clone(), self.state_dir.clone(), self.known.clone());
        let before = known.as_ref().map(|it| it.heard.parameters.version);
        let renewed = tokio::task::spawn_blocking(move || -> Result<Renewed, NotTaken> {
            renew(&state_dir, link.pinned(), known.as_ref(), &signed, at)
        });
        let Renewed { known, not_kept } = renewed.await.map_err(|_| stopping())??;
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
        facts.not_kept = not_kept.map(|error| NotTaken::from(error).into());
        drop(facts);
        let heard = known.heard.clone();
        self.known = Some(known);
        self.heard_at = Some(Instant::now());
        Ok(Input::Parameters(heard))
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

    /// Takes an acknowledgement that is to be told.
    fn note(&mut self, taken: HotListTaken) {
        let known = self.known.as_mut();
        self.is_recorded &= !known.is_some_and(|known| known.acknowledge(taken));
    }

    /// Tells the provider of each list that it has not answered for, in their order. False where that is to be tried again.
    async fn tell(&mut self) -> bool {
        loop {
            if !self.is_recorded
                && let Err(failure) = self.record().await
            {
                return self.not_told(failure);
            }
            let Some(known) = &mut self.known else { return true };
            let Some(first) = known.first_acknowledgement() else {
                return true;
            };
            if self.told == Some(first.version) {
                // The list in force stays: a restart must not find another number for it.
                if !known.forget_first_acknowledgement() {
                    return true;
                }
                self.is_recorded = false;
                continue;
            }
            match self.link.acknowledge(first).await {
                Ok(()) => self.is_told(first),
                // It will never take this one, after a restore on either side; those behind it do not wait for it.
                Err(failure) if NEVER_TAKEN.contains(&failure.name) => {
                    self.not_told(failure);
                    self.told = Some(first.version);
                }
                Err(failure) => return self.not_told(failure),
            }
        }
    }

    /// Makes the acknowledgements durable as they are here.
    async fn record(&mut self) -> Result<(), ProviderFailure> {
        let Some(mut known) = self.known.clone() else {
            return Ok(());
        };
        let state_dir = self.state_dir.clone();
        let kept = tokio::task::spawn_blocking(move || -> Result<Known, FilesError> {
            known.keep(&state_dir)?;
            Ok(known)
        });
        let kept = kept.await.map_err(|_| stopping())?;
        self.known = Some(kept.map_err(NotTaken::from)?);
        self.is_recorded = true;
        Ok(())
    }

    fn is_told(&mut self, list: HotListTaken) {
        let (version, from_terminal_sn) = (list.version, list.from_terminal_sn);
        tracing::info!(
            version,
            from_terminal_sn,
            "the provider knows that the hot list is in force"
        );
        self.told = Some(version);
        let mut facts = self.parameters.lock();
        facts.acknowledged = Some(version);
        facts.not_acknowledged = None;
        drop(facts);
        self.parameters.board.tell();
    }

    fn not_told(&self, failure: ProviderFailure) -> bool {
        tracing::warn!(name = failure.name, %failure, "the hot list is not acknowledged; it is told again");
        self.parameters.lock().not_acknowledged = Some(failure);
        self.parameters.board.tell();
        false
    }
}

fn stopping() -> ProviderFailure {
    ProviderFailure {
        name: names::LINK_ENDED,
        is_transient: true,
        text: "Purser is stopping".to_owned(),
    }
}

/// The moments at which the standing link comes up.
struct Rises {
    state: watch::Receiver<LinkState>,
    was_up: bool,
}

impl Rises {
    fn of(link: &Link) -> Self {
        let mut state = link.states();
        let was_up = *state.borrow_and_update() == LinkState::Up;
        Self { state, was_up }
    }

    /// Waits for the next one. May be dropped and asked again.
    async fn next(&mut self) {
        loop {
            if self.state.changed().await.is_err() {
                // The link has ended for good.
                return std::future::pending().await;
            }
            let is_up = *self.state.borrow_and_update() == LinkState::Up;
            if is_up && !std::mem::replace(&mut self.was_up, is_up) {
                return;
            }
            self.was_up = is_up;
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How often the provider is asked, which warns after so many seconds of silence.
fn usual(period: Duration, warn_after_seconds: Option<u32>) -> Duration {
    let half = warn_after_seconds.map(|seconds| Duration::from_secs(u64::from(seconds) / 2));
    // Whatever the provider says, it is not asked all the time.
    half.map_or(period, |half| half.max(RETRY).min(period))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pauses_grow_up_to_a_quarter_of_an_hour_and_differ_from_terminal_to_terminal() {
        let pauses = |period| [0, 1, 2, 4, 5, u32::MAX].map(|failures| retry(failures, period).as_secs());
        assert_eq!(pauses(Duration::from_secs(3_600)), [30, 60, 120, 480, 900, 900]);
        assert_eq!(pauses(Duration::from_secs(2)), [2; 6]);
        let period = Duration::from_secs(3_600);
        let all: BTreeSet<_> = (0..16).map(|_| jittered(period)).collect();
        assert!(all.len() > 1);
        assert!(all.iter().all(|it| *it <= period && *it >= period * 3 / 4));
    }

    #[test]
    fn the_provider_is_asked_twice_before_its_silence_warns() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(usual(hour, None), hour);
        assert_eq!(usual(hour, Some(86_400)), hour);
        assert_eq!(usual(hour, Some(1_000)), Duration::from_secs(500));
        assert_eq!(usual(hour, Some(0)), RETRY, "not all the time");
        assert_eq!(usual(Duration::from_secs(2), Some(0)), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn only_a_link_that_was_not_up_before_comes_up() {
        let (told, state) = watch::channel(LinkState::Connecting);
        let mut rises = Rises { state, was_up: false };
        let is_next = async |rises: &mut Rises| {
            let soon = Duration::from_millis(20);
            tokio::time::timeout(soon, rises.next()).await.is_ok()
        };
        assert!(!is_next(&mut rises).await);
        told.send_replace(LinkState::Up);
        assert!(is_next(&mut rises).await);
        told.send_replace(LinkState::Up);
        assert!(!is_next(&mut rises).await);
        told.send_replace(LinkState::Connecting);
        assert!(!is_next(&mut rises).await);
        told.send_replace(LinkState::Up);
        assert!(is_next(&mut rises).await);
        drop(told);
        assert!(!is_next(&mut rises).await, "an end is none");
    }
}
