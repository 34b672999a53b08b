//! A batch counted over the journal, and made again from it: the same at every time, and in pages.

#[path = "../../crates/journal/tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::time::Instant;

use common::{OWNER, Sale, open, store, yen};
use purser_engine::settlement::items::CountError;
use purser_engine::settlement::{CountBatch, Counted, Enrolment, SendBatch};
use purser_journal::{Journal, verify};
use purser_ledger::{
    BatchSealed, BatchVoided, Commit, Conclusion, Currency, Entry, OperationId, Part, Store, Wall,
};
use purser_provider_link::{Batch, ProviderName, Seal, TerminalName};
use purserd::counting::{Fault, Items, count};

fn jpy() -> Currency {
    yen(0).currency()
}

fn asked(n: u8, after: u64) -> CountBatch {
    CountBatch {
        id: OperationId::new([n; 16]),
        currency: jpy(),
        after,
        enrolment: Enrolment {
            terminal: TerminalName::new("till-1").expect("a name"),
            generation: 0,
            provider: ProviderName::new("provider").expect("a name"),
            accounts: Vec::new(),
        },
        sealed_at: at(),
    }
}

fn at() -> Wall {
    Wall {
        unix_seconds: 1_900_000_000,
        utc_offset_seconds: 32_400,
        trusted: true,
    }
}

fn sending(after: u64, upto: u64, batch: &Batch) -> SendBatch {
    SendBatch {
        batch: batch.clone(),
        after,
        upto,
    }
}

fn seal(journal: &mut Journal, after: u64, counted: &Counted) {
    let batch = &counted.batch;
    let entry = Entry::BatchSealed(BatchSealed {
        owner: OWNER,
        after,
        upto: counted.upto,
        count: batch.count,
        claims: Part {
            count: counted.claims,
            amount: batch.claimed,
        },
        refunds: batch.refunds,
        batch: batch.encode(),
    });
    let operation = OperationId::new(batch.id.0);
    store(
        journal,
        Commit {
            operation,
            step: 0,
            at: at(),
            entry,
        },
    );
}

fn is_still(folder: &Path, after: u64, upto: u64, batch: &Batch) -> bool {
    let mut items = Items::new(folder, &sending(after, upto, batch));
    let mut seal = Seal::begin(batch.id, jpy());
    let page = items.page(0).expect("readable");
    page.iter().for_each(|item| seal.add(item).expect("it fits"));
    // From any place the same; behind the last there is none.
    assert_eq!(items.page(1).expect("readable"), page[1..]);
    assert_eq!(items.page(batch.count).expect("readable"), []);
    seal.is_of(batch)
}

#[test]
fn a_sealed_batch_is_the_same_after_everything_that_follows() {
    let folder = common::folder();
    let mut journal = open(&folder);
    let [plain, doubtful, abandoned, later] = [1, 2, 3, 4].map(Sale::new);
    store(&mut journal, plain.intended());
    store(&mut journal, plain.paid(1, false));
    for sale in [doubtful, abandoned] {
        store(&mut journal, sale.intended());
        store(&mut journal, sale.in_doubt(1));
        store(&mut journal, sale.paid(2, false));
    }
    store(
        &mut journal,
        abandoned.concluded(3, Conclusion::Abandoned, Some(yen(300))),
    );
    let counted = count(folder.path(), asked(1, 0))
        .expect("readable")
        .expect("there are claims");
    let batch = counted.batch.clone();
    assert_eq!(
        (batch.count, batch.claimed, batch.refunds),
        (3, yen(900), yen(300))
    );
    // Sales go on between counting and sealing.
    store(&mut journal, later.intended());
    store(&mut journal, later.paid(1, false));
    seal(&mut journal, 0, &counted);
    store(
        &mut journal,
        doubtful.concluded(3, Conclusion::Abandoned, Some(yen(300))),
    );
    assert!(is_still(folder.path(), 0, counted.upto, &batch));
    drop(journal);
    let mut journal = open(&folder);
    let snapshot = journal.snapshot().expect("readable");
    let sealed = snapshot
        .batches
        .under_way(jpy())
        .expect("it is under way")
        .sealed
        .clone();
    assert_eq!(Batch::decode(&sealed.batch), Ok(batch.clone()));
    assert!(is_still(folder.path(), sealed.after, sealed.upto, &batch));
    // Void: the same claims again, and now the refund is theirs.
    let entry = Entry::BatchVoided(BatchVoided {
        claims: sealed.claims,
        void: vec![1],
        signature: vec![2],
    });
    store(
        &mut journal,
        Commit {
            operation: OperationId::new(batch.id.0),
            step: 1,
            at: at(),
            entry,
        },
    );
    let again = count(folder.path(), asked(2, 0))
        .expect("readable")
        .expect("there are claims");
    let batch = &again.batch;
    assert_eq!(
        (batch.count, batch.claimed, batch.refunds),
        (4, yen(1_200), yen(600))
    );
    seal(&mut journal, 0, &again);
    verify(folder.path(), None, |_, _| {}).expect("the journal is whole");
}

