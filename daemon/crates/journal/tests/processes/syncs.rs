//! Syncs as strace counts them.

use std::path::Path;
use std::process::Command;

use purser_journal::Journal;
use purser_ledger::Store;

use crate::child::{self, STEPS_SALES};
use crate::common::{NO_RESERVE, Sale, folder};

/// What a traced process did, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line that it told.
    Told(String),
    /// A sync of the file of this name.
    Sync(String),
}

/// A traced run.
pub(crate) struct Trace {
    pub(crate) events: Vec<Event>,
    /// Whether strace let a call fail.
    pub(crate) is_injected: bool,
}

impl Trace {
    /// The lines that it told.
    pub(crate) fn told(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Told(line) => Some(line.as_str()),
                Event::Sync(_) => None,
            })
            .collect()
    }
}

/// Runs a process under strace with further options.
pub(crate) fn trace(role: &str, state_dir: &Path, options: &[&str]) -> Trace {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let child = child::command(role, state_dir);
    let output = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-y",
            "-s",
            "200",
            "-e",
            "trace=fsync,fdatasync,sync_file_range,write,pwrite64",
        ])
        .args(options)
        .arg("-o")
        .arg(log.path())
        .arg(child.get_program())
        .args(child.get_args())
        .output()
        .expect("strace is installed");
    let log = std::fs::read_to_string(log.path()).expect("readable");
    assert!(
        !log.is_empty(),
        "strace traced nothing: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Trace {
        events: log.lines().filter_map(event).collect(),
        is_injected: log.contains("(INJECTED)"),
    }
}

/// Reads a line such as `12 fsync(5</dir/journal.db-wal>) = 0` or `12 write(1<pipe:[7]>, "opened\n", 7) = 7`.
fn event(line: &str) -> Option<Event> {
    let call = line.split_once(' ')?.1.trim_start();
    if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
        let path = call.split_once('<')?.1.split_once('>')?.0;
        let name = Path::new(path).file_name()?.to_string_lossy();
        return Some(Event::Sync(name.into_owned()));
    }
    let told = call
        .strip_prefix("write(1<")?
        .split_once('"')?
        .1
        .split_once("\\n")?
        .0;
    Some(Event::Told(told.to_owned()))
}

fn is_head(event: &Event) -> bool {
    matches!(event, Event::Told(line) if line.contains(':'))
}

pub(crate) fn a_commit_in_steady_state_makes_one_sync() {
    let folder = folder();
    let events = trace(child::STEPS, folder.path(), &[]).events;
    let is_told = |event: &Event| matches!(event, Event::Told(_));
    let commits: Vec<_> = events
        .split_inclusive(is_told)
        .filter(|events| events.last().is_some_and(is_head))
        .collect();
    let expected = usize::try_from(4 * STEPS_SALES).expect("few");
    assert_eq!(commits.len(), expected, "{events:?}");
    for commit in commits {
        assert_eq!(commit.len(), 2, "one sync, then it is told: {commit:?}");
        assert_eq!(commit[0], Event::Sync("journal.db-wal".to_owned()));
    }
    let maintained = Event::Told(child::MAINTAINED.to_owned());
    let maintenance = events
        .split_inclusive(is_told)
        .find(|events| events.last() == Some(&maintained));
    assert!(
        maintenance.is_some_and(|events| events.len() > 3),
        "the checkpoint and the header's sync are seen"
    );
}

pub(crate) fn a_start_checkpoints_and_syncs_before_it_believes_an_entry() {
    let folder = folder();
    let mut journal = Journal::open(folder.path(), &NO_RESERVE).expect("the journal opens");
    for n in 900..905 {
        journal
            .append(&[Sale::new(n).closed()])
            .expect("the journal works")
            .remove(0)
            .expect("taken");
    }
    drop(journal);
    let events = trace(child::STEPS, folder.path(), &[]).events;
    let opened = events
        .iter()
        .position(|event| *event == Event::Told(child::OPENED.to_owned()));
    let start = &events[..opened.expect("it opens")];
    let of = |name: &str| {
        start
            .iter()
            .position(|event| *event == Event::Sync(name.to_owned()))
    };
    let (wal, data_base) = (
        of("journal.db-wal").expect("synced"),
        of("journal.db").expect("synced"),
    );
    assert!(
        wal < data_base,
        "first the WAL, then what was moved out of it: {start:?}"
    );
}
