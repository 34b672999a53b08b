//! Processes that are killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use purser_journal::{Journal, OpenError, verify};
use purser_ledger::Head;

use crate::child;
use crate::common::{NO_RESERVE, folder};

/// Writers that are killed one after the other on one journal.
const KILLS: u64 = 40;

pub(crate) fn a_journal_in_use_by_another_process_names_it() {
    let folder = folder();
    let mut holder = start(child::HOLD, folder.path());
    let mut lines = lines(&mut holder);
    assert_eq!(lines.next().expect("a line"), child::OPENED);
    let refused = Journal::open(folder.path(), &NO_RESERVE).expect_err("it is in use");
    assert!(
        matches!(refused, OpenError::Locked { pid: Some(pid) } if pid == holder.id()),
        "{refused:?}"
    );
    holder.kill().and_then(|()| holder.wait()).expect("it ends");
    Journal::open(folder.path(), &NO_RESERVE).expect("a killed process holds no lock");
}

pub(crate) fn no_acknowledged_entry_is_lost_when_the_writer_is_killed() {
    let folder = folder();
    let mut acknowledged = 0;
    let mut random = Random(u64::from(std::process::id()));
    println!("seed {}", random.0);
    for _ in 0..KILLS {
        let mut writer = start(child::SELL, folder.path());
        let mut lines = lines(&mut writer);
        let first = lines.next().expect("the first entry");
        let more = random.below(12);
        let newest = lines
            .by_ref()
            .take(usize::try_from(more).expect("few"))
            .last()
            .unwrap_or(first);
        std::thread::sleep(Duration::from_micros(random.below(1_500)));
        writer.kill().and_then(|()| writer.wait()).expect("it ends");
        let newest: Head = lines.last().unwrap_or(newest).parse().expect("a head");
        assert!(newest.number > acknowledged);
        acknowledged = newest.number;
        let report =
            verify(folder.path(), Some(newest), |_, _| {}).expect("whole as the killed process left it");
        assert!(
            report.head.number - acknowledged <= 1,
            "at most one commit was on its way"
        );
        let journal = Journal::open(folder.path(), &NO_RESERVE).expect("the journal opens");
        assert_eq!(journal.head(), report.head);
        acknowledged = report.head.number;
    }
    println!("{acknowledged} entries, {KILLS} kills");
}

fn start(role: &str, state_dir: &Path) -> Child {
    let mut command = child::command(role, state_dir);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = child.stdout.take().expect("the output is piped");
    BufReader::new(out).lines().map_while(Result::ok)
}

/// Xorshift (Marsaglia 2003): enough to spread moments, and replayed from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
