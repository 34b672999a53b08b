//! The state folder: who may use it, what its disk has left, and what the journal in it tells.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use purser_engine::{LimitLevel, Limits};
use purser_journal::{DiskRoom, OpenError, Overview, Query, Reader};
use purser_ledger::{Account, Claims, ClockRange, Unsettled};

use super::Finding;
use crate::config::Config;
use crate::run::{Clock, clock_problem, disk_problem, limit_problem};

/// Rights that nobody but its owner should have on the state folder.
const RIGHTS_OF_OTHERS: u32 = 0o077;
/// Those with which purserd does not start.
const WRITABLE_BY_OTHERS: u32 = 0o022;

pub(super) fn look(state_dir: &Path, config: Option<&Config>) -> Vec<Finding> {
    let folder = match fs::metadata(state_dir) {
        Ok(folder) => folder,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::from([absent(state_dir)]),
        Err(error) => {
            let cause = format!(
                "the state folder {} cannot be looked at: {error}",
                state_dir.display()
            );
            return vec![Finding::new(
                "state_folder_closed",
                cause,
                "ask as root, or as purserd's user",
            )];
        }
    };
    let mut findings = Vec::new();
    let mode = folder.mode() & 0o7777;
    if mode & RIGHTS_OF_OTHERS != 0 {
        let stops = if mode & WRITABLE_BY_OTHERS != 0 {
            "; purserd does not start with it"
        } else {
            ""
        };
        let cause = format!(
            "others may use the state folder {} (mode {mode:04o}){stops}",
            state_dir.display()
        );
        findings.push(Finding::new("state_folder_open", cause, "run chmod 0700 on it"));
    }
    let usual = purser_journal::Options::default();
    let reserve = config.map_or(usual, Config::journal_options).reserve_bytes;
    let disk = DiskRoom::look(state_dir, reserve).ok();
    findings.extend(disk.and_then(disk_problem).map(Finding::from));
    match Reader::open(state_dir) {
        Ok(reader) => findings.extend(told(&reader, config)),
        Err(OpenError::Absent) => findings.push(absent(state_dir)),
        Err(error) => {
            let remedy = "ask as root, or as purserd's user";
            findings.push(Finding::of("journal_unreadable", &error, remedy));
        }
    }
    findings
}

fn absent(state_dir: &Path) -> Finding {
    Finding::new(
        "no_journal",
        format!("{} holds no journal", state_dir.display()),
        "start purserd once, or name the right folder with --state-dir",
    )
}

fn told(reader: &Reader, config: Option<&Config>) -> Vec<Finding> {
    let damaged = |error: purser_journal::ReadError| {
        let remedy = "keep a copy of the state folder, then run purserd verify-journal";
        vec![Finding::of("journal_unreadable", &error, remedy)]
    };
    let overview = match reader.overview() {
        Ok(overview) => overview,
        Err(error) => return damaged(error),
    };
    let mut findings = Vec::new();
    if !overview.open.is_empty() {
        findings.push(Finding::new(
            "sales_in_doubt",
            format!("{} payments are in doubt", overview.open.len()),
            "present their cards again, which tells by itself; or choose their end with `purserctl conclude`",
        ));
    }
    match newest_unix_seconds(reader) {
        Ok(newest) => findings.extend(clock_finding(newest)),
        Err(error) => return damaged(error),
    }
    let limits = config.map_or_else(Limits::default, |config| config.limits.clone());
    let uses = limits.uses(&claims(&overview), Clock::new().now());
    let near = uses.iter().filter(|it| it.level() != LimitLevel::Within);
    findings.extend(near.filter_map(limit_problem).map(Finding::from));
    findings
}

/// The claims of the books. How old they are the running daemon tells.
fn claims(overview: &Overview) -> Unsettled {
    let totals = &overview.totals;
    let of = |account, currency| Claims {
        count: totals.count(account, currency),
        minor: totals.books().balance(account, currency).minor(),
        oldest_unix_seconds: None,
    };
    let currencies = totals.books().currencies().into_iter();
    currencies.fold(Unsettled::default(), |unsettled, currency| {
        let (open, in_batch) = (of(Account::Claims, currency), of(Account::InBatch, currency));
        unsettled.with(currency, open, in_batch)
    })
}

fn newest_unix_seconds(reader: &Reader) -> Result<Option<i64>, purser_journal::ReadError> {
    let query = Query {
        after: reader.head()?.number.saturating_sub(1),
        limit: 1,
        ..Query::default()
    };
    let newest = reader.entries(&query)?.pop();
    Ok(newest.map(|entry| entry.content.at.unix_seconds))
}

fn clock_finding(newest: Option<i64>) -> Option<Finding> {
    let range = ClockRange::new(crate::run::built_unix_seconds(), newest);
    clock_problem(range, Clock::new().shown()).map(Finding::from)
}
