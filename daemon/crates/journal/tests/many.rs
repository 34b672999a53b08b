//! Ten thousand sales: how many WAL frames they take, and that all of them are found whole.

mod common;

use common::load::Load;
use common::{Sale, fast_folder, open, store, yen};
use purser_journal::{FOLLOWING_FRAMES, Journal, Maintained, OPENING_FRAMES, Reader, SLACK_FRAMES, verify};
use purser_ledger::{Account, Commit};

const SALES: u32 = 10_000;
/// Sales between two checkpoints: what a busy shop does between idle moments.
const SALES_BETWEEN_CHECKPOINTS: u32 = 20;

/// How far runs of commits exceed what is reckoned for each: the largest sum over any run.
#[derive(Default)]
struct Excess {
    run: i64,
    worst: i64,
    most_at_once: u64,
}

impl Excess {
    fn measure(&mut self, journal: &mut Journal, commit: Commit) {
        let reckoned = if commit.entry.needs_free_room() {
            OPENING_FRAMES
        } else {
            FOLLOWING_FRAMES
        };
        let before = journal.wal_frames();
        store(journal, commit);
        let frames = journal.wal_frames() - before;
        let over = i64::try_from(frames).expect("small") - i64::try_from(reckoned).expect("small");
        self.run = (self.run + over).max(0);
        self.worst = self.worst.max(self.run);
        self.most_at_once = self.most_at_once.max(frames);
    }
}

#[test]
fn ten_thousand_of_the_longest_sales_keep_within_their_frames_and_are_found_whole() {
    let folder = fast_folder();
    let mut journal = open(&folder);
    let mut excess = Excess::default();
    let mut doubtful = Vec::new();
    for n in 0..SALES {
        let sale = Sale::longest(n);
        excess.measure(&mut journal, sale.intended());
        if n % 10 == 0 {
            excess.measure(&mut journal, sale.in_doubt(1));
            doubtful.push(sale);
        } else {
            excess.measure(&mut journal, sale.paid(1, false));
        }
        if doubtful.len() >= 30 {
            let resolved = doubtful.remove(0);
            excess.measure(&mut journal, resolved.queried(2));
            excess.measure(&mut journal, resolved.paid(3, false));
        }
        if n % SALES_BETWEEN_CHECKPOINTS == 0 {
            assert_eq!(
                journal.maintain().expect("the journal works"),
                Maintained::Restarted
            );
        }
    }
    println!(
        "worst run: {} frames over, most in one commit: {}",
        excess.worst, excess.most_at_once
    );
    assert!(excess.most_at_once > 0, "something was measured");
    assert!(
        excess.worst <= i64::try_from(SLACK_FRAMES).expect("small"),
        "{} frames over",
        excess.worst
    );
    let head = journal.head();
    let mut calls = 0;
    let report = verify(folder.path(), Some(head), |_, _| calls += 1).expect("whole, beside its writer");
    assert_eq!(
        (report.head, report.operations, report.debits),
        (head, 10_000, 10_000)
    );
    assert_eq!(report.open, u64::try_from(doubtful.len()).expect("small"));
    assert!(calls > 10, "progress is told");
    let (totals, _) = Reader::open(folder.path())
        .expect("readable")
        .totals()
        .expect("readable");
    let currency = yen(0).currency();
    assert_eq!(totals.count(Account::Claims, currency), 10_000 - report.open);
    assert_eq!(totals.books().balance(Account::Sales, currency), yen(3_000_000));
    assert!(totals.books().are_balanced());
}

#[test]
fn loads_with_the_longest_entries_keep_within_their_frames_and_are_found_whole() {
    const LOADS: u32 = 2_000;
    let folder = fast_folder();
    let mut journal = open(&folder);
    let mut excess = Excess::default();
    for n in 0..LOADS {
        for commit in Load::longest(n).steps() {
            excess.measure(&mut journal, commit);
        }
        if n % SALES_BETWEEN_CHECKPOINTS == 0 {
            journal.maintain().expect("the journal works");
        }
    }
    println!(
        "worst run: {} frames over, most in one commit: {}",
        excess.worst, excess.most_at_once
    );
    assert!(
        excess.worst <= i64::try_from(SLACK_FRAMES).expect("small"),
        "{} frames over",
        excess.worst
    );
    let report = verify(folder.path(), Some(journal.head()), |_, _| {}).expect("whole");
    assert_eq!((report.operations, report.open), (u64::from(LOADS), 0));
}
