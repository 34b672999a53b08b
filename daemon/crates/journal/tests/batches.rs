//! Settlement in the journal: ranges that never overlap, items that are the same at every time.

mod common;

use common::batch::{exchanged, id, jpy, keep_all, sealed, sell, voided, whole};
use common::{Sale, append_one, folder, open, store, yen};
use purser_journal::Reader;
use purser_ledger::{Account, Commit, Conclusion, Refused, Store};
use rusqlite::Connection;

#[test]
fn a_batch_is_sealed_exchanged_and_followed_by_the_next_across_restarts() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..3);
    store(&mut journal, sealed(1, (0, 6), 3));
    sell(&mut journal, 3..5);
    drop(journal);
    let mut journal = open(&folder);
    let snapshot = journal.snapshot().expect("readable");
    assert_eq!(snapshot.receipts().len(), 1, "the batch goes on");
    assert_eq!(
        (snapshot.unsettled.count(), snapshot.unsettled.minor(jpy())),
        (5, 1500)
    );
    keep_all(&mut journal, 1, 3);
    store(&mut journal, exchanged(1, 3));
    let (totals, _) = Reader::open(folder.path())
        .and_then(|reader| Ok(reader.totals()?))
        .expect("readable");
    let told = |account| {
        (
            totals.count(account, jpy()),
            totals.books().balance(account, jpy()).minor(),
        )
    };
    assert_eq!(told(Account::Permits), (1, 900));
    assert_eq!(told(Account::Claims), (2, 600));
    assert_eq!(told(Account::InBatch), (0, 0));
    drop(journal);
    let mut journal = open(&folder);
    let snapshot = journal.snapshot().expect("readable");
    assert_eq!((snapshot.receipts().len(), snapshot.unsettled.count()), (0, 2));
    assert_eq!(snapshot.batches.next_after(jpy()), 6);
    store(&mut journal, sealed(2, (6, 11), 2));
    whole(&folder);
}

#[test]
fn a_seal_that_begins_elsewhere_overlaps_or_ends_in_the_future_is_refused() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..3);
    for range in [(1, 6), (0, 7), (6, 6), (5, 4)] {
        let refused = append_one(&mut journal, sealed(1, range, 3));
        assert_eq!(refused, Err(Refused::OutOfOrder), "{range:?}");
    }
    store(&mut journal, sealed(1, (0, 4), 2));
    for (second, range) in [(2, (0, 6)), (2, (4, 6)), (1, (4, 6))] {
        let refused = append_one(&mut journal, sealed(second, range, 1));
        assert_eq!(refused, Err(Refused::OutOfOrder), "one at a time: {range:?}");
    }
    // Two in one group, and after the end of the first.
    keep_all(&mut journal, 1, 2);
    store(&mut journal, exchanged(1, 2));
    let again = append_one(&mut journal, exchanged(1, 2));
    assert_eq!(again, Err(Refused::OutOfOrder));
    assert_eq!(append_one(&mut journal, voided(1, 2)), Err(Refused::OutOfOrder));
    let group = [sealed(3, (4, 6), 1), sealed(4, (4, 6), 1)];
    let answers = journal.append(&group).expect("the journal works");
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(Refused::OutOfOrder));
    let of_a_sale = Commit {
        operation: Sale::new(1).id(),
        ..sealed(5, (4, 6), 1)
    };
    assert_eq!(append_one(&mut journal, of_a_sale), Err(Refused::OutOfOrder));
    whole(&folder);
}

#[test]
fn a_void_frees_its_range_for_another_batch() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..3);
    store(&mut journal, sealed(1, (0, 6), 3));
    store(&mut journal, voided(1, 3));
    let same = append_one(&mut journal, sealed(1, (0, 6), 3));
    assert_eq!(same, Err(Refused::OutOfOrder), "a number is used once");
    store(&mut journal, sealed(2, (0, 6), 3));
    drop(journal);
    whole(&folder);
    let reader = Reader::open(folder.path()).expect("readable");
    let batches = reader.batches(None, 10).expect("readable");
    let ids: Vec<_> = batches.iter().map(|it| it.1.id).collect();
    assert_eq!(ids, [id(2), id(1)]);
}

