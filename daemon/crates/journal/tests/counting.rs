//! A batch counted over the journal by the engine's own counter: the same at every time, and in pages.

mod common;

use std::time::Instant;

use common::{OWNER, Sale, open, store, yen};
use purser_engine::settlement::items::CountError;
use purser_engine::settlement::{CountBatch, Counted, Counter, Enrolment, Pages, Settleable};
use purser_journal::{Journal, Range, ReadError, Reader, verify};
use purser_ledger::{
    BatchSealed, BatchVoided, Commit, Conclusion, Currency, Entry, OperationId, Part, Store, Wall,
};
use purser_provider_link::{Batch, Item, ProviderName, Seal, TerminalName};

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

type Failed = Box<dyn std::error::Error>;

fn page(reader: &Reader, after: u64, upto: u64) -> Result<Vec<Settleable>, ReadError> {
    let rows = reader.settleable(jpy(), after, upto, 1_000)?;
    let words = |(entry, operation)| Settleable { entry, operation };
    Ok(rows.into_iter().map(words).collect())
}

/// What the daemon's reader does with an `Output::Count`.
fn count(reader: &Reader, asked: CountBatch) -> Result<Option<Counted>, Failed> {
    let mut range = reader.range(asked.currency, asked.after)?;
    loop {
        let mut read_to = asked.after;
        match count_to(reader, &asked, range, &mut read_to) {
            Err(error) => match error
                .downcast_ref()
                .and_then(|error| range.before(error, read_to))
            {
                Some(shorter) => range = shorter,
                None => return Err(error),
            },
            counted => return counted,
        }
    }
}

fn count_to(
    reader: &Reader,
    asked: &CountBatch,
    range: Range,
    read_to: &mut u64,
) -> Result<Option<Counted>, Failed> {
    let mut counter = Counter::new(asked.clone());
    loop {
        let rows = page(reader, *read_to, range.upto)?;
        let Some(last) = rows.last() else { break };
        *read_to = last.entry;
        for row in &rows {
            counter.take(row)?;
        }
    }
    let booked = reader.booked(asked.currency, range)?;
    Ok(counter.finish(range.upto, range.has_more, booked)?)
}

/// The items of a sealed batch, page by page.
fn items(reader: &Reader, after: u64, upto: u64, mut each: impl FnMut(Vec<Item>)) {
    let mut pages = Pages::new(after, 1_000);
    loop {
        let next = pages.next(|after| Ok::<_, Failed>(page(reader, after, upto)?));
        let next = next.expect("readable");
        if next.is_empty() {
            return;
        }
        each(next);
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

fn is_still(reader: &Reader, after: u64, upto: u64, batch: &Batch) -> bool {
    let mut seal = Seal::begin(batch.id, jpy());
    items(reader, after, upto, |page| {
        page.iter().for_each(|item| seal.add(item).expect("it fits"));
    });
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
    let reader = Reader::open(folder.path()).expect("readable");
    let counted = count(&reader, asked(1, 0))
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
    assert!(is_still(&reader, 0, counted.upto, &batch));
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
    assert!(is_still(&reader, sealed.after, sealed.upto, &batch));
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
    let again = count(&reader, asked(2, 0))
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
        let reader = Reader::open(folder.path()).expect("readable");
        let counted = count(&reader, asked(1, 0));
        if is_found {
            let error = counted.expect_err("a claim is missing");
            assert_eq!(error.downcast_ref(), Some(&CountError::OtherBalance), "{error}");
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
    let reader = Reader::open(folder.path()).expect("readable");
    let began = Instant::now();
    let counted = count(&reader, asked(1, 0))
        .expect("readable")
        .expect("there are claims");
    println!("{SALES} claims are counted in {} ms", began.elapsed().as_millis());
    assert_eq!(counted.batch.count, SALES);
    let (mut sizes, mut seal) = (Vec::new(), Seal::begin(counted.batch.id, jpy()));
    items(&reader, 0, counted.upto, |page| {
        sizes.push(page.len());
        page.iter().for_each(|item| seal.add(item).expect("it fits"));
    });
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
        let reader = Reader::open(folder.path()).expect("readable");
        let counted = count(&reader, asked(1, 0)).expect(damage);
        let told = counted.map_or((0, yen(0)), |it| (it.batch.count, it.batch.refunds));
        assert_eq!(told, (claims, yen(refunds)), "{damage}");
    }
}
