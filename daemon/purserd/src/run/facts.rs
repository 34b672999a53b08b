//! What the API reads past the engine: the journal on connections of its own, and how devices and daemon do.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use purser_api::model::{Counts, Device, Problem, Time};
use purser_api::{
    BusState, EntriesQuery, Facts, FactsUnavailable, InfoFacts, Recorded, StatusFacts, TotalsFacts,
};
use purser_driver_supervisor::{State, Status};
use purser_journal::{Overview, Query, Reader};
use purser_ledger::{Account, Head, OperationId, Standing, Wall};
use tokio::sync::watch;

use super::drivers::{Instance, Seen};

/// Connections that are kept open between reads: as many as the API reads at once.
const READERS_MAX: usize = 4;

/// See the module.
pub(super) struct DaemonFacts {
    pub(super) state_dir: PathBuf,
    /// Connections that nobody uses at this moment.
    pub(super) readers: Mutex<Vec<Reader>>,
    pub(super) info: InfoFacts,
    pub(super) started_at: Wall,
    pub(super) instances: Vec<Instance>,
    pub(super) seen: Seen,
    pub(super) bus: watch::Receiver<BusState>,
    /// What start-up found wrong and did not stop at.
    pub(super) problems: Vec<Problem>,
}

impl DaemonFacts {
    fn read<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, purser_journal::ReadError>,
    ) -> Result<T, FactsUnavailable> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match pooled {
            Some(reader) => reader,
            None => Reader::open(&self.state_dir).map_err(|error| unavailable(&error))?,
        };
        let answer = read(&reader).map_err(|error| unavailable(&error))?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
        Ok(answer)
    }
}

fn unavailable(error: &dyn std::error::Error) -> FactsUnavailable {
    tracing::error!(error = %crate::verbs::chain(error), "the journal cannot be read for the API");
    FactsUnavailable
}

impl Facts for DaemonFacts {
    fn entries(&self, query: &EntriesQuery) -> Result<Vec<Recorded>, FactsUnavailable> {
        let query = Query {
            after: query.after,
            limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
            owner: query.owner,
            reference: query.reference.clone(),
        };
        self.read(|reader| reader.entries(&query)).map(recorded)
    }

    fn history(&self, operation: OperationId) -> Result<Vec<Recorded>, FactsUnavailable> {
        self.read(|reader| reader.history(operation)).map(recorded)
    }

    fn totals(&self) -> Result<TotalsFacts, FactsUnavailable> {
        let overview = self.read(Reader::overview)?;
        Ok(TotalsFacts {
            counts: counts(&overview),
            books: overview.totals.books().clone(),
        })
    }

    fn head(&self) -> Result<Head, FactsUnavailable> {
        self.read(Reader::head)
    }

    fn devices(&self) -> Vec<Device> {
        self.instances
            .iter()
            .enumerate()
            .flat_map(|(driver, instance)| self.devices_of(driver, instance))
            .collect()
    }

    fn status(&self) -> StatusFacts {
        let mut problems = self.problems.clone();
        let bus = *self.bus.borrow();
        if bus == BusState::Lost {
            problems.push(problem(
                "bus_lost",
                "the D-Bus interface is not on its bus",
                "start the bus; Purser tries again by itself",
            ));
        }
        let devices = self.devices();
        problems.extend(
            devices
                .iter()
                .filter(|device| device.state == "failed")
                .map(device_problem),
        );
        let ready = devices
            .iter()
            .any(|device| device.card_reader && device.state == "ready");
        StatusFacts {
            ready,
            started_at: time(self.started_at),
            bus,
            problems,
        }
    }

    fn info(&self) -> InfoFacts {
        self.info.clone()
    }
}

