//! The full check finds every changed byte, and a tail that was cut off.

mod common;

use std::fs;
use std::path::Path;

use common::load::store_loads_of_each_standing;
use common::{NO_RESERVE, Sale, folder, open, store, store_some_of_each};
use purser_journal::{Derived, Finding, Journal, OpenError, Report, VerifyError, verify};
use purser_ledger::Head;
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

/// A closed journal, all of it in the data base file, and a folder to spoil copies in.
struct Original {
    journal: Vec<u8>,
    copy: TempDir,
}

impl Original {
    fn make() -> Self {
        Self::of(store_some_of_each)
    }

    /// The same with loads and no sale.
    fn of_loads() -> Self {
        Self::of(|journal| {
            store_loads_of_each_standing(journal);
        })
    }

    fn of(fill: impl FnOnce(&mut Journal)) -> Self {
        let folder = folder();
        let mut journal = open(&folder);
        fill(&mut journal);
        let head = journal.head();
        journal.maintain().expect("the journal works");
        drop(journal);
        let copy = common::fast_folder();
        fs::copy(folder.path().join("chain.key"), copy.path().join("chain.key")).expect("copied");
        let file = fs::read(folder.path().join("journal.db")).expect("readable");
        let original = Self { journal: file, copy };
        original.restore();
        verify(original.path(), Some(head), |_, _| {}).expect("the copy is whole");
        original
    }

    fn path(&self) -> &Path {
        self.copy.path()
    }

    fn restore(&self) {
        self.write(&self.journal);
    }

    fn write(&self, file: &[u8]) {
        fs::write(self.path().join("journal.db"), file).expect("written");
        for companion in ["journal.db-wal", "journal.db-shm"] {
            let _ = fs::remove_file(self.path().join(companion));
        }
    }

    /// Lets SQL spoil a fresh copy; false when the statement changed nothing.
    fn spoil(&self, sql: &str) -> bool {
        self.restore();
        let conn = Connection::open(self.path().join("journal.db")).expect("it opens");
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN")
            .expect("set");
        let guards: Vec<(String, String)> = conn
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
            .and_then(|mut guards| {
                guards
                    .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .expect("readable");
        for (name, _) in &guards {
            conn.execute_batch(&format!("DROP TRIGGER {name}"))
                .expect("the guard goes");
        }
        let changed = conn.execute(sql, ()).expect(sql);
        for (_, guard) in &guards {
            conn.execute_batch(guard).expect("the guard returns");
        }
        conn.execute_batch("COMMIT").expect("stored");
        changed > 0
    }

    fn verify(&self) -> Result<Head, VerifyError> {
        verify(self.path(), None, |_, _| {}).map(|report| report.head)
    }
}

/// Every row of a table, its columns named.
fn rows_of(conn: &Connection, table: &str) -> Vec<Vec<(String, Value)>> {
    let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).expect("readable");
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let read = |row: &rusqlite::Row<'_>| {
        (0..names.len())
            .map(|index| row.get(index))
            .collect::<Result<Vec<_>, _>>()
    };
    let rows = statement
        .query_map((), read)
        .expect("readable")
        .collect::<Result<Vec<_>, _>>()
        .expect("readable");
    rows.into_iter()
        .map(|row| names.iter().cloned().zip(row).collect())
        .collect()
}

fn literal(value: &Value) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => format!("'{text}'"),
        Value::Blob(bytes) => format!("x'{}'", hex(bytes)),
        Value::Null => "NULL".to_owned(),
        Value::Real(_) => unreachable!("no table has such values"),
    }
}

/// What a value becomes when one bit of one of its bytes is turned, for each of its bytes.
fn flips(value: &Value) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let flipped = |bytes: &[u8]| -> Vec<String> {
        let flip = |index: usize| {
            let mut spoilt = bytes.to_vec();
            spoilt[index] ^= 1 << (index % 8);
            hex(&spoilt)
        };
        (0..bytes.len()).map(flip).collect()
    };
    match value {
        Value::Integer(number) => (0..63)
            .step_by(8)
            .map(|bit| (number ^ (1 << bit)).to_string())
            .collect(),
        Value::Text(text) => flipped(text.as_bytes())
            .iter()
            .map(|hex| format!("CAST(x'{hex}' AS TEXT)"))
            .collect(),
        Value::Blob(bytes) => flipped(bytes).iter().map(|hex| format!("x'{hex}'")).collect(),
        // A load's without a card: it has no byte.
        Value::Null => Vec::new(),
        Value::Real(_) => unreachable!("no table has such values"),
    }
}

/// Turns each byte of each value of a table and demands that the check finds it; gives the number of flips.
fn assert_flips_are_found(original: &Original, table: &str) -> usize {
    original.restore();
    let conn = Connection::open(original.path().join("journal.db")).expect("it opens");
    let rows = rows_of(&conn, table);
    drop(conn);
    let mut count = 0;
    for row in &rows {
        let conditions: Vec<_> = row
            .iter()
            .map(|(name, value)| format!("{name} IS {}", literal(value)))
            .collect();
        for (name, value) in row {
            for flip in flips(value) {
                let sql = format!(
                    "UPDATE OR IGNORE {table} SET {name} = {flip} WHERE {}",
                    conditions.join(" AND ")
                );
                if original.spoil(&sql) {
                    let found = original.verify().expect_err(&sql);
                    assert!(matches!(found, VerifyError::Found(_)), "{sql}: {found:?}");
                    count += 1;
                }
            }
        }
    }
    count
}

