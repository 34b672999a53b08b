//! The provider's parameters while the daemon runs (money rules T3, C3): asked for at the start and then again and again, put into
//! force by the engine, and their hot list acknowledged until the provider has heard it.
//!
//! ```text
//!  kept file ─► in force ◄─ Input::Parameters ◄─ durable ◄─ believed ◄─ GET /v1/parameters, every so often
//!                  └─► Output::AcknowledgeHotList ─► durable ─► POST /v1/hot-list/acknowledgement, until there is an answer
//! ```
//! Acknowledgements are told in their order, each until it is answered, and kept over a restart: one that unlists a card and is
//! lost would have the provider judge honest sales by the list before it.
//!
//! One connection at a time: a provider takes two beside the standing link, and a settlement needs one. A terminal that loads cards
//! takes none: what it sells nobody claims.

mod follower;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purser_api::model::{Problem, ProviderReply};
use purser_engine::{HeardParameters, HotListTaken, Input, ParametersAge};
use purser_ledger::{Currency, Wall};
use tokio::sync::mpsc;

use self::follower::Follower;
use super::board::Board;
use super::health::problem;
use crate::provider::parameters::read;
use crate::provider::{Link, Pinned, ProviderFailure, names};
use crate::verbs::chain;

/// What is known of the parameters: told by the loop and the one who follows them, read by whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    facts: Arc<Mutex<Facts>>,
    board: Board,
    sells: Arc<Sells>,
    /// In their order: each is a list that sales were made by.
    taken: mpsc::UnboundedSender<HotListTaken>,
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
    /// Why the file does not say when they were heard last.
    not_kept: Option<ProviderFailure>,
}

/// What this terminal would sell with.
#[derive(Clone, Debug)]
pub(super) struct Sells {
    /// The currencies of the purses that are taken.
    pub(super) currencies: Vec<Currency>,
    pub(super) is_sam_software: bool,
}

impl Sells {
    /// Why these parameters let it sell nothing at all.
    fn nothing_by(&self, parameters: &purser_provider_link::Parameters) -> Option<&'static str> {
        if self.is_sam_software && !parameters.is_software_sam_allowed {
            return Some("they forbid a software SAM, and this terminal has one");
        }
        if parameters.key_versions.is_empty() {
            return Some("they list no version of the card keys");
        }
        let is_listed = |currency: &Currency| parameters.limits(*currency).is_some();
        let has_none = !self.currencies.iter().any(is_listed);
        has_none.then_some("they list no currency that this terminal takes")
    }
}

/// What a start has of them.
pub(super) struct Following {
    pub(super) parameters: Parameters,
    /// What was kept, to be put into force before anything else.
    pub(super) kept: Option<Input>,
    /// Whoever asks the provider; none without a link.
    pub(super) follower: Option<Follower>,
}

/// How the provider is asked.
pub(super) struct Asking {
    pub(super) link: Link,
    pub(super) period_seconds: u64,
    /// Where what is heard goes.
    pub(super) answers: mpsc::Sender<Input>,
}

