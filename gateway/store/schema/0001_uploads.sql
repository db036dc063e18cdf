-- What comes in: batches with their answers, every item ever received as a sealed body, what is held back, and the key columns
-- that the rules need. Intake opens no body: `item` is insert-only and no role of a door but disclosure's reads it.
--
-- Tags are HMAC-SHA-256, truncated to 16 bytes, under a key that only intake (and later disclosure) has. Bodies and answers do
-- not compress, so they are stored as they are. No foreign keys: the rows of a batch are written in one transaction, and a
-- trigger per row costs more than the row.

-- One row per accepted batch. `answer` is the serialised BatchReceipt without its leaf (in audit_entry, found by organisation and
-- request_id) and without its proof (made anew for the newest checkpoint).
CREATE TABLE gateway.batch (
    batch_id     bigint   GENERATED ALWAYS AS IDENTITY,
    organisation text     NOT NULL,
    request_id   uuid     NOT NULL,
    digest       bytea    NOT NULL,
    unit_code    text     NOT NULL,
    sequence     bigint   NOT NULL,
    received_us  bigint   NOT NULL,
    answer       bytea    NOT NULL,
    CONSTRAINT batch_pkey PRIMARY KEY (batch_id),
    CONSTRAINT batch_request UNIQUE (organisation, request_id),
    CONSTRAINT batch_digest_length CHECK (octet_length(digest) = 32)
);
ALTER TABLE gateway.batch ALTER COLUMN answer SET STORAGE EXTERNAL;

-- The highest sequence number a unit has sent: a gap is flagged (EN-05).
CREATE TABLE gateway.batch_sequence (
    unit_code text   NOT NULL,
    sequence  bigint NOT NULL,
    CONSTRAINT batch_sequence_pkey PRIMARY KEY (unit_code)
) WITH (fillfactor = 50);

-- Keys that bodies are sealed with, wrapped (HPKE) for a recipient whose private key only disclosure has.
CREATE TABLE gateway.content_key (
    key_id       uuid   NOT NULL,
    recipient    text   NOT NULL,
    wrapped      bytea  NOT NULL,
    organisation text   NOT NULL,
    created_us   bigint NOT NULL,
    CONSTRAINT content_key_pkey PRIMARY KEY (key_id)
);

-- Every item of every batch, whatever became of it: sealed, never changed. kind: the field number in the contract's Item.
-- state: ItemState as answered. aad of the body: table "item", record id = request_id (16 bytes) || item_index (4 bytes, big-endian).
CREATE TABLE gateway.item (
    batch_id          bigint   NOT NULL,
    item_index        integer  NOT NULL,
    kind              smallint NOT NULL,
    state             smallint NOT NULL,
    key_id            uuid     NOT NULL,
    nonce             bytea    NOT NULL,
    body              bytea    NOT NULL,
    restricted_key_id uuid,
    restricted_nonce  bytea,
    restricted_body   bytea,
    CONSTRAINT item_pkey PRIMARY KEY (batch_id, item_index)
);
ALTER TABLE gateway.item ALTER COLUMN body SET STORAGE EXTERNAL;

-- What was quarantined or rejected, without content, until a later record or judgement settles it. `findings`: [[rule, severity,
-- field path], ...]. A dose that waits for its child keeps its key columns here and has a deadline. `record_key`: the record's
-- identity (child: its tag; dose: its record id; document: a digest of kind, unit and id), to find what a later record settles.
CREATE TABLE gateway.held (
    batch_id     bigint   NOT NULL,
    item_index   integer  NOT NULL,
    organisation text     NOT NULL,
    unit_code    text     NOT NULL,
    kind         smallint NOT NULL,
    state        smallint NOT NULL,
    record_id    text     NOT NULL,
    findings     jsonb    NOT NULL,
    record_key   bytea,
    child_tag    bytea,
    key_columns  jsonb,
    deadline_us  bigint,
    settled_us   bigint,
    CONSTRAINT held_pkey PRIMARY KEY (batch_id, item_index),
    CONSTRAINT held_state CHECK (state BETWEEN 1 AND 5),
    -- Who waits can be judged again.
    CONSTRAINT held_waiting CHECK (deadline_us IS NULL OR (child_tag IS NOT NULL AND key_columns IS NOT NULL))
);
CREATE INDEX held_open ON gateway.held (organisation, batch_id, item_index) WHERE settled_us IS NULL;
CREATE INDEX held_record ON gateway.held (record_key) WHERE settled_us IS NULL AND record_key IS NOT NULL;
CREATE INDEX held_child ON gateway.held (child_tag) WHERE deadline_us IS NOT NULL;
CREATE INDEX held_deadline ON gateway.held (deadline_us) WHERE deadline_us IS NOT NULL;

