//! The claims that a batch left unpaid, found over a real journal with real verdicts, and counted into the next batch.

#[path = "../../crates/journal/tests/common/mod.rs"]
mod common;

use std::path::Path;

use common::{OWNER, Sale, open, store, yen};
use purser_engine::settlement::items::item;
use purser_engine::settlement::{CountBatch, Counted, Enrolment, FindUnpaid, NotUnpaid, Settleable, Unpaid};
use purser_journal::{Journal, Reader, SignedVerdict, verify};
use purser_ledger::{
    BatchExchanged, BatchSealed, Commit, Conclusion, Currency, Entry, OperationId, Part, Wall,
};
use purser_provider_link::{Decision, Item, ProviderName, Reason, TerminalName, Verdict, VerdictsDigest};
use purserd::counting::count;
use purserd::unpaid::find;

fn jpy() -> Currency {
    yen(0).currency()
}

fn at() -> Wall {
    Wall {
        unix_seconds: 1_900_000_000,
        utc_offset_seconds: 32_400,
        trusted: true,
    }
}

fn id(n: u8) -> OperationId {
    OperationId::new([n; 16])
}

fn part(count: u32, minor: u64) -> Part {
    Part {
        count,
        amount: yen(minor),
    }
}

fn step(journal: &mut Journal, n: u8, step: u8, entry: Entry) {
    let commit = Commit {
        operation: id(n),
        step,
        at: at(),
        entry,
    };
    store(journal, commit);
}

fn counted(folder: &Path, n: u8, after: u64) -> Counted {
    let asked = CountBatch {
        id: id(n),
        currency: jpy(),
        after,
        enrolment: Enrolment {
            terminal: TerminalName::new("till-1").expect("a name"),
            generation: 0,
            provider: ProviderName::new("provider").expect("a name"),
            accounts: Vec::new(),
        },
        sealed_at: at(),
    };
    count(folder, asked).expect("readable").expect("there are claims")
}

/// Counts and seals what waits; the provider holds these places back, takes no refund over, and pays the rest.
fn settle(journal: &mut Journal, folder: &Path, n: u8, after: u64, held: &[u32]) -> u64 {
    settle_for(journal, folder, n, after, (held, Reason::UnknownCard))
}

/// The same, with the reason for which they are held back.
fn settle_for(journal: &mut Journal, folder: &Path, n: u8, after: u64, (held, why): (&[u32], Reason)) -> u64 {
    let Counted {
        batch, upto, claims, ..
    } = counted(folder, n, after);
    let sealed = Entry::BatchSealed(BatchSealed {
        owner: OWNER,
        after,
        upto,
        count: batch.count,
        claims: part(claims, batch.claimed.minor()),
        refunds: batch.refunds,
        batch: batch.encode(),
    });
    step(journal, n, 0, sealed);
    let reader = Reader::open(folder).expect("readable");
    let rows = reader.settleable(jpy(), after, upto, 1_000).expect("readable");
    let made = rows
        .into_iter()
        .filter_map(|(entry, operation)| item(&Settleable { entry, operation }, after).expect("settleable"));
    let (mut digest, mut signed, mut pay, mut refunds) =
        (VerdictsDigest::begin(batch.digest()), Vec::new(), (0, 0), (0, 0));
    for (place, item) in (0..).zip(made) {
        let decision = match &item {
            Item::Claim(claim) if !held.contains(&place) => {
                let worth = claim.amount.minor() - claim.refund_owed.minor();
                pay = (pay.0 + 1, pay.1 + worth);
                if !claim.refund_owed.is_zero() {
                    refunds = (refunds.0 + 1, refunds.1 + claim.refund_owed.minor());
                }
                Decision::Pay(yen(worth))
            }
            Item::Claim(_) => Decision::Hold(why),
            Item::LateRefund(_) => Decision::Hold(Reason::RefundWithoutClaim),
        };
        let verdict = Verdict {
            batch: batch.digest(),
            place,
            item: item.digest(),
            revision: 0,
            decision,
        };
        digest = digest.with(&verdict);
        signed.push(SignedVerdict {
            place,
            bytes: verdict.encode(),
            signature: vec![1; 64],
        });
    }
    let kept = journal.keep_verdicts(id(n), &signed).expect("the journal works");
    kept.expect("they are kept");
    let held_minor = batch.claimed.minor() - pay.1 - refunds.1;
    let exchanged = Entry::BatchExchanged(BatchExchanged {
        pay: part(pay.0, pay.1),
        refunds: part(refunds.0, refunds.1),
        held: part(claims - pay.0, held_minor),
        owe: part(0, 0),
        debt_before: yen(0),
        total: yen(pay.1),
        debt_after: yen(0),
        verdicts: digest.digest().0,
        permit: vec![1],
        signature: vec![2],
    });
    step(journal, n, 1, exchanged);
    upto
}

