//! The items of a batch: what makes one, what makes none, and that their bytes never change.

use purser_ledger::{
    Commit, Conclusion, DoubtReason, Entry, Head, SaleConcluded, SaleInDoubt, SalePresentedAgain,
};
use purser_provider_link::{Digest, Item};

use super::till::{Till, jpy, paid, yen};
use crate::settlement::items::{CountError, NotSettleable, item};
use crate::settlement::{Counter, Pages, Settleable};

/// A sale proven at one entry and abandoned at a later one.
fn abandoned(paid_at: u64, abandoned_at: u64) -> Settleable {
    let mut sale = paid(3, paid_at).operation;
    // Only a sale that was in doubt is concluded: the same sale, told so.
    let doubt = Entry::SaleInDoubt(SaleInDoubt {
        reason: DoubtReason::AnswerLost,
        answer: None,
    });
    let intended = sale.intended.clone().unwrap();
    let purser_ledger::Standing::Paid(proof) = sale.standing.clone() else {
        panic!("it is paid");
    };
    let owed = Entry::SaleConcluded(SaleConcluded {
        conclusion: Conclusion::Abandoned,
        refund_owed: Some(yen(300)),
    });
    let entries = [Entry::SaleIntended(intended), doubt, Entry::SalePaid(proof), owed];
    let numbers = [paid_at - 2, paid_at - 1, paid_at, abandoned_at];
    let mut steps = (0..).zip(entries).zip(numbers).map(|((step, entry), number)| {
        let content = Commit {
            operation: sale.id,
            step,
            at: super::till::NOW.wall,
            entry,
        }
        .content();
        let digest = [0; 32];
        (content, Head { number, digest })
    });
    let (content, head) = steps.next().unwrap();
    let mut folded = purser_ledger::Operation::begin(&content, head).unwrap();
    steps.for_each(|(content, head)| folded.apply(&content, head).unwrap());
    sale = folded;
    Settleable {
        entry: abandoned_at,
        operation: sale,
    }
}

fn at(settleable: &Settleable, entry: u64) -> Settleable {
    Settleable {
        entry,
        ..settleable.clone()
    }
}

#[test]
fn a_refund_of_the_same_range_is_told_by_its_claim_alone() {
    let sale = abandoned(10, 15);
    let Ok(Some(Item::Claim(claim))) = item(&at(&sale, 10), 0) else {
        panic!("it is a claim");
    };
    assert_eq!((claim.amount, claim.refund_owed), (yen(300), yen(300)));
    assert_eq!(item(&sale, 0), Ok(None));
    assert_eq!(item(&sale, 9), Ok(None));
}

#[test]
fn a_refund_behind_the_batch_of_its_claim_is_late_and_names_the_claim_as_it_was_sealed() {
    let sale = abandoned(10, 15);
    let mut before = at(&sale, 10);
    before.operation.refund_owed = None;
    let Ok(Some(Item::Claim(sealed))) = item(&before, 0) else {
        panic!("it is a claim");
    };
    let Ok(Some(Item::LateRefund(late))) = item(&sale, 12) else {
        panic!("it is a late refund");
    };
    assert_eq!(
        (late.claim, late.amount, &late.key),
        (sealed.digest(), yen(300), &sealed.key)
    );
    assert_eq!(
        item(&sale, 10),
        Ok(Some(Item::LateRefund(late))),
        "the range begins behind its first entry"
    );
}

/// The same sale, its claim presented again at this entry.
fn presented_again(sale: &Settleable, entry: u64) -> Settleable {
    let mut operation = sale.operation.clone();
    let content = Commit {
        operation: operation.id,
        step: operation.next_step,
        at: super::till::NOW.wall,
        entry: Entry::SalePresentedAgain(SalePresentedAgain { amount: yen(300) }),
    }
    .content();
    let head = Head {
        number: entry,
        digest: [0; 32],
    };
    operation.apply(&content, head).unwrap();
    Settleable { entry, operation }
}

