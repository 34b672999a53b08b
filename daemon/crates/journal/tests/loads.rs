//! Loads in the journal: kept and found, resumed by every start, one reference space with sales, and one that is damaged hits itself.

mod common;

use common::load::{LOADS, Load, store_loads_of_each_standing};
use common::{Sale, append_one, folder, open, open_when_free, store, store_some_of_each, yen};
use purser_journal::{Journal, MendError, OpenError, Query, Reader, mend, verify};
use purser_ledger::{
    Account, AnyOperation, Commit, Entry, Find, FindError, LoadStanding, Refused, Snapshot, Store,
};
use rusqlite::Connection;
use tempfile::TempDir;

fn found(journal: &Journal, load: Load) -> Option<AnyOperation> {
    journal
        .find(&Find::Reference(load.reference()))
        .expect("it is readable")
}

fn snapshot(journal: &Journal) -> Snapshot {
    journal.snapshot().expect("readable")
}

fn spoil(folder: &TempDir, sql: &str) {
    let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
    let guards = "DROP TRIGGER entries_never_change; DROP TRIGGER entries_never_vanish;";
    let made_anew = "CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries never change'); END;
        CREATE TRIGGER entries_never_vanish BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries never vanish'); END;";
    conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {guards} {sql}; {made_anew}"))
        .expect(sql);
}

/// Spoils the entries of a load that stands before the newest ones.
fn spoil_entries(folder: &TempDir, load: Load, change: &str) {
    let mut journal = open(folder);
    for n in 100..170 {
        store(&mut journal, Sale::new(n).closed());
    }
    journal.maintain().expect("the journal works");
    drop(journal);
    spoil(
        folder,
        &format!("UPDATE entries SET {change} WHERE operation = x'{}'", load.id()),
    );
}

#[test]
fn a_load_is_found_at_each_step_and_each_start_goes_on_with_it() {
    let folder = folder();
    let load = Load::new(1);
    let mut expected: Option<AnyOperation> = None;
    assert_eq!(found(&open(&folder), load), None);
    for commit in load.steps() {
        let mut journal = open(&folder);
        let head = store(&mut journal, commit.clone());
        match &mut expected {
            Some(known) => known.apply(&commit.content(), head).expect("it follows"),
            None => expected = Some(AnyOperation::begin(&commit.content(), head).expect("it opens")),
        }
        let known = expected.as_ref().and_then(AnyOperation::load).expect("a load");
        let open_loads: Vec<_> = Some(known.clone())
            .filter(|it| it.is_open())
            .into_iter()
            .collect();
        let assert_stands = |journal: Journal| {
            assert_eq!(found(&journal, load), expected);
            let snapshot = snapshot(&journal);
            assert_eq!(snapshot.loads, open_loads);
            assert_eq!(snapshot.receipts().len(), open_loads.len());
            assert!(snapshot.open.is_empty() && snapshot.held.is_empty());
        };
        assert_stands(journal);
        assert_stands(open(&folder));
        let reader = Reader::open(folder.path()).expect("readable");
        assert_eq!(reader.operation(&load.reference()).expect("readable"), expected);
        assert_eq!(reader.open_loads().expect("readable"), open_loads);
        let report = verify(folder.path(), Some(head), |_, _| {}).expect("whole");
        assert_eq!((report.operations, report.debits), (1, 0));
        assert_eq!(report.open, u64::try_from(open_loads.len()).expect("one"));
    }
    assert!(matches!(
        expected
            .as_ref()
            .and_then(AnyOperation::load)
            .map(|it| &it.standing),
        Some(LoadStanding::Confirmed(_))
    ));
}