#[test]
fn a_row_that_is_lost_leaves_no_claim_behind() {
    let damage = "PRAGMA foreign_keys = OFF; DROP TRIGGER entries_never_change; UPDATE entries SET content = '{}' WHERE number = 6";
    let lost_before_damage = format!("DELETE FROM settleable WHERE entry = 4; {damage}");
    for (spoil, is_found) in [
        ("DELETE FROM settleable WHERE entry = 4", true),
        (lost_before_damage.as_str(), true),
        (damage, false),
        ("DELETE FROM verdicts", false),
    ] {
        let folder = common::folder();
        let mut journal = open(&folder);
        for sale in (0..3).map(Sale::new) {
            store(&mut journal, sale.intended());
            store(&mut journal, sale.paid(1, false));
        }
        journal.maintain().expect("the journal works");
        drop(journal);
        let conn = rusqlite::Connection::open(folder.path().join("journal.db")).expect("it opens");
        conn.execute_batch(spoil).expect(spoil);
        drop(conn);
        let counted = count(folder.path(), asked(1, 0));
        if is_found {
            let error = counted.expect_err("a claim is missing");
            let is_of_books = matches!(error, Fault::NotCounted(CountError::OtherBalance));
            assert!(is_of_books, "{error}");
        } else {
            assert!(counted.expect("readable").is_some());
        }
    }
}

#[test]
fn a_long_range_is_counted_in_pages() {
    const SALES: u32 = 3_000;
    let folder = common::fast_folder();
    let mut journal = open(&folder);
    let mut group = Vec::new();
    for sale in (0..SALES).map(Sale::new) {
        group.extend([sale.intended(), sale.paid(1, false)]);
    }
    for commits in group.chunks(60) {
        journal.append(commits).expect("the journal works");
        journal.maintain().expect("the journal works");
    }
    let began = Instant::now();
    let counted = count(folder.path(), asked(1, 0))
        .expect("readable")
        .expect("there are claims");
    println!("{SALES} claims are counted in {} ms", began.elapsed().as_millis());
    assert_eq!(counted.batch.count, SALES);
    let (mut sizes, mut seal) = (Vec::new(), Seal::begin(counted.batch.id, jpy()));
    let mut items = Items::new(folder.path(), &sending(0, counted.upto, &counted.batch));
    let mut place = 0;
    while place < SALES {
        let page = items.page(place).expect("readable");
        sizes.push(page.len());
        place += u32::try_from(page.len()).expect("a page is short");
        page.iter().for_each(|item| seal.add(item).expect("it fits"));
    }
    assert_eq!(sizes, [1_000; 3]);
    assert!(seal.is_of(&counted.batch));
}

#[test]
fn a_damaged_sale_keeps_nothing_before_it_from_being_settled() {
    // The first sale is entries 1 to 3, and its refund becomes owed with entry 42; the others are 4 and 5, 6 and 7, and so on.
    for (damage, claims, refunds) in [
        ("content = '{}' WHERE number = 9", 3, 0),
        ("content = '{}' WHERE number = 8", 3, 0),
        ("operation = zeroblob(16) WHERE number = 9", 3, 0),
        ("content = '{}' WHERE number = 42", 20, 0),
        ("content = '{}' WHERE number = 43", 20, 300),
        ("content = '{}' WHERE number = 2", 0, 0),
    ] {
        let folder = common::folder();
        let mut journal = open(&folder);
        let first = Sale::new(0);
        store(&mut journal, first.intended());
        store(&mut journal, first.in_doubt(1));
        store(&mut journal, first.paid(2, false));
        for sale in (1..20).map(Sale::new) {
            store(&mut journal, sale.intended());
            store(&mut journal, sale.paid(1, false));
        }
        store(
            &mut journal,
            first.concluded(3, Conclusion::Abandoned, Some(yen(300))),
        );
        store(&mut journal, Sale::new(20).closed());
        drop(journal);
        let conn = rusqlite::Connection::open(folder.path().join("journal.db")).expect("it opens");
        conn.execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; DROP TRIGGER entries_never_change; UPDATE entries SET {damage}"
        ))
        .expect(damage);
        let told = match count(folder.path(), asked(1, 0)) {
            Ok(counted) => counted.map(|it| (it.batch.count, it.batch.refunds)),
            // Nothing is in front of the damage: its name is told.
            Err(Fault::Damaged(_)) => None,
            Err(other) => panic!("{damage}: {other}"),
        };
        let expected = (claims > 0).then_some((claims, yen(refunds)));
        assert_eq!(told, expected, "{damage}");
    }
}
