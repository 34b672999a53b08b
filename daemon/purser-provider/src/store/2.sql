-- Sales in doubt that terminals have asked about, each with its answer once there is one (money rule C4).
CREATE TABLE query (
    operation BLOB PRIMARY KEY CHECK (length(operation) = 16),
    terminal TEXT NOT NULL REFERENCES terminal (name),
    -- One query of each debit.
    key BLOB NOT NULL UNIQUE CHECK (length(key) = 20),
    currency TEXT NOT NULL,
    minor INTEGER NOT NULL CHECK (minor > 0),
    document BLOB NOT NULL,
    asked_at INTEGER NOT NULL,
    answer BLOB,
    signature BLOB,
    answered_at INTEGER,
    -- An operator's reason, where one has decided.
    why TEXT,
    CHECK ((answer IS NULL) = (signature IS NULL) AND (answer IS NULL) = (answered_at IS NULL)),
    CHECK (why IS NULL OR answer IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX query_open ON query (currency, minor) WHERE answer IS NULL;

-- Set once a person has upheld a forged debit: one more claim of it is judged by its evidence. Unset by another forgery.
ALTER TABLE forged ADD COLUMN upheld_at INTEGER;
ALTER TABLE forged ADD COLUMN upheld_why TEXT CHECK ((upheld_at IS NULL) = (upheld_why IS NULL));