#[test]
fn loads_of_every_standing_come_back_in_their_order_beside_sales() {
    let folder = folder();
    let mut journal = open(&folder);
    store_some_of_each(&mut journal);
    let sales = snapshot(&journal).open;
    let loads = store_loads_of_each_standing(&mut journal);
    let before = snapshot(&journal);
    let ids: Vec<_> = before.loads.iter().map(|it| it.id).collect();
    let expected: Vec<_> = loads[1..5].iter().map(Load::id).collect();
    assert_eq!(ids, expected, "those that have an end are not open");
    assert_eq!(before.open, sales);
    let head = journal.head();
    drop(journal);
    let journal = open(&folder);
    let after = snapshot(&journal);
    assert_eq!((after.loads, after.open), (before.loads, before.open));
    verify(folder.path(), Some(head), |_, _| {}).expect("whole");
    let reader = Reader::open(folder.path()).expect("readable");
    let overview = reader.overview().expect("readable");
    assert_eq!((overview.sales, overview.loads), (7, LOADS.0));
    assert_eq!((overview.open.len(), overview.open_loads.len()), (sales.len(), 4));
    let balance = |account| overview.totals.books().balance(account, yen(0).currency());
    assert_eq!(
        [Account::Loads, Account::LoadsOwed, Account::Loaded].map(balance),
        [yen(25_000), yen(15_000), yen(10_000)]
    );
    let of_load = Query {
        limit: 1_000,
        reference: Some(loads[0].reference()),
        ..Query::default()
    };
    assert_eq!(reader.entries(&of_load).expect("readable").len(), 7);
}

#[test]
fn sales_and_loads_share_their_references_and_a_loads_number_is_used_once() {
    let folder = folder();
    let mut journal = open(&folder);
    let (sale, load) = (Sale::new(1), Load::new(1));
    store(&mut journal, sale.intended());
    store(&mut journal, load.begun());
    let renamed = |commit: Commit, reference| match commit.entry {
        Entry::LoadBegun(it) => {
            let entry = Entry::LoadBegun(purser_ledger::LoadBegun { reference, ..it });
            Commit { entry, ..commit }
        }
        Entry::SaleIntended(it) => {
            let entry = Entry::SaleIntended(purser_ledger::SaleIntended { reference, ..it });
            Commit { entry, ..commit }
        }
        entry => Commit { entry, ..commit },
    };
    let mut answer = |commit| append_one(&mut journal, commit).expect_err("it is refused");
    let other_kind = Refused::ExistsWithDifferentKind;
    assert_eq!(
        answer(renamed(Load::new(2).begun(), sale.reference())),
        other_kind
    );
    assert_eq!(
        answer(renamed(Sale::new(2).intended(), load.reference())),
        other_kind
    );
    assert_eq!(answer(load.begun()), Refused::Exists);
    let dearer = Load {
        amount: yen(5_001),
        ..load
    };
    assert_eq!(answer(dearer.begun()), Refused::ExistsWithDifferentAmount);
    let other_name = renamed(load.begun(), Load::new(3).reference());
    assert_eq!(answer(other_name.clone()), Refused::OutOfOrder);
    store(&mut journal, load.voided(1));
    assert_eq!(
        append_one(&mut journal, other_name),
        Err(Refused::OutOfOrder),
        "a load that has ended is not begun again"
    );
    drop(journal);
    verify(folder.path(), None, |_, _| {}).expect("whole");
}

#[test]
fn a_group_opens_a_load_and_goes_on_with_it_and_takes_nothing_from_a_refused_one() {
    let folder = folder();
    let mut journal = open(&folder);
    let (load, other) = (Load::new(1), Load::new(2));
    let group = [
        load.begun(),
        other.attempted(0, 1),
        load.attempted(1, 1),
        load.released(2, 2),
        load.released(2, 1),
    ];
    let answers = journal.append(&group).expect("the journal works");
    let taken: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(taken, [true, false, true, false, true]);
    drop(journal);
    let journal = open(&folder);
    assert!(snapshot(&journal).loads[0].waits_for_card());
    assert_eq!(found(&journal, other), None);
    verify(folder.path(), None, |_, _| {}).expect("whole");
}