#[test]
fn every_flipped_byte_of_an_entry_is_found() {
    assert!(assert_flips_are_found(&Original::make(), "entries") > 6_000);
}

#[test]
fn every_flipped_byte_of_a_loads_row_and_one_of_each_of_its_entries_is_found() {
    let original = Original::of_loads();
    let count = assert_flips_are_found(&original, "loads");
    assert!(count >= 150, "{count} flips");
    for number in 1..=29 {
        for change in [
            "content = replace(content, 'kind', 'kinc')",
            "content = replace(content, '00', '01')",
            "digest = zeroblob(32)",
            "operation = zeroblob(16)",
        ] {
            let sql = format!("UPDATE entries SET {change} WHERE number = {number}");
            assert!(original.spoil(&sql), "{sql}");
            let found = original.verify().expect_err(&sql);
            assert!(matches!(found, VerifyError::Found(_)), "{sql}: {found:?}");
        }
    }
}

#[test]
fn every_flipped_byte_of_a_derived_row_is_found() {
    for (table, least) in [
        ("operations", 250),
        ("debits", 250),
        ("open_operations", 60),
        ("balances", 60),
    ] {
        let count = assert_flips_are_found(&Original::make(), table);
        assert!(count >= least, "{table}: {count} flips");
    }
}

#[test]
fn every_missing_and_every_added_row_is_found() {
    let original = Original::make();
    let changes = [
        ("DELETE FROM entries WHERE number = 4", "Missing"),
        ("DELETE FROM entries WHERE number = 15", "Operations"),
        ("DELETE FROM operations WHERE opening = 1", "Operations"),
        ("DELETE FROM debits WHERE terminal_sn = 1", "Debits"),
        ("DELETE FROM open_operations", "OpenOperations"),
        ("DELETE FROM balances", "Balances"),
        ("INSERT INTO operations VALUES (x'00', 99, 'R', 0)", "Operations"),
        (
            "INSERT INTO debits SELECT x'00', 99, scheme, card, operation FROM debits LIMIT 1",
            "Debits",
        ),
        (
            "INSERT INTO open_operations SELECT 99, id FROM operations LIMIT 1",
            "OpenOperations",
        ),
        ("INSERT INTO balances VALUES ('USD', 'claims', 1, 1)", "Balances"),
    ];
    for (sql, word) in changes {
        assert!(original.spoil(sql), "{sql} changes something");
        let found = original.verify().expect_err(sql);
        assert!(format!("{found:?}").contains(word), "{sql}: {found:?}");
    }
}

#[test]
fn every_row_of_a_load_that_is_missing_added_or_another_is_found() {
    let original = Original::of_loads();
    let changes = [
        ("DELETE FROM loads WHERE card IS NULL", "Loads"),
        ("DELETE FROM loads WHERE card IS NOT NULL", "Loads"),
        ("INSERT INTO loads VALUES (x'00', NULL, NULL)", "Loads"),
        ("UPDATE loads SET scheme = NULL, card = NULL", "Loads"),
        (
            "UPDATE loads SET scheme = 'pboc', card = x'01010101010101010101' WHERE card IS NULL",
            "Loads",
        ),
        ("DELETE FROM open_operations WHERE opening = 8", "OpenOperations"),
        ("DELETE FROM balances WHERE account = 'loads_owed'", "Balances"),
    ];
    for (sql, word) in changes {
        assert!(original.spoil(sql), "{sql} changes something");
        let found = original.verify().expect_err(sql);
        assert!(format!("{found:?}").contains(word), "{sql}: {found:?}");
    }
}

#[test]
fn a_damaged_entry_does_not_hide_damage_that_hits_all_sales() {
    let original = Original::make();
    let entries = [
        (
            "content = replace(content, '300', '301') WHERE number = 3",
            "Changed",
        ),
        ("content = '{}' WHERE number = 1", "Changed"),
        ("digest = zeroblob(32) WHERE number = 6", "Changed"),
    ];
    for (change, alone) in entries {
        let change = format!("UPDATE entries SET {change}");
        assert!(original.spoil(&change));
        let found = original.verify().expect_err(&change);
        assert!(format!("{found:?}").contains(alone), "{change}: {found:?}");
        let rows = [
            ("DELETE FROM operations WHERE opening = 14", "Operations"),
            (
                "UPDATE operations SET reference = 'x' WHERE opening = 14",
                "Operations",
            ),
            ("DELETE FROM debits WHERE terminal_sn = 7", "Debits"),
            ("DROP INDEX entries_by_operation", "Structure"),
        ];
        for (sql, word) in rows {
            assert!(original.spoil(&change));
            let conn = Connection::open(original.path().join("journal.db")).expect("it opens");
            conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
                .expect(sql);
            drop(conn);
            let found = original.verify().expect_err(sql);
            assert!(format!("{found:?}").contains(word), "{change}; {sql}: {found:?}");
        }
    }
}

