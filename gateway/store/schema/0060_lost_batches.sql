-- What a restore lost, by the receipts of those who were acknowledged it and cannot send it again (decision 0033).
--
-- `receipt`: the BatchReceipt with leaf and proof, without findings: whoever reads it proves it anew. `statement`: SHA-256 of the
-- statement of restore. `records`: the ids that answers show (no personal ones), of what was on record; `unnamed`: how many more
-- there were. What came back is not written here: it is a row of `batch` with the same organisation and request_id.
CREATE TABLE gateway.lost_batch (
    organisation text   NOT NULL,
    request_id   uuid   NOT NULL,
    statement    bytea  NOT NULL,
    restored_us  bigint NOT NULL,
    unit_code    text   NOT NULL,
    sequence     bigint NOT NULL,
    leaf_index   bigint NOT NULL,
    received_us  bigint NOT NULL,
    records      text[] NOT NULL,
    unnamed      integer NOT NULL,
    receipt      bytea  NOT NULL,
    presented_us bigint NOT NULL,
    CONSTRAINT lost_batch_pkey PRIMARY KEY (organisation, request_id),
    CONSTRAINT lost_batch_statement CHECK (octet_length(statement) = 32)
);

-- For ON CONFLICT (organisation, request_id) DO NOTHING.
GRANT INSERT, SELECT (organisation, request_id) ON gateway.lost_batch TO gateway_intake;
