-- What happened, in order. content is the entry's canonical JSON; digest chains it to all before it (chain.rs).
-- operation repeats what content says, for the index. All other tables follow from this one.
CREATE TABLE entries (
    number    INTEGER PRIMARY KEY,
    digest    BLOB NOT NULL,
    operation BLOB NOT NULL REFERENCES operations (id),
    content   TEXT NOT NULL
) STRICT;
CREATE INDEX entries_by_operation ON entries (operation, number);
CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries never change'); END;
CREATE TRIGGER entries_never_vanish BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries never vanish'); END;

-- One row for each operation; opening is the number of its first entry.
CREATE TABLE operations (
    id        BLOB PRIMARY KEY,
    opening   INTEGER NOT NULL,
    reference TEXT NOT NULL UNIQUE,
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

-- The balance of each account in minor units, and how many operations it consists of.
CREATE TABLE balances (
    currency   TEXT NOT NULL,
    account    TEXT NOT NULL,
    minor      INTEGER NOT NULL CHECK (minor >= 0),
    operations INTEGER NOT NULL CHECK (operations >= 0),
    PRIMARY KEY (currency, account)
) STRICT, WITHOUT ROWID;

-- Nothing that follows from entries: written after each checkpoint, so that its header sync is not a sale's.
CREATE TABLE upkeep (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    checkpoints INTEGER NOT NULL
) STRICT;
INSERT INTO upkeep VALUES (1, 0);