impl DaemonFacts {
    fn devices_of(&self, driver: usize, instance: &Instance) -> Vec<Device> {
        let status = instance.handle.status();
        let (state, cause, remedy) = state_words(&status);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let bare = Device {
            name: instance.name.to_string(),
            driver: seen
                .driver_id(driver)
                .unwrap_or(instance.name.as_str())
                .to_owned(),
            card_reader: false,
            pin_pad: false,
            state: state.to_owned(),
            card_present: None,
            cause,
            remedy,
            restarts: status.counters.restarts,
            last_answer_at: status.last_exchange.map(|at| time(self.wall_at(at))),
        };
        let present: Vec<Device> = seen
            .of_driver(driver)
            .map(|(name, present)| Device {
                name: name.to_string(),
                card_reader: present.abilities.card_reader,
                pin_pad: present.abilities.pin_pad,
                card_present: present.abilities.card_reader.then_some(present.card),
                ..bare.clone()
            })
            .collect();
        if !present.is_empty() {
            return present;
        }
        let is_absent = status.state == State::Ready;
        let absent = |text: &str| is_absent.then(|| text.to_owned());
        vec![Device {
            state: if is_absent {
                "absent".to_owned()
            } else {
                bare.state.clone()
            },
            cause: absent("the driver works, but has no device").or(bare.cause.clone()),
            remedy: absent("plug the device in").or(bare.remedy.clone()),
            ..bare
        }]
    }

    fn wall_at(&self, at: tokio::time::Instant) -> Wall {
        let seconds = SystemTime::now()
            .checked_sub(at.elapsed())
            .and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_secs());
        Wall {
            unix_seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            ..self.started_at
        }
    }
}

fn state_words(status: &Status) -> (&'static str, Option<String>, Option<String>) {
    let words = |reason: &dyn std::error::Error, remedy: &str| {
        (Some(crate::verbs::chain(reason)), Some(remedy.to_owned()))
    };
    match &status.state {
        State::Starting => ("starting", None, None),
        State::Ready => ("ready", None, None),
        State::Restarting { reason, .. } => {
            let (cause, remedy) = words(reason, "wait; the driver is started again by itself");
            ("restarting", cause, remedy)
        }
        State::Failed { reason } => {
            let (cause, remedy) = words(reason, "mend the cause, then restart purserd");
            ("failed", cause, remedy)
        }
        State::Stopped => ("failed", Some("the driver was stopped".to_owned()), None),
    }
}

fn device_problem(device: &Device) -> Problem {
    let cause = device.cause.as_deref().unwrap_or("the driver failed");
    let remedy = device.remedy.as_deref().unwrap_or("see the log");
    problem("driver_failed", &format!("{}: {cause}", device.name), remedy)
}

/// Something that keeps Purser from working as it should.
pub(super) fn problem(name: &str, cause: &str, remedy: &str) -> Problem {
    Problem {
        name: name.to_owned(),
        cause: cause.to_owned(),
        remedy: remedy.to_owned(),
    }
}

fn time(wall: Wall) -> Time {
    Time {
        unix_seconds: wall.unix_seconds,
        utc_offset_seconds: i64::from(wall.utc_offset_seconds),
        trusted: wall.trusted,
    }
}

fn recorded(entries: Vec<purser_journal::Recorded>) -> Vec<Recorded> {
    let words = |purser_journal::Recorded { head, content }| Recorded { head, content };
    entries.into_iter().map(words).collect()
}

fn counts(overview: &Overview) -> Counts {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let queried = overview
        .open
        .iter()
        .filter(|open| matches!(open.standing, Standing::Queried(_)))
        .count();
    let totals = &overview.totals;
    let paid = totals
        .books()
        .currencies()
        .into_iter()
        .map(|currency| totals.count(Account::Claims, currency))
        .sum();
    let open = number(overview.open.len());
    Counts {
        paid,
        not_debited: overview.debits.saturating_sub(open).saturating_sub(paid),
        closed: overview.operations.saturating_sub(overview.debits),
        in_doubt: open.saturating_sub(number(queried)),
        queried: number(queried),
    }
}
