-- One row: who this provider is.
CREATE TABLE provider (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL,
    is_lab INTEGER NOT NULL CHECK (is_lab IN (0, 1)),
    made_at INTEGER NOT NULL,
    hotlist_version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE bank (
    name TEXT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE CHECK (length(code) = 4),
    -- The provider's own account there.
    account TEXT NOT NULL CHECK (length(account) = 15 AND substr(account, 1, 4) = code),
    -- The bank's public key, for which permit tokens are sealed.
    sealing_key BLOB NOT NULL CHECK (length(sealing_key) = 65)
) STRICT;

CREATE TABLE merchant (
    name TEXT PRIMARY KEY,
    bank TEXT NOT NULL REFERENCES bank (name),
    account TEXT NOT NULL CHECK (length(account) = 15)
) STRICT;

CREATE TABLE merchant_debt (
    merchant TEXT NOT NULL REFERENCES merchant (name),
    currency TEXT NOT NULL,
    minor INTEGER NOT NULL CHECK (minor >= 0),
    PRIMARY KEY (merchant, currency)
) STRICT;

CREATE TABLE terminal (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('merchant', 'provider')),
    merchant TEXT REFERENCES merchant (name),
    psam_number BLOB UNIQUE CHECK (length(psam_number) = 6),
    bank_terminal TEXT CHECK (length(bank_terminal) = 8),
    -- Where it is called; null: it keeps a standing link.
    address TEXT,
    standing TEXT NOT NULL CHECK (standing IN ('enrolled', 'suspended', 'revoked')),
    generation INTEGER NOT NULL DEFAULT 0,
    added_at INTEGER NOT NULL,
    enrolled_at INTEGER,
    -- Pinned when it enrols: the provider's account that its permits debit.
    pinned_account TEXT,
    forgeries INTEGER NOT NULL DEFAULT 0,
    -- It has no PSAM: a purchase key is in the shop.
    is_software_sam INTEGER NOT NULL DEFAULT 0 CHECK (is_software_sam IN (0, 1)),
    -- The highest terminal SN that a card has proven; null before the first.
    highest_sn INTEGER CHECK (highest_sn BETWEEN 0 AND 4294967295),
    CHECK ((role = 'merchant') = (merchant IS NOT NULL)),
    CHECK (role = 'provider' OR (psam_number IS NOT NULL AND bank_terminal IS NOT NULL))
) STRICT;

-- By digest: who reads the data base learns no code.
CREATE TABLE enrolment_code (
    digest BLOB PRIMARY KEY,
    terminal TEXT NOT NULL UNIQUE REFERENCES terminal (name),
    expires_at INTEGER NOT NULL,
    used_by BLOB
) STRICT;

CREATE TABLE certificate (
    fingerprint BLOB PRIMARY KEY CHECK (length(fingerprint) = 32),
    terminal TEXT NOT NULL REFERENCES terminal (name),
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 65),
    der BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE key_version (
    version INTEGER PRIMARY KEY CHECK (version BETWEEN 0 AND 255),
    is_blocked INTEGER NOT NULL DEFAULT 0 CHECK (is_blocked IN (0, 1)),
    -- Key check values of load, purchase and TAC master: another file with this version is noticed.
    check_values BLOB NOT NULL CHECK (length(check_values) = 9)
) STRICT;

CREATE TABLE card (
    serial BLOB PRIMARY KEY CHECK (length(serial) = 10),
    -- The currency and the key version are the provider's facts about the card (money rule P7).
    currency TEXT NOT NULL,
    key_version INTEGER NOT NULL REFERENCES key_version (version),
    issued_at INTEGER NOT NULL,
    loaded INTEGER NOT NULL DEFAULT 0 CHECK (loaded >= 0),
    spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0)
) STRICT;
-- Keys are diversified by these eight bytes: two cards with the same would have the same keys.
CREATE UNIQUE INDEX card_by_asn ON card (substr(serial, 3));

CREATE TABLE listing (
    card BLOB NOT NULL REFERENCES card (serial),
    from_version INTEGER NOT NULL,
    until_version INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (card, from_version)
) STRICT;

CREATE TABLE delivery (
    psam_number BLOB NOT NULL,
    version INTEGER NOT NULL,
    from_terminal_sn INTEGER NOT NULL,
    PRIMARY KEY (psam_number, version)
) STRICT;

-- One row: what the parameters say beside the hot list and the key versions.
CREATE TABLE policy (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    is_software_sam_allowed INTEGER NOT NULL CHECK (is_software_sam_allowed IN (0, 1)),
    warn_after_seconds INTEGER NOT NULL CHECK (warn_after_seconds BETWEEN 0 AND stale_after_seconds),
    stale_after_seconds INTEGER NOT NULL CHECK (stale_after_seconds <= 4294967295)
) STRICT;
-- A day, and three: a weekend without a line.
INSERT INTO policy VALUES (1, 0, 86400, 259200);

CREATE TABLE currency_limit (
    currency TEXT PRIMARY KEY,
    sale_max INTEGER NOT NULL,
    stale_sale_max INTEGER NOT NULL CHECK (stale_sale_max BETWEEN 0 AND sale_max)
) STRICT;

