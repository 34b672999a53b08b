//! Kinds of corruption of what happened, of the tables themselves, and of the files.

use crate::Kind;
use crate::journal::Plant::{Earlier, File, Schema, Sql};

/// Takes a sale away that has one entry, with every row that follows from it.
const NEWEST_SALE: &str = "DELETE FROM entries WHERE number = 30; DELETE FROM operations WHERE opening = 30;
    DELETE FROM debits WHERE terminal_sn = 25; DELETE FROM open_operations WHERE opening = 30;
    UPDATE balances SET minor = minor - 300, operations = operations - 1 WHERE account IN ('in_doubt', 'sales')";

/// In what happened.
pub(crate) const ENTRIES: &[Kind] = &[
    (
        "a claim's amount is raised",
        Sql("UPDATE entries SET content = replace(content, '300', '301') WHERE number = 2"),
        "Changed { number: 2 }",
    ),
    (
        "a paid sale's evidence is changed",
        Sql("UPDATE entries SET content = replace(content, 'a5a5', 'a5a6') WHERE number = 4"),
        "Changed { number: 4 }",
    ),
    (
        "a sale's time is changed",
        Sql(
            "UPDATE entries SET content = replace(content, '\"trusted\":true', '\"trusted\":false') WHERE number = 10",
        ),
        "Changed { number: 10 }",
    ),
    (
        "a permit's total is raised",
        Sql("UPDATE entries SET content = replace(content, '900', '990') WHERE number = 8"),
        "Changed { number: 8 }",
    ),
    (
        "a seal's end is moved",
        Sql("UPDATE entries SET content = replace(content, '\"upto\":16', '\"upto\":12') WHERE number = 17"),
        "Changed { number: 17 }",
    ),
    (
        "an entry is no JSON",
        Sql("UPDATE entries SET content = '{' WHERE number = 3"),
        "Changed { number: 3 }",
    ),
    (
        "an entry is empty",
        Sql("UPDATE entries SET content = '' WHERE number = 30"),
        "Changed { number: 30 }",
    ),
    (
        "an entry is written otherwise, and says the same",
        Sql("UPDATE entries SET content = replace(content, ',', ', ') WHERE number = 22"),
        "Changed { number: 22 }",
    ),
    (
        "an entry's digest is changed",
        Sql("UPDATE entries SET digest = zeroblob(32) WHERE number = 5"),
        "Changed { number: 5 }",
    ),
    (
        "an entry's digest is another's",
        Sql("UPDATE entries SET digest = (SELECT digest FROM entries WHERE number = 5) WHERE number = 6"),
        "Changed { number: 6 }",
    ),
    (
        "an entry's digest is cut short",
        Sql("UPDATE entries SET digest = substr(digest, 1, 31) WHERE number = 9"),
        "Row { table: \"entries\" }",
    ),
    (
        "an entry's row names another sale",
        Sql(
            "UPDATE entries SET operation = (SELECT operation FROM entries WHERE number = 1) WHERE number = 4",
        ),
        "OtherOperation { number: 4 }",
    ),
    (
        "an entry's row names no sale",
        Sql("UPDATE entries SET operation = x'00' WHERE number = 4"),
        "OtherOperation { number: 4 }",
    ),
    (
        "the first entry is gone",
        Sql("DELETE FROM entries WHERE number = 1"),
        "Missing { number: 1 }",
    ),
    (
        "a paid sale's second entry is gone",
        Sql("DELETE FROM entries WHERE number = 4"),
        "Missing { number: 4 }",
    ),
    (
        "a whole sale is gone",
        Sql("DELETE FROM entries WHERE number IN (9, 10)"),
        "Missing { number: 9 }",
    ),
    (
        "the exchange of a batch is gone",
        Sql("DELETE FROM entries WHERE number = 8"),
        "Missing { number: 8 }",
    ),
    (
        "the newest entry is gone",
        Sql("DELETE FROM entries WHERE number = 30"),
        "Derived(Operations)",
    ),
    (
        "the newest sale is gone, and all that followed from it",
        Sql(NEWEST_SALE),
        "TailCut { found: 29, expected: 30 }",
    ),
    (
        "every entry is gone",
        Sql("DELETE FROM entries"),
        "Derived(Operations)",
    ),
    (
        "two entries have changed places",
        Sql(
            "UPDATE entries SET content = (SELECT content FROM entries AS other WHERE other.number = 12 - entries.number) WHERE number IN (5, 7)",
        ),
        "Changed { number: 5 }",
    ),
    (
        "an entry is moved to the end",
        Sql("UPDATE entries SET number = 31 WHERE number = 22"),
        "Missing { number: 22 }",
    ),
    (
        "an entry stands twice",
        Sql("INSERT INTO entries SELECT 31, digest, operation, content FROM entries WHERE number = 2"),
        "Changed { number: 31 }",
    ),
    (
        "an entry is added",
        Sql("INSERT INTO entries SELECT 31, zeroblob(32), operation, content FROM entries WHERE number = 30"),
        "Changed { number: 31 }",
    ),
    (
        "an entry stands before the first",
        Sql("INSERT INTO entries SELECT 0, digest, operation, content FROM entries WHERE number = 1"),
        "Missing { number: 1 }",
    ),
    (
        "an entry has a number below zero",
        Sql("UPDATE entries SET number = -1 WHERE number = 30"),
        "Row { table: \"entries\" }",
    ),
];

