//! What the journal takes, refuses and tells again.

mod common;

use common::{NO_RESERVE, OWNER, Sale, append_one, folder, open, store, store_some_of_each, yen};
use purser_journal::{Journal, OpenError, Query, Reader, verify};
use purser_ledger::{
    Account, AnyOperation, Conclusion, Find, Head, Owner, Refused, Standing, Store, commit, find,
};

#[test]
fn a_sale_is_two_commits_and_is_found_by_its_reference() {
    let folder = folder();
    let mut journal = open(&folder);
    let sale = Sale::new(1);
    let receipts = commit(&mut journal, &[sale.intended()]).expect("the journal works");
    let receipt = receipts.into_iter().next().expect("an answer").expect("taken");
    assert_eq!(
        (receipt.operation(), receipt.step(), receipt.head().number),
        (sale.id(), 0, 1)
    );
    assert!(journal.is_between_commits());
    let head = store(&mut journal, sale.paid(1, false));
    assert!(!journal.is_between_commits());
    assert_eq!(journal.head(), head);
    let found = find(&journal, &Find::Reference(sale.reference()))
        .expect("readable")
        .expect("stored");
    let paid = found.operation().sale().expect("a sale");
    assert_eq!(paid.paid_head, Some(head));
    assert!(matches!(paid.standing, Standing::Paid(_)));
    let other = find(&journal, &Find::Reference(Sale::new(2).reference())).expect("readable");
    assert!(other.is_none());
}

#[test]
fn a_refused_commit_does_not_disturb_the_others_of_its_group() {
    let folder = folder();
    let mut journal = open(&folder);
    let [first, second] = [Sale::new(1), Sale::new(2)];
    let stranger = Sale {
        owner: Owner(7),
        ..first
    };
    let mut same_key = Sale::new(3).intended();
    if let purser_ledger::Entry::SaleIntended(intended) = &mut same_key.entry {
        // With another card: a terminal never uses a serial number twice.
        intended.key.terminal_sn = first.key().terminal_sn;
    }
    let mut again = first.intended();
    again.operation = Sale::new(9).id();
    let mut strange = stranger.intended();
    strange.operation = Sale::new(10).id();
    let group = [
        first.intended(),
        again,
        strange,
        same_key,
        second.paid(1, false),
        second.intended(),
        first.paid(1, false),
    ];
    let answers = journal.append(&group).expect("the journal works");
    let refusals: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().err().copied())
        .collect();
    assert_eq!(
        refusals,
        [
            None,
            Some(Refused::Exists),
            Some(Refused::ExistsWithDifferentOwner),
            Some(Refused::DebitKeyExists),
            Some(Refused::OutOfOrder),
            None,
            None
        ]
    );
    let numbers: Vec<_> = answers.iter().flatten().map(|head| head.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    drop(journal);
    assert_eq!(
        verify(folder.path(), None, |_, _| {}).expect("whole").operations,
        2
    );
}

#[test]
fn a_group_of_which_all_is_refused_stores_nothing() {
    let folder = folder();
    let mut journal = open(&folder);
    let frames = journal.wal_frames();
    let answers = journal
        .append(&[Sale::new(1).paid(1, false), Sale::new(2).voided(1)])
        .expect("the journal works");
    assert_eq!(answers, [Err(Refused::OutOfOrder), Err(Refused::OutOfOrder)]);
    assert_eq!((journal.wal_frames(), journal.head()), (frames, Head::EMPTY));
    assert!(
        journal
            .append(&[])
            .expect("an empty group is no fault")
            .is_empty()
    );
}

#[test]
fn a_reopened_journal_knows_all_that_it_knew() {
    let folder = folder();
    let mut journal = open(&folder);
    store_some_of_each(&mut journal);
    let (head, before) = (journal.head(), journal.snapshot().expect("readable"));
    drop(journal);
    let mut journal = open(&folder);
    let after = journal.snapshot().expect("readable");
    assert_eq!((journal.head(), &after.open), (head, &before.open));
    let open_ids: Vec<_> = after.open.iter().map(|operation| operation.id).collect();
    assert_eq!(open_ids, [2, 4, 7].map(|n| Sale::new(n).id()), "oldest first");
    assert_eq!(after.terminal_sn_max, Some(7));
    assert_eq!(
        after.newest_unix_seconds,
        Some(Sale::new(7).intended().at.unix_seconds)
    );
    store(&mut journal, Sale::new(7).paid(1, false));
    assert_eq!(
        append_one(&mut journal, Sale::new(7).paid(1, false)),
        Err(Refused::OutOfOrder)
    );
    let concluded = Sale::new(3).concluded(4, Conclusion::GoodsGiven, None);
    assert_eq!(
        append_one(&mut journal, concluded),
        Err(Refused::ExistsWithDifferentConclusion)
    );
}

