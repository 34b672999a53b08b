-- One row for each load, with the card that CREDIT FOR LOAD may have been sent to; none before that. Where a load's entries cannot be
-- read, its row tells which card to leave alone. An open load stands in open_operations beside the open sales; its reference, in
-- operations, is one of the same space as theirs.
CREATE TABLE loads (
    operation BLOB PRIMARY KEY REFERENCES operations (id),
    scheme    TEXT,
    card      BLOB,
    CHECK ((scheme IS NULL) = (card IS NULL))
) STRICT, WITHOUT ROWID;
