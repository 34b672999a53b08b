//! The journal on its thread: answers in order, grouped syncs, a bounded queue, and upkeep when nothing is asked.

mod common;

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::disk::SmallDisk;
use common::{NO_RESERVE, Sale, folder, open, store};
use purser_journal::{Done, Job, Journal, JournalThread, NotTaken, Reader, verify};
use purser_ledger::{Find, Refused, Standing};
use tempfile::TempDir;

/// Longer than any answer or upkeep takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(journal: Journal) -> (JournalThread, Receiver<Done>) {
    let (answers, received) = channel();
    let thread = JournalThread::start(journal, move |done| drop(answers.send(done))).expect("it starts");
    (thread, received)
}

fn find(id: u64, sale: Sale) -> Job {
    Job::Find {
        id,
        query: Find::Reference(sale.reference()),
    }
}

/// An answer in short, for comparison.
fn short(done: Done) -> String {
    match done {
        Done::Committed {
            receipt,
            content,
            head,
        } => {
            assert_eq!(receipt.head(), head);
            assert_eq!(
                (receipt.operation(), receipt.step()),
                (content.operation, content.step)
            );
            format!("committed {}", head.number)
        }
        Done::Refused { step, refused, .. } => format!("refused {step} {refused:?}"),
        Done::Found {
            id,
            found: Ok(stored),
            disk,
        } => {
            assert!(
                disk.is_some_and(|disk| disk.free_bytes > 0),
                "a find tells of the disk"
            );
            let standing = stored.and_then(|stored| Some(stored.operation().sale()?.standing.clone()));
            format!("found {id} {}", matches!(standing, Some(Standing::Paid(_))))
        }
        Done::Found {
            id, found: Err(_), ..
        } => format!("damaged {id}"),
        Done::Broken(_) => "broken".to_owned(),
    }
}

fn next(received: &Receiver<Done>) -> String {
    short(received.recv_timeout(PATIENCE).expect("an answer"))
}

#[test]
fn answers_come_in_the_order_of_their_jobs() {
    let folder = folder();
    let (thread, received) = start(open(&folder));
    let [first, second] = [1, 2].map(Sale::new);
    let jobs = [
        find(70, first),
        Job::Commit(first.intended()),
        Job::Commit(second.intended()),
        find(71, first),
        Job::Commit(first.paid(1, false)),
        find(72, first),
        Job::Commit(first.intended()),
        Job::Commit(second.voided(1)),
    ];
    let expected = [
        "found 70 false",
        "committed 1",
        "committed 2",
        "found 71 false",
        "committed 3",
        "found 72 true",
        "refused 0 Exists",
        "committed 4",
    ];
    jobs.into_iter()
        .for_each(|job| thread.submit(job).expect("taken"));
    expected
        .into_iter()
        .for_each(|expected| assert_eq!(next(&received), expected));
    drop(thread);
    assert!(received.recv().is_err(), "no answer without a job");
    open(&folder);
}

#[test]
fn all_that_was_taken_is_done_before_the_thread_ends() {
    let folder = folder();
    let (thread, received) = start(open(&folder));
    (0..100).for_each(|n| thread.submit(Job::Commit(Sale::new(n).closed())).expect("taken"));
    drop(thread);
    assert_eq!(received.iter().count(), 100);
    assert_eq!(
        verify(folder.path(), None, |_, _| {}).expect("whole").head.number,
        100
    );
}

#[test]
fn a_full_queue_is_an_answer_and_not_a_wait() {
    let folder = folder();
    let (gate, closed) = channel::<()>();
    let wait = move |_| assert!(closed.recv().is_err(), "the gate opens by going");
    let thread = JournalThread::start(open(&folder), wait).expect("it starts");
    let refusal = (0..10_000).find_map(|n| thread.submit(find(n, Sale::new(0))).err());
    assert_eq!(refusal, Some(NotTaken::Full));
    assert!(NotTaken::Full.is_transient());
    drop(gate);
}