#[test]
fn a_claim_presented_again_is_the_same_claim_with_what_is_owed_by_then() {
    let plain = paid(1, 10);
    let again = presented_again(&plain, 30);
    let made = item(&again, 20).unwrap();
    assert_eq!(
        made,
        item(&plain, 0).unwrap(),
        "the same bytes, for the provider to know it by"
    );
    // Its refund became owed in between: the claim tells it, and the refund's own entry makes no item in the same range.
    let sale = abandoned(10, 25);
    let again = presented_again(&sale, 30);
    let Ok(Some(Item::Claim(claim))) = item(&again, 20) else {
        panic!("it is a claim");
    };
    assert_eq!(claim.refund_owed, yen(300));
    assert_eq!(item(&at(&again, 25), 20), Ok(None));
    // In a range that ends before, the refund is late: of a claim that is not paid, which the provider says.
    assert!(matches!(item(&sale, 20), Ok(Some(Item::LateRefund(_)))));
    // In a range that begins behind it too: the batch that has the claim was exchanged.
    let mut later = again.clone();
    later.entry = 35;
    assert!(matches!(item(&later, 32), Ok(Some(Item::LateRefund(_)))));
    // Twice in one range: no store takes that.
    assert_eq!(item(&at(&again, 10), 0), Err(NotSettleable { entry: 10 }));
}

#[test]
fn a_claim_keeps_the_generation_that_it_was_made_in() {
    let mut sale = paid(1, 10);
    let intended = sale.operation.intended.as_mut().unwrap();
    intended.generation = 3;
    let Ok(Some(Item::Claim(claim))) = item(&sale, 0) else {
        panic!("it is a claim");
    };
    assert_eq!(claim.generation, 3);
}

#[test]
fn what_is_no_claim_and_owes_nothing_is_not_settled_over() {
    let sale = paid(1, 10);
    assert_eq!(item(&at(&sale, 11), 0), Err(NotSettleable { entry: 11 }));
    let mut open = sale;
    open.operation.claim_entry = None;
    assert_eq!(item(&open, 0), Err(NotSettleable { entry: 10 }));
}

#[test]
fn the_bytes_of_a_claim_and_of_a_late_refund_never_change() {
    let claim = item(&paid(1, 10), 0).unwrap().unwrap();
    let late = item(&abandoned(10, 15), 12).unwrap().unwrap();
    let hex = |digest: Digest| digest.to_string();
    assert_eq!(
        [hex(claim.digest()), hex(late.digest())],
        [
            "e86a08cbd5808521fb8d2f6b681103f5e07c4aab35c3aba80c99915c982ba9fe",
            "e27ecb9f3062ee1cdfadc0cd0ea60d2aaecd934dd67d241e7593b3703ad97e69"
        ]
    );
}

#[test]
fn a_count_that_is_not_the_balance_is_not_sealed() {
    let mut till = Till::new();
    let (_, asked) = till.begin();
    let mut counter = Counter::new(asked);
    counter.take(&paid(0, 2)).unwrap();
    let open = |count, minor| purser_ledger::Claims {
        count,
        minor,
        oldest_unix_seconds: None,
    };
    for (has_more, wrong) in [
        (false, open(2, 600)),
        (false, open(1, 299)),
        (false, open(0, 0)),
        (true, open(0, 0)),
        (true, open(2, 9_000)),
        (true, open(1, 299)),
    ] {
        let counted = counter.clone().finish(2, has_more, wrong);
        assert_eq!(counted, Err(CountError::OtherBalance), "{has_more} {wrong:?}");
    }
    let counted = counter.clone().finish(2, true, open(1, 9_000)).unwrap().unwrap();
    assert!(counted.has_more);
    let counted = counter.finish(2, false, open(1, 300)).unwrap().unwrap();
    assert_eq!((counted.claims, counted.batch.claimed.currency()), (1, jpy()));
}

#[test]
fn pages_are_full_but_the_last_and_join_without_a_gap() {
    let rows: Vec<Settleable> = (0..11).map(|sn| paid(sn, u64::from(sn) * 2 + 2)).collect();
    let read = |after: u64| {
        let next = rows.iter().filter(|row| row.entry > after).take(3);
        Ok::<_, NotSettleable>(next.cloned().collect())
    };
    let mut pages = Pages::new(0, 4);
    let mut sizes = Vec::new();
    let mut items = Vec::new();
    loop {
        let page = pages.next(read).unwrap();
        if page.is_empty() {
            break;
        }
        sizes.push(page.len());
        items.extend(page);
    }
    assert_eq!(sizes, [4, 4, 3]);
    let all: Vec<Item> = rows.iter().map(|row| item(row, 0).unwrap().unwrap()).collect();
    assert_eq!(items, all);
    assert!(pages.next(read).unwrap().is_empty(), "it stays at its end");
}