fn all(n: u8, claims_max: u32) -> FindUnpaid {
    FindUnpaid {
        batch: id(n),
        place: None,
        claims_max,
    }
}

fn at_place(n: u8, place: u32) -> FindUnpaid {
    FindUnpaid {
        place: Some(place),
        ..all(n, 256)
    }
}

fn references(unpaid: &Unpaid) -> Vec<String> {
    let sales = unpaid.sales.iter();
    sales.map(|sale| sale.reference.as_str().to_owned()).collect()
}

fn named(sales: &[Sale]) -> Vec<String> {
    sales
        .iter()
        .map(|sale| sale.reference().as_str().to_owned())
        .collect()
}

/// Three paid sales, one of which was in doubt before.
fn sold(journal: &mut Journal) -> [Sale; 3] {
    let sales = [0, 1, 2].map(Sale::new);
    let [plain, doubtful, last] = sales;
    store(journal, plain.intended());
    store(journal, plain.paid(1, false));
    store(journal, doubtful.intended());
    store(journal, doubtful.in_doubt(1));
    store(journal, doubtful.paid(2, false));
    store(journal, last.intended());
    store(journal, last.paid(1, false));
    sales
}

#[test]
fn what_a_batch_left_unpaid_is_found_until_it_is_presented_again() {
    let folder = common::folder();
    let mut journal = open(&folder);
    let [_, doubtful, last] = sold(&mut journal);
    let find = |asked| find(folder.path(), asked);
    assert_eq!(find(all(1, 256)), Err(NotUnpaid::UnknownBatch));
    let upto = settle(&mut journal, folder.path(), 1, 0, &[1, 2]);
    assert_eq!(
        references(&find(all(1, 256)).expect("found")),
        named(&[doubtful, last])
    );
    let first = find(all(1, 1)).expect("found");
    assert_eq!((references(&first), first.has_more), (named(&[doubtful]), true));
    let second = find(at_place(1, 2)).expect("found");
    assert_eq!((references(&second), second.has_more), (named(&[last]), false));
    assert_eq!(find(at_place(1, 0)), Err(NotUnpaid::Paid));
    assert_eq!(find(at_place(1, 3)), Err(NotUnpaid::NoClaimThere));
    assert_eq!(find(at_place(1, u32::MAX)), Err(NotUnpaid::NoClaimThere));
    // Its refund becomes owed, is settled alone, and is held back: nothing was paid that could be taken back.
    store(
        &mut journal,
        doubtful.concluded(3, Conclusion::Abandoned, Some(yen(300))),
    );
    let upto = settle(&mut journal, folder.path(), 2, upto, &[]);
    assert_eq!(
        find(at_place(2, 0)),
        Err(NotUnpaid::NoClaimThere),
        "a late refund is no claim"
    );
    assert_eq!(find(all(2, 256)).expect("found").sales, []);
    store(&mut journal, doubtful.presented_again(4));
    assert_eq!(find(at_place(1, 1)), Err(NotUnpaid::PresentedBefore));
    assert_eq!(references(&find(all(1, 256)).expect("found")), named(&[last]));
    // Now it travels in the claim, which pays nothing to the merchant and frees what the buyer is owed.
    let batch = counted(folder.path(), 3, upto).batch;
    assert_eq!(
        (batch.count, batch.claimed, batch.refunds),
        (1, yen(300), yen(300))
    );
    let upto = settle(&mut journal, folder.path(), 3, upto, &[]);
    let (totals, _) = Reader::open(folder.path())
        .expect("readable")
        .totals()
        .expect("readable");
    let balance = |account| totals.books().balance(account, jpy()).minor();
    assert_eq!(balance(purser_ledger::Account::RefundsOwed), 0);
    assert_eq!(balance(purser_ledger::Account::Held), 300);
    // The other one is refused once more, and can be presented once more: from the newer batch.
    store(&mut journal, last.presented_again(2));
    settle(&mut journal, folder.path(), 4, upto, &[0]);
    assert_eq!(find(at_place(1, 2)), Err(NotUnpaid::PresentedBefore));
    assert_eq!(references(&find(all(4, 256)).expect("found")), named(&[last]));
    drop(journal);
    verify(folder.path(), None, |_, _| {}).expect("the journal is whole");
}