#[test]
fn a_released_load_that_cannot_be_read_holds_its_card_and_nobody_else() {
    for (change, released) in [
        ("content = '{}'", true),
        ("digest = zeroblob(32)", true),
        ("content = replace(content, '5000', '5001')", true),
        ("content = '{}'", false),
    ] {
        let folder = folder();
        let mut journal = open(&folder);
        let load = Load::new(1);
        let steps = if released { 4 } else { 2 };
        for commit in load.steps().into_iter().take(steps) {
            store(&mut journal, commit);
        }
        drop(journal);
        spoil_entries(&folder, load, change);
        let mut journal = open(&folder);
        let start = snapshot(&journal);
        let held: Vec<_> = Some(load.card()).filter(|_| released).into_iter().collect();
        assert_eq!((start.loads.len(), start.held), (0, held), "{change}");
        let damaged = journal.find(&Find::Reference(load.reference()));
        assert!(
            matches!(damaged, Err(FindError::Damaged(_))),
            "{change}: {damaged:?}"
        );
        let overview = Reader::open(folder.path()).and_then(|reader| Ok(reader.overview()?));
        let overview = overview.expect("readable");
        assert_eq!(overview.unreadable, 0, "no sale is damaged");
        assert_eq!(
            overview.open_loads.len() + overview.unreadable_loads,
            1,
            "{change}"
        );
        // Whoever names its number under another reference is refused, and does not end the process.
        let again = Load::new(2).begun();
        let again = Commit {
            operation: load.id(),
            ..again
        };
        assert_eq!(
            append_one(&mut journal, again),
            Err(Refused::OutOfOrder),
            "{change}"
        );
        store(&mut journal, Load::new(3).begun());
        store(&mut journal, Sale::new(3).intended());
        store(&mut journal, Sale::new(3).paid(1, false));
    }
}

#[test]
fn an_open_load_that_is_forgotten_stops_the_start_as_does_one_of_which_no_row_tells_the_card() {
    for (sql, entries) in [
        ("DELETE FROM open_operations", None),
        ("DELETE FROM loads", Some("content = '{}'")),
    ] {
        let folder = folder();
        let mut journal = open(&folder);
        let load = Load::new(1);
        for commit in load.steps().into_iter().take(3) {
            store(&mut journal, commit);
        }
        journal.maintain().expect("the journal works");
        drop(journal);
        if let Some(change) = entries {
            spoil_entries(&folder, load, change);
        }
        spoil(&folder, sql);
        let refused = open_when_free(folder.path()).expect_err("a credit could be made twice");
        assert!(matches!(refused, OpenError::Damaged(_)), "{sql}: {refused:?}");
    }
}

#[test]
fn a_load_and_a_sale_with_one_reference_are_told_by_their_entries() {
    let folder = folder();
    let mut journal = open(&folder);
    let load = Load::new(1);
    let first = store(&mut journal, load.begun());
    store(&mut journal, load.voided(1));
    journal.maintain().expect("the journal works");
    drop(journal);
    spoil(
        &folder,
        &format!("DELETE FROM operations WHERE id = x'{}'", load.id()),
    );
    let mut journal = open(&folder);
    let mut repeated = Sale::new(1).intended();
    if let Entry::SaleIntended(intended) = &mut repeated.entry {
        intended.reference = load.reference();
    }
    let second = store(&mut journal, repeated);
    drop(journal);
    let refused = mend(folder.path(), "a test").expect_err("one of the two would be lost");
    assert!(
        matches!(refused, MendError::Twice { first: one, second: other } if (one, other) == (first.number, second.number)),
        "{refused:?}"
    );
}

#[test]
fn mending_keeps_every_load_as_it_stood() {
    for sql in [
        "DELETE FROM loads",
        "UPDATE loads SET scheme = NULL, card = NULL",
        "DELETE FROM open_operations",
        "DELETE FROM operations",
        "UPDATE balances SET minor = minor + 1 WHERE account = 'loads'",
    ] {
        let folder = folder();
        let mut journal = open(&folder);
        store_some_of_each(&mut journal);
        let loads = store_loads_of_each_standing(&mut journal);
        journal.maintain().expect("the journal works");
        let before = (snapshot(&journal).loads, journal.head());
        drop(journal);
        spoil(&folder, sql);
        verify(folder.path(), None, |_, _| {}).expect_err(sql);
        let mended = mend(folder.path(), "a test").expect(sql);
        assert_eq!(mended.report.head, before.1, "{sql}");
        let mut journal = open(&folder);
        assert_eq!(snapshot(&journal).loads, before.0, "{sql}");
        store(&mut journal, loads[2].proven(5, 2));
        store(&mut journal, loads[4].voided(1));
        drop(journal);
        verify(folder.path(), None, |_, _| {}).expect("it goes on whole");
    }
}