-- Every version that a terminal may have in force.
CREATE TABLE parameters (
    version INTEGER PRIMARY KEY CHECK (version > 0),
    document BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;

CREATE TABLE books (
    currency TEXT NOT NULL,
    account TEXT NOT NULL,
    minor INTEGER NOT NULL CHECK (minor >= 0),
    PRIMARY KEY (currency, account)
) STRICT;

CREATE TABLE load (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    terminal TEXT NOT NULL REFERENCES terminal (name),
    currency TEXT NOT NULL,
    minor INTEGER NOT NULL CHECK (minor > 0),
    phase TEXT NOT NULL CHECK (phase IN ('open', 'released', 'done', 'voided')),
    card BLOB REFERENCES card (serial),
    void_challenge BLOB CHECK (length(void_challenge) = 6),
    -- The card's proofs, as they came: of the load (TAC) and of the void (INITIALIZE over the challenge).
    tac BLOB,
    void_proof BLOB,
    opened_at INTEGER NOT NULL
) STRICT;
-- One released load of a card at a time: the online SN counts every load.
CREATE UNIQUE INDEX load_released ON load (card) WHERE phase = 'released';

CREATE INDEX load_by_card ON load (card);

CREATE TABLE load_attempt (
    load BLOB NOT NULL REFERENCES load (id),
    number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 16),
    online_sn INTEGER NOT NULL CHECK (online_sn BETWEEN 0 AND 65535),
    content BLOB NOT NULL CHECK (length(content) = 32),
    -- What the card answered and what it was answered with.
    initialize BLOB NOT NULL,
    terminal TEXT NOT NULL REFERENCES terminal (name),
    date_time BLOB NOT NULL CHECK (length(date_time) = 7),
    mac2 BLOB NOT NULL CHECK (length(mac2) = 4),
    PRIMARY KEY (load, number)
) STRICT;

CREATE TABLE batch (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    terminal TEXT NOT NULL REFERENCES terminal (name),
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    document BLOB NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('receiving', 'received', 'permitted', 'voided')),
    -- What has been counted up so far.
    received INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0,
    items BLOB NOT NULL,
    claimed INTEGER NOT NULL DEFAULT 0,
    refunds INTEGER NOT NULL DEFAULT 0,
    permit BLOB,
    void_document BLOB,
    void_signature BLOB,
    announced_at INTEGER NOT NULL
) STRICT;

CREATE TABLE page (
    batch INTEGER NOT NULL REFERENCES batch (number),
    page INTEGER NOT NULL,
    content BLOB NOT NULL CHECK (length(content) = 32),
    first_place INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (batch, page)
) STRICT, WITHOUT ROWID;

CREATE TABLE item (
    batch INTEGER NOT NULL REFERENCES batch (number),
    place INTEGER NOT NULL,
    key BLOB NOT NULL,
    document BLOB NOT NULL,
    evidence BLOB NOT NULL,
    verdict BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (batch, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_by_key ON item (key, batch);

-- Debits whose claim was forged: no other evidence is tried (money rule T3).
CREATE TABLE forged (
    key BLOB PRIMARY KEY,
    terminal TEXT NOT NULL,
    key_version INTEGER,
    -- 0 once a person has unblocked the key version.
    is_counted INTEGER NOT NULL DEFAULT 1 CHECK (is_counted IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX forged_by_version ON forged (key_version, is_counted, terminal);

CREATE TABLE charge (
    key BLOB PRIMARY KEY,
    claim BLOB NOT NULL,
    evidence BLOB NOT NULL,
    batch BLOB NOT NULL,
    place INTEGER NOT NULL,
    currency TEXT NOT NULL,
    minor INTEGER NOT NULL,
    refunded INTEGER NOT NULL CHECK (refunded BETWEEN 0 AND minor)
) STRICT, WITHOUT ROWID;

CREATE TABLE permit (
    id BLOB NOT NULL CHECK (length(id) = 16),
    generation INTEGER NOT NULL,
    batch INTEGER NOT NULL REFERENCES batch (number),
    document BLOB NOT NULL,
    signature BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    -- A permit of nothing is redeemed from the beginning.
    phase TEXT NOT NULL CHECK (phase IN ('live', 'revoking', 'revoked', 'redeemed')),
    PRIMARY KEY (id, generation)
) STRICT;
CREATE INDEX permit_by_batch ON permit (batch);

-- What a bank has answered to a revocation, as an operator has entered it (money rule B4).
CREATE TABLE bank_word (
    number INTEGER PRIMARY KEY,
    permit BLOB NOT NULL,
    generation INTEGER NOT NULL,
    word TEXT NOT NULL CHECK (word IN ('unusable', 'paid')),
    reference TEXT NOT NULL,
    at INTEGER NOT NULL,
    FOREIGN KEY (permit, generation) REFERENCES permit (id, generation)
) STRICT;
CREATE INDEX bank_word_by_permit ON bank_word (permit, generation);

CREATE TABLE alarm (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    terminal TEXT,
    name TEXT NOT NULL
) STRICT;
