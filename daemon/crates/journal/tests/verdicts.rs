//! The provider's verdicts are kept beside the chain, and damage to them is nobody's but theirs.

mod common;

use std::fs;

use common::batch::{exchanged, found, id, keep_all, sealed, sell, signed, verdict, whole};
use common::disk::SmallDisk;
use common::{Sale, folder, open, store, yen};
use purser_journal::{Finding, Journal, JournalThread, KeepError, MendError, NotKept, Options, Reader, mend};
use purser_provider_link::{Decision, Reason, Verdict};
use rusqlite::Connection;
use tempfile::TempDir;

#[test]
fn verdicts_are_kept_only_while_their_batch_is_under_way_and_the_last_word_counts() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..2);
    let early = journal
        .keep_verdicts(id(1), &[signed(&verdict(1, 0))])
        .expect("the journal works");
    assert_eq!(early, Err(NotKept::NotUnderWay));
    store(&mut journal, sealed(1, (0, 4), 2));
    let hold = Verdict {
        decision: Decision::Hold(Reason::AlreadyPaid),
        ..verdict(1, 1)
    };
    let again = Verdict {
        revision: 1,
        ..verdict(1, 1)
    };
    let too_many = vec![signed(&hold); 1_001];
    let refused = journal
        .keep_verdicts(id(1), &too_many)
        .expect("the journal works");
    assert_eq!(refused, Err(NotKept::TooMany));
    let words = [signed(&verdict(1, 0)), signed(&hold), signed(&again)];
    assert_eq!(
        journal.keep_verdicts(id(1), &words).expect("the journal works"),
        Ok(())
    );
    drop(journal);
    let journal = open(&folder);
    let thread = JournalThread::start(journal, |_| {}).expect("a thread");
    let keeper = thread.keeper();
    assert_eq!(keeper.keep(id(1), vec![signed(&again)]), Ok(()));
    assert_eq!(
        keeper.keep(id(9), vec![signed(&again)]),
        Err(KeepError::NotKept(NotKept::NotUnderWay))
    );
    drop(thread);
    assert!(matches!(
        keeper.keep(id(1), Vec::new()),
        Err(KeepError::NotTaken(_))
    ));
    let reader = Reader::open(folder.path()).expect("readable");
    let last = reader.verdicts(id(1), 0, 10).expect("readable");
    assert_eq!(last, [signed(&verdict(1, 0)), signed(&again)]);
}

#[test]
fn verify_finds_a_verdict_that_is_lost_or_changed_and_an_exchange_without_them() {
    for spoil in [
        "DELETE FROM verdicts WHERE place = 1",
        "UPDATE verdicts SET bytes = X'00' WHERE place = 0",
        "UPDATE verdicts SET place = 9 WHERE place = 2",
        "DELETE FROM verdicts",
    ] {
        let folder = folder();
        let mut journal = open(&folder);
        sell(&mut journal, 0..3);
        store(&mut journal, sealed(1, (0, 6), 3));
        keep_all(&mut journal, 1, 3);
        store(&mut journal, exchanged(1, 3));
        journal.maintain().expect("the journal works");
        drop(journal);
        whole(&folder);
        let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
        conn.execute(spoil, ()).expect(spoil);
        drop(conn);
        let finding = found(&folder);
        assert!(
            matches!(finding, Finding::Verdicts { number: 8 }),
            "{spoil}: {finding:?}"
        );
        assert!(!finding.hits_all(), "sales go on");
    }
}

fn spoil(folder: &TempDir, sql: &str) {
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.execute_batch(sql).expect(sql);
}

/// Two exchanged batches of three claims, all in the data base file.
fn two_batches() -> TempDir {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..3);
    store(&mut journal, sealed(1, (0, 6), 3));
    keep_all(&mut journal, 1, 3);
    store(&mut journal, exchanged(1, 3));
    sell(&mut journal, 3..6);
    store(&mut journal, sealed(2, (6, 14), 3));
    keep_all(&mut journal, 2, 3);
    store(&mut journal, exchanged(2, 3));
    journal.maintain().expect("the journal works");
    folder
}