#[test]
fn a_flipped_byte_of_the_file_is_found_or_changes_nothing_that_is_read() {
    /// Every byte would take minutes; a step that no structure of the file has visits every kind of place.
    const STEP: usize = 11;
    let original = Original::make();
    let tables = ["entries", "operations", "debits", "open_operations", "balances"];
    let read_all = || {
        let uri = format!(
            "file:{}?immutable=1",
            original.path().join("journal.db").display()
        );
        let conn = Connection::open(uri).expect("it opens");
        tables.map(|table| rows_of(&conn, table))
    };
    let whole = read_all();
    let (mut found, mut harmless) = (0, 0);
    for index in (0..original.journal.len()).step_by(STEP) {
        let mut spoilt = original.journal.clone();
        spoilt[index] ^= 1 << (index % 8);
        original.write(&spoilt);
        match original.verify() {
            Ok(_) => {
                assert!(
                    read_all() == whole,
                    "byte {index} changes what is read, and was not found"
                );
                harmless += 1;
            }
            Err(_) => found += 1,
        }
    }
    assert!(
        found > 300 && harmless > 300,
        "{found} found, {harmless} in unused places"
    );
}

#[test]
fn a_tail_that_was_cut_off_is_found_by_the_head_file_or_by_a_head_that_was_kept() {
    let folder = folder();
    let mut journal = open(&folder);
    let first = store(&mut journal, Sale::new(1).closed());
    journal.maintain().expect("the journal works");
    let early = fs::read(folder.path().join("journal.db")).expect("readable");
    let printed = store(&mut journal, Sale::new(2).closed());
    drop(journal);
    let check = |expect: Head| verify(folder.path(), Some(expect), |_, _| {});
    check(printed).expect("whole");
    check(first).expect("a journal may have grown since the head was printed");
    let strange = Head {
        digest: [1; 32],
        ..first
    };
    assert!(matches!(
        check(strange),
        Err(VerifyError::Found(Finding::OtherHead { number: 1 }))
    ));
    fs::write(folder.path().join("journal.db"), early).expect("written");
    fs::remove_file(folder.path().join("journal.db-wal")).expect("it goes");
    let assert_cut = |checked: Result<Report, VerifyError>| {
        let cut = checked.expect_err("the tail is cut off");
        let is_cut = |finding: &Finding| {
            matches!(
                finding,
                Finding::TailCut {
                    found: 1,
                    expected: 2
                }
            )
        };
        assert!(
            matches!(&cut, VerifyError::Found(finding) if is_cut(finding)),
            "{cut:?}"
        );
    };
    assert_cut(verify(folder.path(), None, |_, _| {}));
    fs::remove_file(folder.path().join("journal.head")).expect("it goes");
    verify(folder.path(), None, |_, _| {}).expect("an old copy of everything is whole by itself");
    assert_cut(check(printed));
}

#[test]
fn a_check_leaves_nothing_behind_and_says_when_it_cannot_be_made() {
    let original = Original::make();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(original.path())
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    original.verify().expect("whole");
    assert_eq!(names(), before);
    fs::remove_file(original.path().join("chain.key")).expect("it goes");
    assert!(matches!(
        original.verify(),
        Err(VerifyError::Open(OpenError::KeyMissing))
    ));
    fs::write(original.path().join("chain.key"), [0; 32]).expect("written");
    assert!(matches!(
        original.verify(),
        Err(VerifyError::Found(Finding::Changed { number: 1 }))
    ));
    original.write(b"no data base at all, but long enough to be looked at; no data base at all, but long enough to be looked at");
    assert!(matches!(
        original.verify(),
        Err(VerifyError::Open(OpenError::FirstPage))
    ));
    fs::remove_file(original.path().join("chain.key")).expect("it goes");
    assert!(matches!(
        original.verify(),
        Err(VerifyError::Open(OpenError::NotAJournal))
    ));
    fs::remove_file(original.path().join("journal.db")).expect("it goes");
    assert!(matches!(
        original.verify(),
        Err(VerifyError::Open(OpenError::Absent))
    ));
}

#[test]
fn a_start_finds_a_changed_entry_among_the_newest() {
    let original = Original::make();
    assert!(original.spoil("UPDATE entries SET content = replace(content, '300', '200') WHERE number = 14"));
    let refused = Journal::open(original.path(), &NO_RESERVE).expect_err("the chain is broken");
    assert!(
        matches!(refused, OpenError::ChainBroken { number: 14 }),
        "{refused:?}"
    );
    assert!(original.spoil("UPDATE balances SET minor = minor + 1 WHERE account = 'claims'"));
    assert!(matches!(
        Journal::open(original.path(), &NO_RESERVE),
        Err(OpenError::Damaged(_))
    ));
}

#[test]
fn a_finding_names_the_table_that_is_wrong() {
    let shown = Finding::Derived(Derived::Balances).to_string();
    assert!(
        shown.contains("Balances") && shown.contains("entries are whole"),
        "{shown}"
    );
}
