//! What the full check finds of settlement, and what mending makes of it.

mod common;

use common::batch::{exchanged, found, jpy, keep_all, part, sealed, sell, whole};
use common::{folder, open, store, yen};
use purser_journal::{Derived, Finding, mend};
use purser_ledger::{BatchSealed, Entry, Store};
use rusqlite::Connection;

#[test]
fn verify_finds_a_batch_whose_sums_are_not_those_of_its_range() {
    let wrong = |change: &dyn Fn(&mut BatchSealed)| {
        let mut seal = sealed(1, (0, 6), 3);
        if let Entry::BatchSealed(sealed) = &mut seal.entry {
            change(sealed);
        }
        seal
    };
    let seals = [
        wrong(&|it| it.claims = part(2, 600)),
        wrong(&|it| it.claims.amount = yen(899)),
        wrong(&|it| it.count = 4),
        wrong(&|it| it.refunds = yen(1)),
        wrong(&|it| it.upto = 4),
    ];
    for seal in seals {
        let folder = folder();
        let mut journal = open(&folder);
        sell(&mut journal, 0..3);
        store(&mut journal, seal.clone());
        drop(journal);
        let finding = found(&folder);
        assert!(
            matches!(finding, Finding::Batch { number: 7 }),
            "{seal:?}: {finding:?}"
        );
    }
}

#[test]
fn verify_finds_and_mend_makes_anew_every_row_of_settlement() {
    let spoils = [
        ("DELETE FROM settleable WHERE entry = 2", Derived::Settleable),
        (
            "UPDATE settleable SET kind = 'refund' WHERE entry = 4",
            Derived::Settleable,
        ),
        (
            "UPDATE settleable SET currency = 'USD' WHERE entry = 6",
            Derived::Settleable,
        ),
        (
            "INSERT INTO settleable VALUES ('JPY', 3, 'claim')",
            Derived::Settleable,
        ),
        ("UPDATE batches SET standing = 'voided'", Derived::Batches),
        ("UPDATE batches SET upto = 5", Derived::Batches),
        ("UPDATE batches SET after = 1", Derived::Batches),
        ("DELETE FROM batches", Derived::Batches),
    ];
    for (spoil, table) in spoils {
        let folder = folder();
        let mut journal = open(&folder);
        sell(&mut journal, 0..3);
        store(&mut journal, sealed(1, (0, 6), 3));
        keep_all(&mut journal, 1, 3);
        store(&mut journal, exchanged(1, 3));
        sell(&mut journal, 3..4);
        journal.maintain().expect("the journal works");
        drop(journal);
        let conn = Connection::open(folder.path().join("journal.db")).expect("it opens");
        conn.execute(spoil, ()).expect(spoil);
        drop(conn);
        let finding = found(&folder);
        assert!(
            matches!(finding, Finding::Derived(found) if found == table),
            "{spoil}: {finding:?}"
        );
        mend(folder.path(), "a test").expect("it is mended");
        whole(&folder);
        let snapshot = open(&folder).snapshot().expect("readable");
        assert_eq!(snapshot.batches.next_after(jpy()), 6, "{spoil}");
        assert_eq!(snapshot.unsettled.count(), 1, "{spoil}");
    }
}
