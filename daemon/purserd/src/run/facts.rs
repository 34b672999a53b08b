//! What the API reads past the engine: the journal on connections of its own, and how devices and daemon do.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use purser_api::model::{BatchItem, Counts, Device, Driver, Problem, ProviderReply};
use purser_api::{
    BatchFacts, BusState, DriverRefusal, EntriesQuery, Facts, FactsUnavailable, InfoFacts, Recorded,
    StatusFacts, TotalsFacts,
};
use purser_driver_supervisor::manifest;
use purser_journal::{DiskRoom, OpenError, Overview, Query, ReadError, Reader};
use purser_ledger::{Head, OperationId, Standing, Wall};
use tokio::sync::watch;

use super::batches;
use super::board::Board;
use super::drivers::{Instance, Seen};
use super::journal_check::JournalCheck;
use super::parameters::Parameters;
use super::provider;
use crate::provider::{Link, ProviderFailure};

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
    pub(super) board: Board,
    pub(super) reserve_bytes: u64,
    pub(super) bus: watch::Receiver<BusState>,
    /// What the full check of the journal found so far.
    pub(super) check: JournalCheck,
    /// The link to the provider, or why there is none.
    pub(super) link: Result<Link, ProviderFailure>,
    /// The provider's parameters, where they are taken.
    pub(super) parameters: Option<Parameters>,
    /// The terminal's generation (money rule T1).
    pub(super) generation: u32,
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
            None => Reader::open(&self.state_dir).map_err(|error| not_open(&error))?,
        };
        let answer = read(&reader).map_err(|error| not_read(&error))?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
        Ok(answer)
    }
}

fn not_open(error: &OpenError) -> FactsUnavailable {
    log(error);
    match error {
        error if error.is_transient() => FactsUnavailable::Busy,
        error if error.is_damage() => FactsUnavailable::Damaged { entry: None },
        _ => FactsUnavailable::Unreadable,
    }
}

fn not_read(error: &ReadError) -> FactsUnavailable {
    log(error);
    match error {
        error if error.is_transient() => FactsUnavailable::Busy,
        error if error.is_damage() => FactsUnavailable::Damaged { entry: error.entry() },
        _ => FactsUnavailable::Unreadable,
    }
}

fn log(error: &dyn std::error::Error) {
    tracing::error!(error = %crate::verbs::chain(error), "the journal cannot be read for the API");
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
            limits: self.board.uses(),
        })
    }

    fn batches(&self, before: Option<u64>, limit: u64) -> Result<Vec<BatchFacts>, FactsUnavailable> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let sealed = self.read(|reader| reader.batches(before, limit))?;
        Ok(batches::facts(sealed, &self.board.batches()))
    }

    fn batch_items(
        &self,
        batch: OperationId,
        from: u64,
        limit: u64,
    ) -> Result<Option<Vec<BatchItem>>, FactsUnavailable> {
        self.read(|reader| batches::items(reader, batch, from, limit))
    }

    fn head(&self) -> Result<Head, FactsUnavailable> {
        self.read(Reader::head)
    }

    fn devices(&self) -> Vec<Device> {
        self.all_devices()
    }

    fn drivers(&self) -> Vec<Driver> {
        self.all_drivers()
    }

    fn check_driver(&self, name: &str) -> Result<(), DriverRefusal> {
        let mut instances = self.instances.iter();
        let instance = instances.find(|instance| instance.name.as_str() == name);
        let path = &instance.ok_or(DriverRefusal::Unknown)?.path;
        match manifest::check(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(DriverRefusal::Refused(crate::verbs::chain(&error))),
        }
    }

    fn look(&self) {
        match DiskRoom::look(&self.state_dir, self.reserve_bytes) {
            Ok(disk) => self.board.see_disk(disk),
            Err(error) => tracing::warn!(%error, "the free space of the state folder cannot be seen"),
        }
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.board.changes()
    }

    fn status(&self) -> StatusFacts {
        self.health()
    }

    fn provider(&self) -> ProviderReply {
        let mut reply = provider::told(&self.link, self.generation);
        if let Some(parameters) = &self.parameters {
            parameters.tell(&mut reply);
        }
        reply
    }

    fn info(&self) -> InfoFacts {
        self.info.clone()
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
    let open = number(overview.open.len().saturating_add(overview.unreadable));
    Counts {
        paid: overview.paid,
        not_debited: overview.debits.saturating_sub(open).saturating_sub(overview.paid),
        closed: overview.sales.saturating_sub(overview.debits),
        in_doubt: open.saturating_sub(number(queried)),
        queried: number(queried),
    }
}