#[test]
fn a_changed_verdict_neither_hides_other_damage_nor_keeps_it_from_being_mended() {
    const FLIP: &str =
        "UPDATE verdicts SET bytes = X'00' WHERE place = 0 AND bytes = (SELECT min(bytes) FROM verdicts);";
    for (damage, is_there) in [
        ("DELETE FROM batches WHERE sealed = 15", true),
        ("UPDATE balances SET minor = minor + 1", true),
        ("", false),
    ] {
        let folder = two_batches();
        spoil(&folder, FLIP);
        spoil(&folder, damage);
        let finding = found(&folder);
        assert_eq!(finding.hits_all(), is_there, "{damage}: {finding:?}");
        let mended = mend(folder.path(), "a test");
        if is_there {
            let left = mended.expect(damage).left;
            assert!(matches!(left, Some(Finding::Verdicts { .. })), "{left:?}");
        } else {
            assert!(matches!(mended, Err(MendError::Verdicts(_))), "{mended:?}");
        }
        let finding = found(&folder);
        assert!(
            matches!(finding, Finding::Verdicts { .. }),
            "{damage}: {finding:?}"
        );
        store(&mut open(&folder), Sale::new(9).intended());
    }
}

/// Makes a page that holds verdicts one that SQLite does not know; false when there are not so many.
fn spoil_page(folder: &TempDir, n: usize) -> bool {
    const PAGE: usize = 4096;
    let path = folder.path().join("journal.db");
    let mut bytes = fs::read(&path).expect("readable");
    let holds = |page: &[u8]| page.windows(64).any(|bytes| bytes == [0x51; 64]);
    let mut pages = bytes.chunks_mut(PAGE).filter(|page| holds(page));
    let Some(page) = pages.nth(n) else { return false };
    page[0] = 0xFF;
    fs::write(&path, bytes).expect("written");
    true
}

#[test]
fn a_page_of_verdicts_that_is_none_stops_no_sale_and_is_mended() {
    const CLAIMS: u32 = 40;
    let make = |is_exchanged: bool| {
        let folder = folder();
        let mut journal = open(&folder);
        sell(&mut journal, 0..CLAIMS);
        store(&mut journal, sealed(1, (0, u64::from(2 * CLAIMS)), CLAIMS));
        keep_all(&mut journal, 1, CLAIMS);
        if is_exchanged {
            store(&mut journal, exchanged(1, CLAIMS));
        }
        journal.maintain().expect("the journal works");
        folder
    };
    for is_exchanged in [true, false] {
        for page in 0.. {
            let folder = make(is_exchanged);
            if !spoil_page(&folder, page) {
                assert!(page > 2, "there were some pages: {page}");
                break;
            }
            let finding = found(&folder);
            assert!(matches!(finding, Finding::VerdictPages), "{page}: {finding:?}");
            assert!(!finding.hits_all(), "sales go on");
            let mut journal = open(&folder);
            store(&mut journal, Sale::new(90).intended());
            if !is_exchanged {
                let all: Vec<_> = (0..CLAIMS).map(|place| signed(&verdict(1, place))).collect();
                let kept = journal.keep_verdicts(id(1), &all).expect("the journal works");
                assert_eq!(kept, Err(NotKept::Damaged));
            }
            store(&mut journal, Sale::new(90).paid(1, false));
            drop(journal);
            let mended = mend(folder.path(), "a test").expect("it is mended");
            let note = fs::read_to_string(folder.path().join("journal.mends")).expect("readable");
            assert!(note.contains(&format!("not read: [{:?}]", id(1))), "{note}");
            if is_exchanged {
                assert!(
                    matches!(mended.left, Some(Finding::Verdicts { .. })),
                    "{mended:?}"
                );
            } else {
                whole(&folder);
                let mut journal = open(&folder);
                keep_all(&mut journal, 1, CLAIMS);
                store(&mut journal, exchanged(1, CLAIMS));
                whole(&folder);
            }
        }
    }
}

