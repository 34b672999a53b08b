//! Kinds of corruption of the rows that follow from what happened, and of the provider's verdicts.
//!
//! A verdict's own signature is not among them: the journal does not know the provider's key. It is not needed either once a batch is
//! exchanged: the permit, which the record chain holds, is signed over the digest of all verdicts.

use crate::Kind;
use crate::journal::Plant::Sql;

/// In the rows that follow from it.
pub(crate) const ROWS: &[Kind] = &[
    (
        "a load's row is added",
        Sql("INSERT INTO loads SELECT id, 'pboc', zeroblob(10) FROM operations WHERE opening = 1"),
        "Derived(Loads)",
    ),
    (
        "a sale has another id",
        Sql("UPDATE operations SET id = x'00' WHERE opening = 1"),
        "Derived(Operations)",
    ),
    (
        "a sale begins at another entry",
        Sql("UPDATE operations SET opening = 2 WHERE opening = 1"),
        "Derived(Operations)",
    ),
    (
        "a sale has another reference",
        Sql("UPDATE operations SET reference = 'free' WHERE opening = 1"),
        "Derived(Operations)",
    ),
    (
        "a sale has no reference",
        Sql("UPDATE operations SET reference = NULL WHERE opening = 1"),
        "Derived(Operations)",
    ),
    (
        "a sale has another owner",
        Sql("UPDATE operations SET owner = 0 WHERE opening = 1"),
        "Derived(Operations)",
    ),
    (
        "a batch has a reference",
        Sql("UPDATE operations SET reference = 'batch' WHERE opening = 7"),
        "Derived(Operations)",
    ),
    (
        "a sale's row is gone",
        Sql("DELETE FROM operations WHERE opening = 22"),
        "Derived(Operations)",
    ),
    (
        "a sale's row is added",
        Sql("INSERT INTO operations VALUES (x'01', 31, 'added', 0)"),
        "Derived(Operations)",
    ),
    (
        "a debit has another PSAM terminal number",
        Sql("UPDATE debits SET terminal_number = x'000000000000' WHERE terminal_sn = 1"),
        "Derived(Debits)",
    ),
    (
        "a debit has another terminal SN",
        Sql("UPDATE debits SET terminal_sn = 99 WHERE terminal_sn = 1"),
        "Derived(Debits)",
    ),
    (
        "a debit is of another scheme",
        Sql("UPDATE debits SET scheme = 'desfire' WHERE terminal_sn = 1"),
        "Derived(Debits)",
    ),
    (
        "a debit is of another card",
        Sql("UPDATE debits SET card = zeroblob(10) WHERE terminal_sn = 1"),
        "Derived(Debits)",
    ),
    (
        "a debit is another sale's",
        Sql(
            "UPDATE debits SET operation = (SELECT operation FROM debits WHERE terminal_sn = 2) WHERE terminal_sn = 1",
        ),
        "Derived(Debits)",
    ),
    (
        "a debit's row is gone",
        Sql("DELETE FROM debits WHERE terminal_sn = 25"),
        "Derived(Debits)",
    ),
    (
        "a debit's row is added",
        Sql(
            "INSERT INTO debits SELECT terminal_number, 99, scheme, card, operation FROM debits WHERE terminal_sn = 1",
        ),
        "Derived(Debits)",
    ),
    (
        "a sale in doubt is open no more",
        Sql("DELETE FROM open_operations WHERE opening = 18"),
        "Derived(OpenOperations)",
    ),
    (
        "a paid sale is open again",
        Sql("INSERT INTO open_operations SELECT opening, id FROM operations WHERE opening = 1"),
        "Derived(OpenOperations)",
    ),
    (
        "an open sale is another one",
        Sql(
            "UPDATE open_operations SET operation = (SELECT id FROM operations WHERE opening = 1) WHERE opening = 18",
        ),
        "Derived(OpenOperations)",
    ),
    (
        "the order of open sales is another one",
        Sql("UPDATE open_operations SET opening = 31 WHERE opening = 18"),
        "Derived(OpenOperations)",
    ),
    (
        "a balance is raised",
        Sql("UPDATE balances SET minor = minor + 1 WHERE account = 'claims'"),
        "Derived(Balances)",
    ),
    (
        "a balance and its opposite are raised",
        Sql("UPDATE balances SET minor = minor + 300 WHERE account IN ('claims', 'sales')"),
        "Derived(Balances)",
    ),
    (
        "a balance is below zero",
        Sql("UPDATE balances SET minor = -1 WHERE account = 'claims'"),
        "Derived(Balances)",
    ),
    (
        "an account counts one more",
        Sql("UPDATE balances SET operations = operations + 1 WHERE account = 'claims'"),
        "Derived(Balances)",
    ),
    (
        "an account is another one",
        Sql("UPDATE balances SET account = 'held' WHERE account = 'permits'"),
        "Derived(Balances)",
    ),
    (
        "a balance is in another currency",
        Sql("UPDATE balances SET currency = 'USD' WHERE account = 'permits'"),
        "Derived(Balances)",
    ),
    (
        "a balance is gone",
        Sql("DELETE FROM balances WHERE account = 'in_batch'"),
        "Derived(Balances)",
    ),
    (
        "a balance is added",
        Sql("INSERT INTO balances VALUES ('USD', 'claims', 1, 1)"),
        "Derived(Balances)",
    ),
];

