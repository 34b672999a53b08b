//! Writes and syncs that fail.

use purser_journal::{Journal, verify};
use purser_ledger::Head;

use crate::child;
use crate::common::{NO_RESERVE, folder};
use crate::syncs::{Event, trace};

/// More calls than a run has: an injection at a later one would hit nothing.
const CALLS_MAX: u32 = 2_000;

pub(crate) fn after_a_failed_sync_every_call_answers_that_the_store_is_broken() {
    let whole = trace(child::STEPS, folder().path(), &[]).events;
    let is_first_head = |event: &Event| matches!(event, Event::Told(line) if line.starts_with("1:"));
    let first_head = whole.iter().position(is_first_head).expect("a first entry");
    let syncs_before = whole[..first_head]
        .iter()
        .filter(|event| matches!(event, Event::Sync(_)))
        .count();
    let folder = folder();
    let injection = format!("inject=fsync,fdatasync:error=EIO:when={}", syncs_before + 1);
    let run = trace(child::STEPS, folder.path(), &["-e", &injection]);
    let (told, events) = (run.told(), &run.events);
    assert_eq!(told.len(), 3, "opened, one entry, broken: {events:?}");
    assert_eq!(told.last(), Some(&child::BROKEN));
    assert!(
        matches!(events[events.len() - 2], Event::Sync(_)),
        "nothing is synced after the sync that failed"
    );
    let acknowledged: Head = told[1].parse().expect("a head");
    let report = verify(folder.path(), Some(acknowledged), |_, _| {}).expect("whole");
    assert!(report.head.number <= 2);
    let journal = Journal::open(folder.path(), &NO_RESERVE).expect("the next start recovers");
    assert_eq!(journal.head(), report.head);
}

pub(crate) fn an_error_at_any_write_or_sync_loses_nothing_that_was_acknowledged() {
    let faults = [
        ("fsync,fdatasync", "EIO", 1),
        ("fsync,fdatasync", "ENOSPC", 3),
        ("pwrite64", "EIO", 3),
        ("pwrite64", "ENOSPC", 3),
    ];
    for (calls, error, step) in faults {
        let mut hits = 0;
        for when in (1..CALLS_MAX).step_by(step) {
            if !run_with(calls, error, when) {
                break;
            }
            hits += 1;
        }
        println!("{calls} {error}: {hits} points");
        assert!(hits > 5, "{calls} {error}: {hits} points");
    }
}

/// Lets one call fail; false when the run had not so many calls.
fn run_with(calls: &str, error: &str, when: u32) -> bool {
    let folder = folder();
    let injection = format!("inject={calls}:error={error}:when={when}");
    let run = trace(child::STEPS, folder.path(), &["-e", &injection]);
    let newest = run
        .told()
        .into_iter()
        .filter_map(|line| line.parse::<Head>().ok())
        .next_back();
    let journal = Journal::open(folder.path(), &NO_RESERVE).expect("the next start recovers");
    let newest = newest.unwrap_or(Head::EMPTY);
    let report = verify(folder.path(), Some(newest), |_, _| {}).expect("all that was acknowledged is there");
    assert!(
        report.head.number <= newest.number + 1,
        "{injection}: nothing but the commit on its way"
    );
    assert_eq!(journal.head(), report.head);
    run.is_injected
}