#[test]
fn the_items_of_a_range_stay_as_they_were_when_it_was_sealed() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..2);
    let doubtful = Sale::new(2);
    store(&mut journal, doubtful.intended());
    store(&mut journal, doubtful.in_doubt(1));
    store(&mut journal, doubtful.paid(2, false));
    let upto = journal.head().number;
    let reader = Reader::open(folder.path()).expect("readable");
    let range = reader.range(jpy(), 0).expect("readable");
    let booked = reader.booked(jpy(), range).expect("readable");
    assert_eq!(
        (range.upto, range.has_more, booked.count, booked.minor),
        (upto, false, 3, 900)
    );
    let before = reader.settleable(jpy(), 0, upto, 1_000).expect("readable");
    assert_eq!(before.len(), 3);
    store(&mut journal, sealed(1, (0, upto), 3));
    store(
        &mut journal,
        doubtful.concluded(3, Conclusion::Abandoned, Some(yen(300))),
    );
    sell(&mut journal, 3..4);
    let after = reader.settleable(jpy(), 0, upto, 1_000).expect("readable");
    assert_eq!(before, after);
    let next = reader.settleable(jpy(), upto, journal.head().number, 1_000);
    let next = next.expect("readable");
    let kinds: Vec<_> = next
        .iter()
        .map(|(entry, sale)| (*entry == sale.paid_head.expect("paid").number, sale.refund_owed))
        .collect();
    assert_eq!(
        kinds,
        [(false, Some(yen(300))), (true, None)],
        "a late refund, and a claim"
    );
    assert_eq!(
        reader
            .settleable("USD".parse().expect("a currency"), 0, upto, 9)
            .expect("readable"),
        []
    );
}

#[test]
fn a_range_is_read_in_pages_that_join_without_a_gap() {
    let folder = common::fast_folder();
    let mut journal = open(&folder);
    let mut group = Vec::new();
    for sale in (0..2_300).map(Sale::new) {
        group.extend([sale.intended(), sale.paid(1, false)]);
    }
    for commits in group.chunks(60) {
        journal.append(commits).expect("the journal works");
        journal.maintain().expect("the journal works");
    }
    let reader = Reader::open(folder.path()).expect("readable");
    let upto = reader.head().expect("readable").number;
    let (mut after, mut sizes, mut seen) = (0, Vec::new(), 0);
    loop {
        let page = reader.settleable(jpy(), after, upto, u32::MAX).expect("readable");
        let Some((last, _)) = page.last() else { break };
        after = *last;
        seen += page.len();
        sizes.push(page.len());
    }
    assert_eq!((sizes, seen), (vec![1_000, 1_000, 300], 2_300));
}

#[test]
fn a_changed_entry_is_not_settled() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..2);
    journal.maintain().expect("the journal works");
    drop(journal);
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.execute_batch(
        "DROP TRIGGER entries_never_change;
         UPDATE entries SET content = replace(content, '\"minor\":300', '\"minor\":900') WHERE number = 2;",
    )
    .expect("changed");
    drop(conn);
    let reader = Reader::open(folder.path()).expect("readable");
    let read = reader.settleable(jpy(), 0, 4, 10);
    assert!(read.expect_err("it does not fit the chain").is_damage());
}

#[test]
fn a_batch_under_way_that_cannot_be_read_stops_its_currency_and_no_sale() {
    let folder = folder();
    let mut journal = open(&folder);
    sell(&mut journal, 0..3);
    store(&mut journal, sealed(1, (0, 6), 3));
    // Far enough from the end that a start does not look at it.
    sell(&mut journal, 3..60);
    journal.maintain().expect("the journal works");
    drop(journal);
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.execute_batch(
        "DROP TRIGGER entries_never_change;
         UPDATE entries SET content = replace(content, '\"count\":3', '\"count\":2') WHERE number = 7;",
    )
    .expect("changed");
    drop(conn);
    let mut journal = open(&folder);
    let snapshot = journal.snapshot().expect("readable");
    assert!(snapshot.batches.is_blocked(jpy()) && snapshot.receipts().is_empty());
    sell(&mut journal, 60..61);
    let head = journal.head().number;
    let refused = append_one(&mut journal, sealed(2, (0, head), 3));
    assert_eq!(refused, Err(Refused::OutOfOrder));
}
