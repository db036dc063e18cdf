-- Who outside the gateway vouches for its log: keys of witnesses, checkpoints that they were asked to cosign, what they signed.
--
-- Nothing here is believed: whoever reads a cosignature verifies it with keys known from elsewhere. Rows of what was signed are
-- never changed or deleted; that a key counts no more is its row's `ended_us`, and on the log.

CREATE TABLE gateway.witness (
    -- C2SP vkey: name, id and public key. No key serves two witnesses: an Ed25519 cosignature does not name its own.
    vkey          text   NOT NULL,
    public_key    bytea  NOT NULL,
    key_id        text   NOT NULL,
    name          text   NOT NULL,
    organisation  text   NOT NULL,
    registered_us bigint NOT NULL,
    ended_us      bigint,
    CONSTRAINT witness_pkey PRIMARY KEY (vkey),
    CONSTRAINT witness_key_once UNIQUE (public_key),
    CONSTRAINT witness_key_id_once UNIQUE (organisation, key_id),
    CONSTRAINT witness_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code)
);

-- A checkpoint that witnesses are asked to cosign for a while, so that their lines meet on one note.
CREATE TABLE gateway.offered_checkpoint (
    size       bigint NOT NULL,
    note       text   NOT NULL,
    offered_us bigint NOT NULL,
    CONSTRAINT offered_checkpoint_pkey PRIMARY KEY (size)
);

CREATE TABLE gateway.cosignature (
    size        bigint NOT NULL,
    vkey        text   NOT NULL,
    -- The signature line, its newline included.
    line        text   NOT NULL,
    time_s      bigint NOT NULL,
    received_us bigint NOT NULL,
    CONSTRAINT cosignature_pkey PRIMARY KEY (size, vkey),
    CONSTRAINT cosignature_checkpoint_fkey FOREIGN KEY (size) REFERENCES gateway.offered_checkpoint (size),
    CONSTRAINT cosignature_witness_fkey FOREIGN KEY (vkey) REFERENCES gateway.witness (vkey)
);

REVOKE ALL ON gateway.witness, gateway.offered_checkpoint, gateway.cosignature FROM PUBLIC;
GRANT SELECT, INSERT ON gateway.witness, gateway.offered_checkpoint, gateway.cosignature TO gateway_administration;
GRANT UPDATE (ended_us) ON gateway.witness TO gateway_administration;