#[test]
fn a_later_word_replaces_an_earlier_one_whatever_it_calls_itself() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..3);
    store(&mut journal, sealed(1, (0, 6), 3));
    // The words of a try whose permit did not match them.
    for revision in [9, 255, 3] {
        let words = (0..3).map(|place| {
            signed(&Verdict {
                revision,
                decision: Decision::Hold(Reason::AlreadyPaid),
                ..verdict(1, place)
            })
        });
        let words: Vec<_> = words.collect();
        let kept = journal.keep_verdicts(id(1), &words).expect("the journal works");
        assert_eq!(kept, Ok(()));
    }
    keep_all(&mut journal, 1, 3);
    store(&mut journal, exchanged(1, 3));
    whole(&folder);
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    let rows: i64 = conn
        .query_row("SELECT count(*) FROM verdicts", (), |row| row.get(0))
        .expect("readable");
    assert_eq!(rows, 3, "one for each place");
}

#[test]
fn verdicts_are_not_kept_on_a_disk_that_is_low_and_sales_go_on() {
    const RESERVE: u64 = 8 << 20;
    let disk = SmallDisk::tmpfs(64);
    let options = Options {
        reserve_bytes: RESERVE,
    };
    let mut journal = Journal::open(&disk.state_dir(), &options).expect("the journal opens");
    sell(&mut journal, 0..3);
    store(&mut journal, sealed(1, (0, 6), 3));
    keep_all(&mut journal, 1, 3);
    disk.fill_but(RESERVE * 3 / 2);
    let kept = journal.keep_verdicts(id(1), &[signed(&verdict(1, 0))]);
    assert_eq!(kept.expect("the journal works"), Err(NotKept::NoRoom));
    sell(&mut journal, 3..5);
    disk.free();
    keep_all(&mut journal, 1, 3);
}

#[test]
fn no_checkpoint_is_made_for_verdicts_while_a_debit_is_under_way() {
    const PLACES: u32 = 1_000;
    let folder = common::fast_folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..3);
    store(&mut journal, sealed(1, (0, 6), 3));
    store(&mut journal, Sale::new(9).intended());
    let words = |n: u64| -> Vec<_> {
        let minor = |place| yen(u64::from(place) + n);
        let word = |place| Verdict {
            decision: Decision::Pay(minor(place)),
            ..verdict(1, place)
        };
        (0..PLACES).map(|place| signed(&word(place))).collect()
    };
    let mut frames = journal.wal_frames();
    while frames < 2 * purser_journal::WAL_FRAMES_MIN {
        let kept = journal
            .keep_verdicts(id(1), &words(frames))
            .expect("the journal works");
        assert_eq!(kept, Ok(()));
        assert!(journal.wal_frames() > frames, "the WAL was begun anew");
        frames = journal.wal_frames();
    }
    store(&mut journal, Sale::new(9).paid(1, false));
    let mut begins_anew = || {
        let before = journal.wal_frames();
        let kept = journal
            .keep_verdicts(id(1), &words(before))
            .expect("the journal works");
        assert_eq!(kept, Ok(()));
        journal.wal_frames() < before
    };
    assert!(
        (0..20).any(|_| begins_anew()),
        "a checkpoint is made when the debit has ended"
    );
}

#[test]
fn a_page_that_verdicts_share_with_another_table_stops_sales() {
    const PAGE: usize = 4096;
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..40);
    store(&mut journal, sealed(1, (0, 80), 40));
    keep_all(&mut journal, 1, 40);
    journal.maintain().expect("the journal works");
    drop(journal);
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    let root = |table: &str| -> u32 {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        conn.query_row(sql, (table,), |row| row.get(0)).expect("readable")
    };
    let (verdicts, debits) = (root("verdicts"), root("debits"));
    drop(conn);
    let path = folder.path().join("journal.db");
    let mut bytes = fs::read(&path).expect("readable");
    let at = (usize::try_from(verdicts).expect("small") - 1) * PAGE;
    assert_eq!(
        bytes[at], 2,
        "an inner page: its last child stands behind its header"
    );
    bytes[at + 8..at + 12].copy_from_slice(&debits.to_be_bytes());
    fs::write(&path, bytes).expect("written");
    let finding = found(&folder);
    assert!(matches!(finding, Finding::Structure), "{finding:?}");
    mend(folder.path(), "a test").expect("it is mended");
    whole(&folder);
}
