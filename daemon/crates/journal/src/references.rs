//! The references of all operations, from the tree in which a new sale or load does not look for its own.
//!
//! An operation's row stands in two trees: by its id, and by its reference. A new sale is looked for in the second. A byte that
//! changed there hides a sale that was paid, and a till that repeats its reference would debit its card a second time. A start
//! compares the two trees where that is quick; where it is not, the full check does it while the shop sells, and until then what
//! is not found by its reference is looked for here too.

use std::hash::{BuildHasher, RandomState};

use purser_ledger::Reference;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::ReadError;

/// Every reference that there was at the start, eight bytes for each. One that is added later stands in a tree that was just
/// written.
#[derive(Debug)]
pub(crate) struct References {
    hasher: RandomState,
    sorted: Vec<u64>,
}

impl References {
    /// Reads them: about a tenth of a second for a million.
    pub(crate) fn read(conn: &Connection) -> Result<Self, ReadError> {
        let hasher = RandomState::new();
        let mut sorted = Vec::new();
        // SQLite would read the index if that had all that is asked for; `opening` stands in the other tree alone.
        let mut statement = conn.prepare("SELECT reference, opening FROM operations NOT INDEXED")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            match row.get_ref(0)? {
                ValueRef::Text(reference) => sorted.push(hasher.hash_one(reference)),
                // A settlement's.
                ValueRef::Null => {}
                ValueRef::Blob(_) | ValueRef::Integer(_) | ValueRef::Real(_) => {
                    return Err(ReadError::Row { table: "operations" });
                }
            }
        }
        sorted.sort_unstable();
        Ok(Self { hasher, sorted })
    }

    /// True where an operation may have this reference.
    pub(crate) fn may_have(&self, reference: &Reference) -> bool {
        let hash = self.hasher.hash_one(reference.as_str().as_bytes());
        self.sorted.binary_search(&hash).is_ok()
    }
}