impl Parameters {
    /// Reads what is kept: it is in force with a link and without one.
    pub(super) fn begin(
        state_dir: &Path,
        pinned: &Pinned,
        (board, sells): (Board, Sells),
        asking: Option<Asking>,
    ) -> Following {
        let mut facts = Facts::default();
        let known = read(state_dir, pinned).unwrap_or_else(|error| {
            let cause = chain(&error);
            tracing::error!(%cause, "the provider's parameters that were kept are as good as none");
            facts.unusable = Some(cause);
            None
        });
        let (taken, queue) = mpsc::unbounded_channel();
        let parameters = Self {
            facts: Arc::new(Mutex::new(facts)),
            board,
            sells: Arc::new(sells),
            taken,
        };
        Following {
            kept: known.as_ref().map(|known| Input::Parameters(known.heard.clone())),
            follower: asking.map(|asking| Follower::new(&parameters, asking, state_dir, (known, queue))),
            parameters,
        }
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
        // Without a link nobody listens: the next start with one tells it.
        let _ = self.taken.send(taken);
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

    /// Why the parameters in force permit no sale at all; none where they permit some.
    pub(super) fn permit_nothing(&self) -> Option<Problem> {
        let facts = self.lock();
        let parameters = &facts.in_force.as_ref()?.parameters;
        let why = self.sells.nothing_by(parameters)?;
        let cause = format!(
            "the provider's parameters, version {}, permit no sale: {why}",
            parameters.version
        );
        let remedy = "ask the provider's operator for parameters that permit it, or for a PSAM";
        Some(problem("parameters_permit_nothing", &cause, remedy))
    }

    /// What of it an operator should know.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let now = self.board.wall();
        let facts = self.lock();
        let lasting = |failure: &Option<ProviderFailure>| failure.clone().filter(|it| !it.is_transient);
        let is_of_disk = |failure: &ProviderFailure| failure.name == names::PARAMETERS_NOT_KEPT;
        let refused = lasting(&facts.failure)
            .filter(|it| !is_of_disk(it))
            .map(|failure| {
                let remedy = "tell the provider's operator; what was in force before stays so meanwhile";
                problem("parameters_refused", &failure.text, remedy)
            });
        let of_disk = [&facts.failure, &facts.not_kept, &facts.not_acknowledged];
        let not_kept = of_disk
            .into_iter()
            .find_map(|failure| lasting(failure).filter(is_of_disk));
        let not_kept = not_kept.map(|failure| {
            let remedy = "look at the disk of the state folder; Purser tries again by itself";
            problem("parameters_not_kept", &failure.text, remedy)
        });
        let not_acknowledged = lasting(&facts.not_acknowledged).filter(|it| !is_of_disk(it));
        let not_acknowledged = not_acknowledged.map(|failure| {
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
        [refused, not_kept, not_acknowledged, standing]
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

#[cfg(test)]
mod tests {
    use purser_provider_link::ProviderName;

    use super::*;
    use crate::provider::parameters::tests as tests_of_kept;

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

    fn sells(currency: &str, is_sam_software: bool) -> Sells {
        Sells {
            currencies: vec![currency.parse().unwrap()],
            is_sam_software,
        }
    }

    #[test]
    fn parameters_that_permit_no_sale_at_all_say_why() {
        let yen = |minor| purser_ledger::Amount::new(minor, "JPY".parse().unwrap()).unwrap();
        let permitting = purser_provider_link::Parameters {
            currencies: vec![purser_provider_link::CurrencyLimits {
                sale_max: yen(100),
                stale_sale_max: yen(0),
            }],
            key_versions: vec![1],
            is_software_sam_allowed: false,
            ..tests_of_kept::version(1)
        };
        assert_eq!(sells("JPY", false).nothing_by(&permitting), None);
        let why = |sells: Sells, parameters: &purser_provider_link::Parameters| {
            sells.nothing_by(parameters).unwrap()
        };
        assert!(why(sells("JPY", true), &permitting).contains("software SAM"));
        assert!(why(sells("EUR", false), &permitting).contains("currency"));
        let keyless = purser_provider_link::Parameters {
            key_versions: Vec::new(),
            ..permitting.clone()
        };
        assert!(why(sells("JPY", false), &keyless).contains("card keys"));
    }

    #[test]
    fn what_was_kept_is_in_force_without_a_link_and_told() {
        let world = tests_of_kept::World::new();
        world
            .renew(None, &tests_of_kept::version(3), tests_of_kept::NOW)
            .unwrap();
        let clock = crate::run::Clock::new();
        let range = purser_ledger::ClockRange::new(0, None);
        let board = Board::new(purser_engine::Limits::default(), clock, range, None);
        let following = Parameters::begin(world.dir(), &world.pinned, (board, sells("JPY", false)), None);
        assert!(following.follower.is_none());
        let Some(Input::Parameters(heard)) = following.kept else {
            panic!("nothing is in force");
        };
        assert_eq!(heard.parameters.version, 3);
        following.parameters.in_force(Some(&heard));
        let mut reply = ProviderReply::default();
        following.parameters.tell(&mut reply);
        assert_eq!(
            (reply.parameters_version, reply.hot_list_cards),
            (Some(3), Some(1))
        );
        let nothing = following.parameters.permit_nothing().unwrap();
        assert_eq!(nothing.name, "parameters_permit_nothing");
        // Nobody asks, and nobody is told.
        following.parameters.acknowledge(HotListTaken {
            version: 1,
            from_terminal_sn: 1,
        });
    }
}
