-- What happened, in order. content is the entry's canonical JSON; digest chains it to all before it (chain.rs).
-- operation repeats what content says, for the index. All other tables but verdicts and upkeep follow from this one.
CREATE TABLE entries (
    number    INTEGER PRIMARY KEY,
    digest    BLOB NOT NULL,
    operation BLOB NOT NULL REFERENCES operations (id),
    content   TEXT NOT NULL
) STRICT;
CREATE INDEX entries_by_operation ON entries (operation, number);
CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries never change'); END;
CREATE TRIGGER entries_never_vanish BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries never vanish'); END;

-- One row for each operation; opening is the number of its first entry. A settlement has no reference: nobody repeats one by name.
CREATE TABLE operations (
    id        BLOB PRIMARY KEY,
    opening   INTEGER NOT NULL,
    reference TEXT UNIQUE,
    owner     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each debit that was ever intended: no two share a key.
CREATE TABLE debits (
    terminal_number BLOB NOT NULL,
    terminal_sn     INTEGER NOT NULL,
    scheme          TEXT NOT NULL,
    card            BLOB NOT NULL,
    operation       BLOB NOT NULL REFERENCES operations (id),
    PRIMARY KEY (terminal_number, terminal_sn, scheme, card)
) STRICT, WITHOUT ROWID;

-- The operations whose debit is proven neither way, in the order in which they were opened.
CREATE TABLE open_operations (
    opening   INTEGER PRIMARY KEY,
    operation BLOB NOT NULL REFERENCES operations (id)
) STRICT;

-- The entries that make items of batches: a proven debit (claim), and a refund that became owed later (refund).
CREATE TABLE settleable (
    currency TEXT NOT NULL,
    entry    INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    PRIMARY KEY (currency, entry)
) STRICT, WITHOUT ROWID;

-- One row for each batch that was ever sealed, by the number of that entry: the entries of its currency in (after, upto].
-- To exchange it is to change its standing: no claim's row is touched.
CREATE TABLE batches (
    sealed    INTEGER PRIMARY KEY,
    operation BLOB NOT NULL REFERENCES operations (id),
    currency  TEXT NOT NULL,
    after     INTEGER NOT NULL,
    upto      INTEGER NOT NULL,
    standing  TEXT NOT NULL CHECK (standing IN ('sealed', 'exchanged', 'voided'))
) STRICT;

-- The balance of each account in minor units, and how many operations it consists of.
CREATE TABLE balances (
    currency   TEXT NOT NULL,
    account    TEXT NOT NULL,
    minor      INTEGER NOT NULL CHECK (minor >= 0),
    operations INTEGER NOT NULL CHECK (operations >= 0),
    PRIMARY KEY (currency, account)
) STRICT, WITHOUT ROWID;

-- The provider's signed verdicts on each batch's items. They follow from no entry: the digest in the entry that exchanges the
-- batch vouches for them. A later word on a place replaces an earlier one.
CREATE TABLE verdicts (
    batch     BLOB NOT NULL REFERENCES operations (id),
    place     INTEGER NOT NULL,
    bytes     BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (batch, place)
) STRICT, WITHOUT ROWID;

-- Nothing that follows from entries: written after each checkpoint, so that its header sync is not a sale's.
CREATE TABLE upkeep (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    checkpoints INTEGER NOT NULL
) STRICT;
INSERT INTO upkeep VALUES (1, 0);
