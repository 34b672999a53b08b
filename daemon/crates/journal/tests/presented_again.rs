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

/// Where a claim is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Open,
    InBatch,
    Held,
    Paid,
}

struct Sold {
    sale: Sale,
    step: u8,
    claim_entry: u64,
    refund_entry: Option<u64>,
    at: At,
}

/// A journal whose claims are held, refunded and presented again in any order. The provider takes over the refunds of what it paid.
struct History {
    journal: Journal,
    sold: Vec<Sold>,
    /// The batch under way: its number, its end, its claims and its late refunds.
    batch: Option<(u8, u64, Vec<usize>, Vec<usize>)>,
    batches: u8,
    after: u64,
    random: u64,
    presented: u32,
    told_from_claims: u32,
}

impl History {
    fn below(&mut self, limit: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).expect("31 bits") % limit
    }

    fn step(&mut self) {
        let chosen = self.below(self.sold.len());
        match self.below(7) {
            0 | 1 => self.sell(),
            2 => self.abandon(chosen),
            3 => self.present(chosen),
            4 => self.seal(),
            _ => self.end(),
        }
    }

    fn sell(&mut self) {
        let sale = Sale::new(u32::try_from(self.sold.len()).expect("few"));
        store(&mut self.journal, sale.intended());
        store(&mut self.journal, sale.in_doubt(1));
        let claim_entry = store(&mut self.journal, sale.paid(2, false)).number;
        let (step, refund_entry, at) = (3, None, At::Open);
        self.sold.push(Sold {
            sale,
            step,
            claim_entry,
            refund_entry,
            at,
        });
    }

    fn abandon(&mut self, chosen: usize) {
        let it = &mut self.sold[chosen];
        if it.refund_entry.is_none() {
            let owed = it.sale.concluded(it.step, Conclusion::Abandoned, Some(yen(300)));
            it.refund_entry = Some(store(&mut self.journal, owed).number);
            it.step += 1;
        }
    }

    fn present(&mut self, chosen: usize) {
        let it = &mut self.sold[chosen];
        let again = it.sale.presented_again(it.step);
        match it.at {
            // The store knows what is in an exchanged batch, and the reader what that paid.
            At::Paid => {}
            At::Open | At::InBatch => {
                assert_eq!(append_one(&mut self.journal, again), Err(Refused::OutOfOrder));
            }
            At::Held => {
                it.claim_entry = store(&mut self.journal, again).number;
                (it.at, it.step) = (At::Open, it.step + 1);
                self.presented += 1;
            }
        }
    }

    fn seal(&mut self) {
        let (after, upto) = (self.after, self.journal.head().number);
        let is_in = |entry: u64| after < entry && entry <= upto;
        let chosen = |it: &dyn Fn(&Sold) -> bool| {
            let all = self.sold.iter().enumerate();
            all.filter(|(_, sold)| it(sold))
                .map(|(index, _)| index)
                .collect::<Vec<_>>()
        };
        let claims = chosen(&|it| is_in(it.claim_entry));
        let late = chosen(&|it| it.refund_entry.is_some_and(is_in) && !is_in(it.claim_entry));
        let owing = chosen(&|it| is_in(it.claim_entry) && it.refund_entry.is_some());
        let told = chosen(&|it| {
            is_in(it.claim_entry)
                && it
                    .refund_entry
                    .is_some_and(|refund| is_in(refund) && refund < it.claim_entry)
        });
        if self.batch.is_some() || claims.len() + late.len() == 0 {
            return;
        }
        self.batches += 1;
        let count = |of: usize| u32::try_from(of).expect("few");
        let refunds = 300 * u64::from(count(owing.len() + late.len()));
        let items = (count(claims.len() + late.len()), refunds);
        store(
            &mut self.journal,
            seal_of(self.batches, (after, upto), count(claims.len()), items),
        );
        claims.iter().for_each(|it| self.sold[*it].at = At::InBatch);
        self.told_from_claims += count(told.len());
        self.batch = Some((self.batches, upto, claims, late));
    }

    fn end(&mut self) {
        let Some((n, upto, claims, late)) = self.batch.take() else {
            return;
        };
        let count = |of: usize| u32::try_from(of).expect("few");
        if self.below(4) == 0 {
            store(&mut self.journal, voided(n, count(claims.len())));
            claims.iter().for_each(|it| self.sold[*it].at = At::Open);
            return;
        }
        let pays = self.below(256);
        let (paid, held): (Vec<usize>, Vec<usize>) =
            claims.iter().partition(|it| pays & (1 << (**it % 8)) != 0);
        let is_refunded = |it: &&usize| self.sold[**it].refund_entry.is_some_and(|entry| entry <= upto);
        let refunded = count(paid.iter().filter(is_refunded).count());
        let owe = count(late.iter().filter(|it| self.sold[**it].at == At::Paid).count());
        let (paid_count, of) = (count(paid.len()), |count: u32| {
            part(count, 300 * u64::from(count))
        });
        let Entry::BatchExchanged(all) = exchanged(n, count(claims.len() + late.len())).entry else {
            unreachable!("it is an exchange");
        };
        let (worth, debt) = (of(paid_count - refunded).amount.minor(), of(owe).amount.minor());
        let ended = purser_ledger::BatchExchanged {
            pay: part(paid_count, worth),
            refunds: of(refunded),
            held: of(count(held.len())),
            owe: of(owe),
            total: yen(worth.saturating_sub(debt)),
            debt_after: yen(debt.saturating_sub(worth)),
            ..all
        };
        keep_all(&mut self.journal, n, count(claims.len() + late.len()));
        store(&mut self.journal, commit(n, 1, Entry::BatchExchanged(ended)));
        paid.iter().for_each(|it| self.sold[*it].at = At::Paid);
        held.iter().for_each(|it| self.sold[*it].at = At::Held);
        self.after = upto;
    }
}

#[test]
fn no_alarm_is_raised_on_histories_in_which_claims_are_presented_again() {
    let mut seen = (0, 0);
    for seed in 0..150 {
        let folder = common::fast_folder();
        let mut history = History {
            journal: open(&folder),
            sold: Vec::new(),
            batch: None,
            batches: 0,
            after: 0,
            random: seed,
            presented: 0,
            told_from_claims: 0,
        };
        history.sell();
        (0..60).for_each(|_| history.step());
        seen = (seen.0 + history.presented, seen.1 + history.told_from_claims);
        drop(history);
        whole(&folder);
    }
    println!("presented again, refunds told by such claims: {seen:?}");
    assert!(seen.0 >= 100 && seen.1 >= 10, "{seen:?}");
}