/// It would travel with the refund that it may owe by then, be held once more, and the buyer's refund with it.
#[test]
fn a_claim_that_the_provider_has_paid_before_is_not_presented_again() {
    let folder = common::folder();
    let mut journal = open(&folder);
    sold(&mut journal);
    let held = (&[1, 2][..], Reason::AlreadyPaid);
    settle_for(&mut journal, folder.path(), 1, 0, held);
    assert_eq!(find(folder.path(), at_place(1, 1)), Err(NotUnpaid::Paid));
    assert_eq!(find(folder.path(), all(1, 256)).expect("found").sales, []);
}

#[test]
fn the_claims_behind_one_of_a_damaged_payment_are_found_and_more_is_told() {
    let folder = common::folder();
    let mut journal = open(&folder);
    let [first, doubtful, last] = sold(&mut journal);
    settle(&mut journal, folder.path(), 1, 0, &[0, 1, 2]);
    store(
        &mut journal,
        doubtful.concluded(3, Conclusion::Abandoned, Some(yen(300))),
    );
    journal.maintain().expect("the journal works");
    drop(journal);
    let conn = rusqlite::Connection::open(folder.path().join("journal.db")).expect("it opens");
    conn.execute_batch("DROP TRIGGER entries_never_change")
        .expect("dropped");
    let newest =
        "UPDATE entries SET content = content || ' ' WHERE number = (SELECT max(number) FROM entries)";
    assert_eq!(conn.execute(newest, ()).expect("spoilt"), 1);
    drop(conn);
    let found = find(folder.path(), all(1, 256)).expect("found");
    assert_eq!(references(&found), named(&[first, last]));
    assert!(found.has_more, "the damaged one is left");
    assert_eq!(find(folder.path(), at_place(1, 1)), Err(NotUnpaid::Damaged));
    assert_eq!(
        references(&find(folder.path(), at_place(1, 2)).expect("found")),
        named(&[last])
    );
}

#[test]
fn nothing_is_believed_of_a_batch_that_is_under_way_or_whose_verdicts_are_others() {
    let folder = common::folder();
    let mut journal = open(&folder);
    sold(&mut journal);
    let upto = settle(&mut journal, folder.path(), 1, 0, &[1]);
    let more = Sale::new(5);
    store(&mut journal, more.intended());
    store(&mut journal, more.paid(1, false));
    let Counted {
        batch,
        upto: end,
        claims,
        ..
    } = counted(folder.path(), 2, upto);
    let sealed = Entry::BatchSealed(BatchSealed {
        owner: OWNER,
        after: upto,
        upto: end,
        count: batch.count,
        claims: part(claims, batch.claimed.minor()),
        refunds: batch.refunds,
        batch: batch.encode(),
    });
    step(&mut journal, 2, 0, sealed);
    assert_eq!(find(folder.path(), all(2, 256)), Err(NotUnpaid::NotExchanged));
    journal.maintain().expect("the journal works");
    drop(journal);
    let conn = rusqlite::Connection::open(folder.path().join("journal.db")).expect("it opens");
    // A paid claim's verdict put in place of a held one's, and the other way round.
    conn.execute_batch(
        "UPDATE verdicts SET bytes = (SELECT bytes FROM verdicts AS other WHERE other.place = 1) WHERE place = 0",
    )
    .expect("spoilt");
    drop(conn);
    assert_eq!(find(folder.path(), all(1, 256)), Err(NotUnpaid::Damaged));
    assert_eq!(find(folder.path(), at_place(1, 0)), Err(NotUnpaid::Damaged));
}
