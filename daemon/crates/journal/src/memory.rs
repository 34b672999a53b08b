//! What the writer keeps in memory: a mirror of the derived rows that each commit needs.

use std::collections::BTreeMap;

use purser_ledger::{AnyOperation, Batches, Head, OperationId};
use rusqlite::Connection;

use crate::chain::ChainKey;
use crate::rows;
use crate::{ReadError, Totals, batches, room};

/// The newest head, the totals, and the sales and loads that are open, as they are durable.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) head: Head,
    pub(crate) totals: Totals,
    pub(crate) open: BTreeMap<OperationId, AnyOperation>,
    /// How many more are open that cannot be read.
    pub(crate) unreadable: usize,
    /// Where settlement stands.
    pub(crate) batches: Batches,
}

impl Memory {
    /// Reads it; an open operation is taken over only if its entries stand in their places in the record chain.
    pub(crate) fn load(conn: &Connection, key: &ChainKey) -> Result<Self, ReadError> {
        let rows::Open {
            operations,
            loads,
            unreadable,
            unreadable_loads,
            ..
        } = rows::open(conn, Some(key))?;
        let sales = operations.into_iter().map(AnyOperation::Sale);
        let open = sales.chain(loads.into_iter().map(AnyOperation::Load));
        Ok(Self {
            head: rows::head(conn)?,
            totals: Totals::load(conn)?,
            unreadable: unreadable.saturating_add(unreadable_loads),
            batches: batches::load(conn, key)?,
            open: open.map(|operation| (operation.id(), operation)).collect(),
        })
    }

    /// Commits that all open operations together may still need to their end.
    pub(crate) fn commits_to_end(&self) -> u64 {
        let open = self.open.values().map(room::commits_to_end);
        let batches = self.batches.all_under_way().map(room::commits_to_end_batch);
        open.chain(batches).fold(0, u64::saturating_add)
    }

    /// Takes over what a group changed, once it is durable.
    pub(crate) fn absorb(&mut self, staged: Staged) {
        self.head = staged.head;
        self.totals = staged.totals;
        self.batches = staged.batches;
        for (id, operation) in staged.changed {
            let is_batch = operation.settlement().is_some();
            if operation.is_open() && !is_batch {
                self.open.insert(id, operation);
            } else {
                self.open.remove(&id);
            }
        }
    }
}

/// Refuses an operation of which an entry was not found: each that is found fits the record chain, but an index that lost the
/// newest would tell a sale that was paid as one that is in doubt. `known` is the head of the operation as the memory has it, which
/// has every one that is open or under way.
pub(crate) fn check_whole(known: Option<Head>, found: &AnyOperation) -> Result<(), ReadError> {
    let is_whole = match known {
        Some(known) => known == found.head(),
        None => !found.is_open(),
    };
    if is_whole {
        Ok(())
    } else {
        Err(ReadError::Row {
            table: "entries_by_operation",
        })
    }
}

/// What the commits of one group have changed so far.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) head: Head,
    pub(crate) totals: Totals,
    pub(crate) changed: BTreeMap<OperationId, AnyOperation>,
    pub(crate) batches: Batches,
    /// Commits that all open operations may still need to their end, with those that the group opened.
    pub(crate) to_end: u64,
    /// How many commits of the group were admitted.
    pub(crate) commits: u64,
}

impl Staged {
    pub(crate) fn new(memory: &Memory) -> Self {
        Self {
            head: memory.head,
            totals: memory.totals.clone(),
            changed: BTreeMap::new(),
            batches: memory.batches.clone(),
            to_end: memory.commits_to_end(),
            commits: 0,
        }
    }
}

/// A length as a number that room is reckoned in.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
