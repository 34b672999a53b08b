//! Claims presented again in the journal: what is taken and what is refused, across restarts, checks and mends.

mod common;

use common::batch::{commit, exchanged, held_back, jpy, keep_all, part, sealed, sell, voided, whole};
use common::{Sale, append_one, folder, open, store, yen};
use purser_journal::{Journal, Reader, mend};
use purser_ledger::{Account, BatchSealed, Commit, Conclusion, Entry, Refused, SalePresentedAgain, Store};
use rusqlite::Connection;
use tempfile::TempDir;

fn balances(folder: &TempDir) -> [(u64, u64); 3] {
    let reader = Reader::open(folder.path()).expect("readable");
    let (totals, _) = reader.totals().expect("readable");
    [Account::Claims, Account::InBatch, Account::Held].map(|account| {
        let minor = totals.books().balance(account, jpy()).minor();
        (totals.count(account, jpy()), minor)
    })
}

/// Two sales 1-4, their batch 5, exchanged 6 with the second held back.
fn with_one_held(folder: &TempDir) -> Journal {
    let mut journal = open(folder);
    sell(&mut journal, 0..2);
    store(&mut journal, sealed(1, (0, 4), 2));
    keep_all(&mut journal, 1, 2);
    store(&mut journal, held_back(1, 2));
    journal
}

#[test]
fn a_held_claim_is_presented_once_and_comes_into_the_next_batch() {
    let folder = folder();
    let mut journal = with_one_held(&folder);
    let held = Sale::new(1);
    assert_eq!(balances(&folder), [(0, 0), (0, 0), (1, 300)]);
    let wrong = Entry::SalePresentedAgain(SalePresentedAgain { amount: yen(301) });
    let wrong = Commit {
        entry: wrong,
        ..held.presented_again(2)
    };
    assert_eq!(append_one(&mut journal, wrong), Err(Refused::OutOfOrder));
    // Two requests at once: one of them is too late.
    let answers = journal
        .append(&[held.presented_again(2), held.presented_again(2)])
        .expect("the journal works");
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(Refused::OutOfOrder));
    assert_eq!(
        append_one(&mut journal, held.presented_again(3)),
        Err(Refused::OutOfOrder),
        "it is in no batch"
    );
    assert_eq!(balances(&folder), [(1, 300), (0, 0), (0, 0)]);
    drop(journal);
    let mut journal = open(&folder);
    let snapshot = journal.snapshot().expect("readable");
    assert_eq!(
        (snapshot.unsettled.count(), snapshot.unsettled.minor(jpy())),
        (1, 300)
    );
    assert_eq!(snapshot.unsettled.oldest_unix_seconds(), Some(1_800_000_012));
    store(&mut journal, sealed(2, (4, 7), 1));
    assert_eq!(
        append_one(&mut journal, held.presented_again(3)),
        Err(Refused::OutOfOrder),
        "its batch is under way"
    );
    store(&mut journal, voided(2, 1));
    assert_eq!(
        append_one(&mut journal, held.presented_again(3)),
        Err(Refused::OutOfOrder),
        "its batch is void"
    );
    store(&mut journal, sealed(3, (4, 7), 1));
    keep_all(&mut journal, 3, 1);
    store(&mut journal, held_back(3, 1));
    store(&mut journal, held.presented_again(3));
    assert_eq!(balances(&folder), [(1, 300), (0, 0), (0, 0)]);
    drop(journal);
    whole(&folder);
}

#[test]
fn no_more_is_presented_again_than_was_held() {
    let folder = folder();
    let mut journal = with_one_held(&folder);
    // The store does not read verdicts; its books do not let a paid claim leave what is held.
    store(&mut journal, Sale::new(1).presented_again(2));
    let paid = append_one(&mut journal, Sale::new(0).presented_again(2));
    assert_eq!(paid, Err(Refused::BalanceOutOfRange));
    let unknown = append_one(&mut journal, Sale::new(9).presented_again(0));
    assert_eq!(unknown, Err(Refused::OutOfOrder));
    drop(journal);
    whole(&folder);
}

/// The seal of a range with these items.
fn seal_of(n: u8, range: (u64, u64), claims: u32, (count, refunds): (u32, u64)) -> Commit {
    let Entry::BatchSealed(sealed) = sealed(n, range, claims).entry else {
        unreachable!("it is a seal");
    };
    let entry = BatchSealed {
        count,
        refunds: yen(refunds),
        ..sealed
    };
    commit(n, 0, Entry::BatchSealed(entry))
}

#[test]
fn a_refund_that_came_between_travels_in_the_claim_once_it_is_in_the_same_range() {
    for is_sealed_between in [false, true] {
        let folder = folder();
        let mut journal = open(&folder);
        let sale = Sale::new(0);
        store(&mut journal, sale.intended());
        store(&mut journal, sale.in_doubt(1));
        store(&mut journal, sale.paid(2, false));
        store(&mut journal, sealed(1, (0, 3), 1));
        keep_all(&mut journal, 1, 1);
        store(&mut journal, held_back(1, 1));
        store(
            &mut journal,
            sale.concluded(3, Conclusion::Abandoned, Some(yen(300))),
        );
        if is_sealed_between {
            // The refund alone, while the claim is being presented again: late, and held back.
            store(&mut journal, sale.presented_again(4));
            store(&mut journal, seal_of(2, (3, 6), 0, (1, 300)));
            keep_all(&mut journal, 2, 1);
            let Entry::BatchExchanged(all) = exchanged(2, 1).entry else {
                unreachable!("it is an exchange");
            };
            let nothing = purser_ledger::BatchExchanged {
                pay: part(0, 0),
                total: yen(0),
                ..all
            };
            store(&mut journal, commit(2, 1, Entry::BatchExchanged(nothing)));
            store(&mut journal, seal_of(3, (6, 8), 1, (1, 300)));
        } else {
            store(&mut journal, sale.presented_again(4));
            store(&mut journal, seal_of(3, (3, 7), 1, (1, 300)));
        }
        drop(journal);
        whole(&folder);
    }
}

#[test]
fn a_journal_with_claims_presented_again_is_mended_as_it_was() {
    let folder = folder();
    let mut journal = with_one_held(&folder);
    store(&mut journal, Sale::new(1).presented_again(2));
    let head = journal.head();
    journal.maintain().expect("the journal works");
    drop(journal);
    let before = balances(&folder);
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF; DELETE FROM settleable WHERE kind = 'again'; DELETE FROM balances",
    )
    .expect("spoilt");
    drop(conn);
    let mended = mend(folder.path(), "a test").expect("mended");
    assert_eq!(mended.report.head, head);
    assert_eq!(balances(&folder), before);
    let mut journal = open(&folder);
    store(&mut journal, sealed(2, (4, 7), 1));
    drop(journal);
    whole(&folder);
}
