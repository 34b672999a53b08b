//! What the processes do. Each line that one prints tells of something durable.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use purser_journal::Journal;
use purser_ledger::{Commit, Find, Store, StoreBroken};

use crate::common::{NO_RESERVE, Sale};

pub(crate) const ARGUMENT: &str = "child";

/// Sells without end: an intent and its outcome, after whatever an earlier process left open.
pub(crate) const SELL: &str = "sell";
/// Opens the journal and keeps it until its input ends.
pub(crate) const HOLD: &str = "hold";
/// Sells a few times, maintains, sells again; tells of each call; ends at the first that fails.
pub(crate) const STEPS: &str = "steps";

/// Sales before [`STEPS`] maintains the journal, and after it.
pub(crate) const STEPS_SALES: u32 = 4;

/// A line that stands for no entry.
pub(crate) const OPENED: &str = "opened";
pub(crate) const MAINTAINED: &str = "maintained";
pub(crate) const BROKEN: &str = "broken";

/// How to start one.
pub(crate) fn command(role: &str, state_dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test has a file"));
    command.args([ARGUMENT, role]).arg(state_dir);
    command
}

pub(crate) fn play(role: &str, state_dir: &Path) {
    match role {
        SELL => sell(state_dir),
        HOLD => hold(state_dir),
        STEPS => steps(state_dir),
        other => unreachable!("no role is called {other}"),
    }
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .expect("the test listens");
}

fn append(journal: &mut Journal, commit: Commit) -> Result<(), StoreBroken> {
    let head = journal.append(&[commit])?.remove(0).expect("the commit is taken");
    tell(&head.to_string());
    Ok(())
}

fn sell(state_dir: &Path) {
    let mut journal = Journal::open(state_dir, &NO_RESERVE).expect("the journal opens");
    let snapshot = journal.snapshot().expect("readable");
    for operation in snapshot.open {
        let n = operation.key().expect("an intended debit").terminal_sn;
        append(&mut journal, Sale::new(n).paid(operation.next_step, false)).expect("the journal works");
    }
    let first = snapshot.terminal_sn_max.map_or(0, |highest| highest + 1);
    for n in first.. {
        append(&mut journal, Sale::new(n).intended()).expect("the journal works");
        append(&mut journal, Sale::new(n).paid(1, false)).expect("the journal works");
        if n % 8 == 0 {
            journal.maintain().expect("the journal works");
        }
    }
}

fn hold(state_dir: &Path) {
    let _journal = Journal::open(state_dir, &NO_RESERVE).expect("the journal opens");
    tell(OPENED);
    let mut end = Vec::new();
    std::io::stdin()
        .read_to_end(&mut end)
        .expect("the test ends the input");
}

fn steps(state_dir: &Path) {
    let Ok(mut journal) = Journal::open(state_dir, &NO_RESERVE) else {
        return;
    };
    tell(OPENED);
    if all_steps(&mut journal).is_ok() {
        return;
    }
    let calls = [
        journal.append(&[Sale::new(900).intended()]).is_err(),
        journal.append(&[]).is_err(),
        journal.find(&Find::Reference(Sale::new(0).reference())).is_err(),
        journal.snapshot().is_err(),
        journal.maintain().is_err(),
    ];
    assert_eq!(calls, [true; 5], "a broken journal answers nothing else");
    tell(BROKEN);
}

fn all_steps(journal: &mut Journal) -> Result<(), StoreBroken> {
    for n in 0..STEPS_SALES {
        append(journal, Sale::new(n).intended())?;
        append(journal, Sale::new(n).paid(1, false))?;
    }
    journal.maintain()?;
    tell(MAINTAINED);
    for n in STEPS_SALES..2 * STEPS_SALES {
        append(journal, Sale::new(n).intended())?;
        append(journal, Sale::new(n).paid(1, false))?;
    }
    Ok(())
}