#[test]
fn the_end_of_a_thread_is_waited_for_but_not_for_ever() {
    let folder = folder();
    let (thread, received) = start(open(&folder));
    (0..100).for_each(|n| thread.submit(Job::Commit(Sale::new(n).closed())).expect("taken"));
    assert!(thread.end(PATIENCE));
    assert_eq!(received.iter().count(), 100);
    let (gate, closed) = channel::<()>();
    let hang = move |_| assert!(closed.recv().is_err(), "the gate opens by going");
    let thread = JournalThread::start(open(&folder), hang).expect("it starts");
    thread.submit(find(1, Sale::new(0))).expect("taken");
    assert!(!thread.end(Duration::from_millis(50)));
    drop(gate);
}

/// The WAL's checkpoints as the upkeep row counts them.
fn checkpoints(folder: &TempDir) -> i64 {
    let conn = rusqlite::Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.query_row("SELECT checkpoints FROM upkeep", (), |row| row.get(0))
        .expect("readable")
}

#[test]
fn upkeep_waits_for_the_end_of_a_sale_and_is_done_once_when_nothing_is_asked() {
    let folder = folder();
    let (thread, received) = start(open(&folder));
    let before = checkpoints(&folder);
    thread
        .submit(Job::Commit(Sale::new(1).intended()))
        .expect("taken");
    assert_eq!(next(&received), "committed 1");
    // The debit takes longer than the idle time: the journal must be left as it is.
    assert!(received.recv_timeout(Duration::from_millis(4_500)).is_err());
    assert_eq!(checkpoints(&folder), before);
    thread
        .submit(Job::Commit(Sale::new(1).paid(1, false)))
        .expect("taken");
    assert_eq!(next(&received), "committed 2");
    let end = Instant::now() + PATIENCE;
    while checkpoints(&folder) == before {
        assert!(Instant::now() < end, "upkeep comes");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(checkpoints(&folder), before + 1);
    drop(thread);
    assert_eq!(
        Reader::open(folder.path())
            .and_then(|reader| Ok(reader.head()?))
            .expect("readable")
            .number,
        2
    );
}

#[test]
fn a_busy_journal_keeps_its_wal_short() {
    let folder = folder();
    let (thread, received) = start(open(&folder));
    for n in 0..400 {
        thread
            .submit(Job::Commit(Sale::longest(n).intended()))
            .expect("taken");
        next(&received);
        thread
            .submit(Job::Commit(Sale::longest(n).paid(1, false)))
            .expect("taken");
        next(&received);
    }
    drop(thread);
    let wal = std::fs::metadata(folder.path().join("journal.db-wal"))
        .expect("it is there")
        .len();
    assert!(wal < 5 << 20, "{wal} bytes");
}

#[test]
fn a_journal_that_breaks_says_so_and_takes_nothing_more() {
    let disk = SmallDisk::tmpfs(24);
    let mut journal = Journal::open(&disk.state_dir(), &NO_RESERVE).expect("the journal opens");
    store(&mut journal, Sale::longest(0).intended());
    // Takes the reserved room away behind the journal's back, so that evidence cannot be written.
    let wal = std::fs::OpenOptions::new()
        .write(true)
        .open(disk.state_dir().join("journal.db-wal"))
        .expect("it opens");
    wal.set_len(32 + 4120 * journal.wal_frames()).expect("shorter");
    disk.fill();
    let (thread, received) = start(journal);
    thread
        .submit(Job::Commit(Sale::longest(1).intended()))
        .expect("taken");
    assert_eq!(next(&received), format!("refused 0 {:?}", Refused::NoRoom));
    thread
        .submit(Job::Commit(Sale::longest(0).paid(1, false)))
        .expect("taken");
    assert_eq!(next(&received), "broken");
    assert!(received.recv_timeout(PATIENCE).is_err(), "the thread ended");
    assert_eq!(thread.submit(find(1, Sale::new(0))), Err(NotTaken::Ended));
    assert!(!NotTaken::Ended.is_transient());
    drop(thread);
    disk.free();
    let journal = Journal::open(&disk.state_dir(), &NO_RESERVE).expect("the next start recovers");
    assert_eq!(journal.head().number, 1);
}