-- The key columns of a child's newest card. `content_tag` tells a card sent again from a changed one.
CREATE TABLE gateway.child (
    child_tag   bytea    NOT NULL,
    birth_date  date     NOT NULL,
    sex         smallint NOT NULL,
    status      smallint NOT NULL,
    status_date date,
    revision    bigint   NOT NULL,
    unit_code   text     NOT NULL,
    name_tag    bytea    NOT NULL,
    mother_tag  bytea,
    content_tag bytea    NOT NULL,
    batch_id    bigint   NOT NULL,
    item_index  integer  NOT NULL,
    CONSTRAINT child_pkey PRIMARY KEY (child_tag)
);

-- Whose identity number or birth certificate number it is (CH-23, tier D0). child_tag NULL: freed by a correction.
CREATE TABLE gateway.child_identity (
    tag       bytea NOT NULL,
    child_tag bytea,
    CONSTRAINT child_identity_pkey PRIMARY KEY (tag)
);
CREATE INDEX child_identity_child ON gateway.child_identity (child_tag) WHERE child_tag IS NOT NULL;

-- Codes that a merge retired, and the card that was kept.
CREATE TABLE gateway.retired_child (
    child_tag  bytea   NOT NULL,
    kept_tag   bytea   NOT NULL,
    batch_id   bigint  NOT NULL,
    item_index integer NOT NULL,
    CONSTRAINT retired_child_pkey PRIMARY KEY (child_tag)
);

-- The key columns of the newest revision of every dose. record_id: the 16 bytes of a UUID or ULID.
CREATE TABLE gateway.dose (
    child_tag       bytea    NOT NULL,
    record_id       bytea    NOT NULL,
    unit_code       text     NOT NULL,
    vaccine_code    text     NOT NULL,
    series          text     NOT NULL,
    dose_number     smallint NOT NULL,
    vaccinated_date date     NOT NULL,
    route           smallint NOT NULL,
    site            smallint NOT NULL,
    content_tag     bytea    NOT NULL,
    revision        bigint   NOT NULL,
    batch_id        bigint   NOT NULL,
    item_index      integer  NOT NULL,
    CONSTRAINT dose_pkey PRIMARY KEY (record_id, unit_code)
);
CREATE INDEX dose_child ON gateway.dose (child_tag);

-- Stock documents and balances, AEFI reports, merges, devices: kind as in `item`; document_id is the record's own id.
CREATE TABLE gateway.document (
    kind        smallint NOT NULL,
    unit_code   text     NOT NULL,
    document_id text     NOT NULL,
    content_tag bytea    NOT NULL,
    revision    bigint   NOT NULL,
    batch_id    bigint   NOT NULL,
    item_index  integer  NOT NULL,
    CONSTRAINT document_pkey PRIMARY KEY (kind, unit_code, document_id)
);

-- Where the bodies of earlier revisions lie. record_key as in `held`.
CREATE TABLE gateway.earlier_revision (
    kind       smallint NOT NULL,
    record_key bytea    NOT NULL,
    revision   bigint   NOT NULL,
    batch_id   bigint   NOT NULL,
    item_index integer  NOT NULL,
    CONSTRAINT earlier_revision_pkey PRIMARY KEY (batch_id, item_index)
);
CREATE INDEX earlier_revision_record ON gateway.earlier_revision (record_key);

-- Rights stand in 0001_grants.sql: intake has INSERT and nothing else on `item`; nobody may DELETE or TRUNCATE.
-- Every statement of intake goes by key, and its role has enable_seqscan = off (roles.py): a plan that was prepared while the
-- tables were small must not scan them when they are large.