/// In the rows of settlement.
pub(crate) const SETTLEMENT: &[Kind] = &[
    (
        "a claim cannot be settled any more",
        Sql("DELETE FROM settleable WHERE entry = 2"),
        "Derived(Settleable)",
    ),
    (
        "a claim is settled in another currency",
        Sql("UPDATE settleable SET currency = 'USD' WHERE entry = 10"),
        "Derived(Settleable)",
    ),
    (
        "a claim is a refund",
        Sql("UPDATE settleable SET kind = 'refund' WHERE entry = 10"),
        "Derived(Settleable)",
    ),
    (
        "a refund is a claim",
        Sql("UPDATE settleable SET kind = 'claim' WHERE entry = 29"),
        "Derived(Settleable)",
    ),
    (
        "a refund is not settled",
        Sql("DELETE FROM settleable WHERE entry = 29"),
        "Derived(Settleable)",
    ),
    (
        "a claim stands at another entry",
        Sql("UPDATE settleable SET entry = 1 WHERE entry = 2"),
        "Derived(Settleable)",
    ),
    (
        "an entry that is no claim is one",
        Sql("INSERT INTO settleable VALUES ('JPY', 30, 'claim')"),
        "Derived(Settleable)",
    ),
    (
        "a batch is sealed by another entry",
        Sql("UPDATE batches SET sealed = 9 WHERE sealed = 7"),
        "Derived(Batches)",
    ),
    (
        "a batch is another operation's",
        Sql(
            "UPDATE batches SET operation = (SELECT operation FROM batches WHERE sealed = 13) WHERE sealed = 7",
        ),
        "Derived(Batches)",
    ),
    (
        "a batch is in another currency",
        Sql("UPDATE batches SET currency = 'USD' WHERE sealed = 7"),
        "Derived(Batches)",
    ),
    (
        "a batch begins earlier",
        Sql("UPDATE batches SET after = 0 WHERE sealed = 17"),
        "Derived(Batches)",
    ),
    (
        "an exchanged batch ends earlier",
        Sql("UPDATE batches SET upto = 4 WHERE sealed = 7"),
        "Derived(Batches)",
    ),
    (
        "a paid batch waits again",
        Sql("UPDATE batches SET standing = 'sealed' WHERE sealed = 7"),
        "Derived(Batches)",
    ),
    (
        "a voided batch is exchanged",
        Sql("UPDATE batches SET standing = 'exchanged' WHERE sealed = 13"),
        "Derived(Batches)",
    ),
    (
        "a batch that waits is voided",
        Sql("UPDATE batches SET standing = 'voided' WHERE sealed = 17"),
        "Derived(Batches)",
    ),
    (
        "a batch that waits is gone",
        Sql("DELETE FROM batches WHERE sealed = 17"),
        "Derived(Batches)",
    ),
    (
        "a batch is added",
        Sql(
            "INSERT INTO batches SELECT 18, operation, currency, 16, 30, 'sealed' FROM batches WHERE sealed = 17",
        ),
        "Derived(Batches)",
    ),
    (
        "a verdict pays more",
        Sql(
            "UPDATE verdicts SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || x'FF' AS BLOB) WHERE place = 1",
        ),
        "Verdicts { number: 8 }",
    ),
    (
        "a verdict is another place's",
        Sql("UPDATE verdicts SET bytes = (SELECT bytes FROM verdicts WHERE place = 1) WHERE place = 0"),
        "Verdicts { number: 8 }",
    ),
    (
        "a verdict is gone",
        Sql("DELETE FROM verdicts WHERE place = 2"),
        "Verdicts { number: 8 }",
    ),
    (
        "every verdict is gone",
        Sql("DELETE FROM verdicts"),
        "Verdicts { number: 8 }",
    ),
    (
        "a verdict is added",
        Sql("INSERT INTO verdicts SELECT batch, 3, bytes, signature FROM verdicts WHERE place = 2"),
        "Verdicts { number: 8 }",
    ),
    (
        "a verdict is on another place",
        Sql("UPDATE verdicts SET place = 7 WHERE place = 2"),
        "Verdicts { number: 8 }",
    ),
    (
        "a verdict is of another batch",
        Sql("UPDATE verdicts SET batch = x'03030303030303030303030303030303' WHERE place = 2"),
        "Verdicts { number: 8 }",
    ),
];

/// In what follows from a claim that is presented again.
pub(crate) const PRESENTED_AGAIN: &[Kind] = &[
    (
        "a claim that was presented again cannot be settled",
        Sql("DELETE FROM settleable WHERE entry = 7"),
        "Derived(Settleable)",
    ),
    (
        "a claim that was presented again reads as a new one",
        Sql("UPDATE settleable SET kind = 'claim' WHERE entry = 7"),
        "Derived(Settleable)",
    ),
    (
        "a new claim reads as one that was presented again",
        Sql("UPDATE settleable SET kind = 'again' WHERE entry = 4"),
        "Derived(Settleable)",
    ),
    (
        "a claim is presented again that was not",
        Sql("INSERT INTO settleable VALUES ('JPY', 8, 'again')"),
        "Derived(Settleable)",
    ),
    (
        "more is presented again",
        Sql("UPDATE entries SET content = replace(content, '300', '301') WHERE number = 7"),
        "Changed { number: 7 }",
    ),
    (
        "what presents a claim again is gone",
        Sql("DELETE FROM entries WHERE number = 7"),
        "Missing { number: 7 }",
    ),
    (
        "another sale's claim is presented again",
        Sql(
            "UPDATE entries SET operation = (SELECT operation FROM entries WHERE number = 1) WHERE number = 7",
        ),
        "OtherOperation { number: 7 }",
    ),
    (
        "a claim that was presented again is held still",
        Sql("UPDATE balances SET minor = 300, operations = 1 WHERE account = 'held'"),
        "Derived(Balances)",
    ),
    (
        "the claim's first entry is gone",
        Sql("DELETE FROM entries WHERE number = 4"),
        "Missing { number: 4 }",
    ),
];