/// In the tables themselves.
pub(crate) const SCHEMA: &[Kind] = &[
    (
        "the guard against changed entries is gone",
        Schema("DROP TRIGGER entries_never_change"),
        "Structure",
    ),
    (
        "the guard against vanished entries is gone",
        Schema("DROP TRIGGER entries_never_vanish"),
        "Structure",
    ),
    (
        "a trigger is added",
        Schema("CREATE TRIGGER added AFTER INSERT ON entries BEGIN DELETE FROM debits; END"),
        "Structure",
    ),
    (
        "an index is gone",
        Schema("DROP INDEX entries_by_operation"),
        "Structure",
    ),
    (
        "an index is added",
        Schema("CREATE INDEX added ON debits (card)"),
        "Structure",
    ),
    (
        "a table is added",
        Schema("CREATE TABLE added (one INTEGER)"),
        "Structure",
    ),
    (
        "a view is added",
        Schema("CREATE VIEW added AS SELECT * FROM entries"),
        "Structure",
    ),
    (
        "a column is added",
        Schema("ALTER TABLE debits ADD COLUMN added TEXT"),
        "Structure",
    ),
    ("a table is gone", Schema("DROP TABLE verdicts"), "Structure"),
    (
        "the tables' version is a newer one",
        Schema("PRAGMA user_version = 99"),
        "NewerVersion { found: 99",
    ),
    (
        "the tables have no version",
        Schema("PRAGMA user_version = 0"),
        "Gone",
    ),
    (
        "the file is another program's",
        Schema("PRAGMA application_id = 1"),
        "FirstPage",
    ),
];

/// In the files.
pub(crate) const FILES: &[Kind] = &[
    (
        "an earlier copy of the data base is put back",
        Earlier,
        "TailCut { found: 17, expected: 30 }",
    ),
    (
        "the chain's key is gone",
        File("chain.key", |_| None),
        "KeyMissing",
    ),
    (
        "the chain's key is another one",
        File("chain.key", |key| Some(key.iter().map(|byte| !byte).collect())),
        "Changed { number: 1 }",
    ),
    (
        "the chain's key is cut short",
        File("chain.key", |key| Some(key[1..].to_vec())),
        "KeyUnusable",
    ),
    ("the data base is gone", File("journal.db", |_| None), "Gone"),
    (
        "the data base is empty",
        File("journal.db", |_| Some(Vec::new())),
        "Gone",
    ),
    (
        "the data base has lost its first page",
        File("journal.db", |mut file| {
            file[..100].fill(0);
            Some(file)
        }),
        "FirstPage",
    ),
    (
        "the data base has lost its last page",
        File("journal.db", |file| Some(file[..file.len() - 4096].to_vec())),
        "Damaged(",
    ),
    (
        "the data base has lost its second half",
        File("journal.db", |file| {
            Some(file[..file.len() / 8192 * 4096].to_vec())
        }),
        "Damaged(",
    ),
];