#[test]
fn a_new_journal_has_nothing() {
    let folder = folder();
    let journal = open(&folder);
    let snapshot = journal.snapshot().expect("readable");
    assert!(snapshot.open.is_empty() && snapshot.terminal_sn_max.is_none());
    assert_eq!(
        (snapshot.newest_unix_seconds, journal.head()),
        (None, Head::EMPTY)
    );
    drop(journal);
    let report = verify(folder.path(), Some(Head::EMPTY), |_, _| {}).expect("whole");
    assert_eq!((report.head, report.operations), (Head::EMPTY, 0));
}

#[test]
fn the_highest_terminal_serial_number_is_over_all_terminals() {
    let folder = folder();
    let mut journal = open(&folder);
    for (n, terminal) in [(5, 9), (40, 1), (7, 9), (3, 200)] {
        let mut commit = Sale::new(n).intended();
        if let purser_ledger::Entry::SaleIntended(intended) = &mut commit.entry {
            intended.key.terminal_number = [terminal; 6];
        }
        store(&mut journal, commit);
    }
    assert_eq!(journal.snapshot().expect("readable").terminal_sn_max, Some(40));
}

#[test]
fn a_reader_sees_what_is_durable_while_the_writer_works() {
    let folder = folder();
    let mut journal = open(&folder);
    let reader = Reader::open(folder.path()).expect("readable");
    store_some_of_each(&mut journal);
    let stranger = Sale {
        owner: Owner(7),
        ..Sale::new(8)
    };
    let newest = store(&mut journal, stranger.closed());
    assert_eq!(reader.head().expect("readable"), newest);
    let query = |query: Query| -> Vec<u64> {
        let entries = reader.entries(&query).expect("readable");
        entries.iter().map(|entry| entry.head.number).collect()
    };
    let all = Query {
        limit: 100,
        ..Query::default()
    };
    assert_eq!(query(all.clone()), (1..=16).collect::<Vec<_>>());
    assert_eq!(
        query(Query {
            after: 3,
            limit: 2,
            ..all.clone()
        }),
        [4, 5]
    );
    assert_eq!(
        query(Query {
            owner: Some(Owner(7)),
            ..all.clone()
        }),
        [16]
    );
    assert_eq!(
        query(Query {
            owner: Some(OWNER),
            after: 13,
            ..all.clone()
        }),
        [14, 15]
    );
    let reference = Some(Sale::new(3).reference());
    assert_eq!(
        query(Query {
            reference: reference.clone(),
            ..all.clone()
        }),
        [5, 6, 7, 8]
    );
    assert!(
        query(Query {
            reference,
            owner: Some(Owner(7)),
            ..all
        })
        .is_empty()
    );
    reader_tells_operations_and_totals(&reader, newest);
    journal.maintain().expect("the journal works");
    assert_eq!(reader.head().expect("readable"), newest);
}

fn reader_tells_operations_and_totals(reader: &Reader, newest: Head) {
    let operation = reader
        .operation(&Sale::new(3).reference())
        .expect("readable")
        .and_then(AnyOperation::into_sale)
        .expect("stored");
    assert_eq!((operation.refund_owed, operation.next_step), (Some(yen(300)), 4));
    assert_eq!(reader.open_operations().expect("readable").len(), 3);
    let (totals, head) = reader.totals().expect("readable");
    let counts = Account::ALL.map(|account| totals.count(account, yen(0).currency()));
    let balances = Account::ALL.map(|account| totals.books().balance(account, yen(0).currency()).minor());
    assert_eq!(
        (counts, balances, head),
        (
            [4, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            [1200, 600, 900, 300, 0, 0, 0, 0, 0, 0, 0, 0],
            newest
        )
    );
}

#[test]
fn a_reader_that_was_there_before_the_wal_sees_what_the_writer_adds() {
    let folder = folder();
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(1).closed());
    journal.maintain().expect("the journal works");
    drop(journal);
    std::fs::remove_file(folder.path().join("journal.db-wal")).expect("all of it is in the data base file");
    let reader = Reader::open(folder.path()).expect("readable");
    assert_eq!(reader.head().expect("readable").number, 1);
    let mut journal = open(&folder);
    store(&mut journal, Sale::new(2).closed());
    assert_eq!(reader.head().expect("readable").number, 2);
    let overview = reader.overview().expect("readable");
    assert_eq!((overview.sales, overview.debits, overview.open.len()), (2, 0, 0));
    assert_eq!(reader.history(Sale::new(2).id()).expect("readable").len(), 1);
}

#[test]
fn a_reader_of_an_empty_folder_says_that_there_is_no_journal() {
    let folder = folder();
    assert!(matches!(Reader::open(folder.path()), Err(OpenError::Absent)));
}

#[test]
fn a_second_opener_is_told_who_has_the_journal() {
    let folder = folder();
    let journal = open(&folder);
    let refused = Journal::open(folder.path(), &NO_RESERVE).expect_err("it is in use");
    assert!(matches!(refused, OpenError::Locked { pid: Some(pid) } if pid == std::process::id()));
    assert!(refused.to_string().contains(&std::process::id().to_string()) && refused.is_transient());
    drop(journal);
    open(&folder);
}
