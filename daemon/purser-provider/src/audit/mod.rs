//! `audit`: derives again, from the evidence that is stored, everything that the data base says.
//!
//! It believes nothing that `serve` has concluded, and uses none of its code: documents are read by [`raw`], digests,
//! sums and books are reckoned here. Shared are the cipher and the signature check. It reads one snapshot, a row at a
//! time, while `serve` may go on.

mod batches;
mod facts;
mod hot_lists;
mod ledger;
mod loads;
mod permits;
mod queries;
mod raw;

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::fault::Failure;
use crate::masters::KeyFile;
use crate::store::Store;

/// So many findings are told; a data base with more is beyond a list.
const FINDINGS_MAX: usize = 1_000;

/// What one currency has to come to.
#[derive(Debug, Default)]
struct Expected {
    issued: i128,
    loads_in_doubt: i128,
    refunds_owed: i128,
    permits: i128,
    merchant_debt: i128,
    outstanding: i128,
    unexplained: i128,
}

/// The audit under way.
struct Audit<'a> {
    sql: &'a Connection,
    keys: &'a KeyFile,
    signing_key: &'a [u8],
    provider: String,
    findings: Vec<(&'static str, String)>,
    expected: BTreeMap<String, Expected>,
}

impl Audit<'_> {
    fn find(&mut self, name: &'static str, what: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push((name, what.into()));
        }
    }

    fn check(&mut self, holds: bool, name: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.find(name, what());
        }
    }

    fn expected(&mut self, currency: &str) -> &mut Expected {
        self.expected.entry(currency.to_owned()).or_default()
    }

    /// True when the signature is the provider's over the bytes.
    fn is_signed(&self, document: &[u8], signature: &[u8]) -> bool {
        crate::authority::verifies(self.signing_key, document, signature)
    }
}

/// Audits; one object a finding.
pub(crate) fn audit(store: &Store, keys: &KeyFile, signing_key: &[u8]) -> Result<Vec<Value>, Failure> {
    let provider = store.provider()?.name;
    // One snapshot for everything.
    let sql = store.reader().unchecked_transaction()?;
    let mut audit = Audit {
        sql: &sql,
        keys,
        signing_key,
        provider,
        findings: Vec::new(),
        expected: BTreeMap::new(),
    };
    facts::check(&mut audit)?;
    loads::check(&mut audit)?;
    batches::check(&mut audit)?;
    queries::check(&mut audit)?;
    ledger::check(&mut audit)?;
    let findings = audit.findings.iter();
    Ok(findings
        .map(|(name, what)| json!({ "finding": name, "what": what }))
        .collect())
}
