-- Break-glass (decision 0013): two sealed credentials, three officers' codes, and what was opened with them. Hashes are for the
-- identity role alone; the administration door shows the rest. Rows are never deleted.

CREATE TABLE gateway.break_glass_sealing (
    id           uuid   NOT NULL,
    -- The province, and the certificate subject of who sealed.
    organisation text   NOT NULL,
    sealed_by    text   NOT NULL,
    sealed_us    bigint NOT NULL,
    -- Since when nothing of it opens anything any more; NULL: sealed.
    ended_us     bigint,
    CONSTRAINT break_glass_sealing_pkey PRIMARY KEY (id),
    CONSTRAINT break_glass_sealing_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code)
);
CREATE UNIQUE INDEX break_glass_sealed ON gateway.break_glass_sealing (organisation) WHERE ended_us IS NULL;

CREATE TABLE gateway.break_glass_envelope (
    sealing         uuid     NOT NULL,
    number          smallint NOT NULL,
    credential_hash text     NOT NULL,
    -- An envelope opens once.
    spent_us        bigint,
    CONSTRAINT break_glass_envelope_pkey PRIMARY KEY (sealing, number),
    CONSTRAINT break_glass_envelope_sealing_fkey FOREIGN KEY (sealing) REFERENCES gateway.break_glass_sealing (id),
    CONSTRAINT break_glass_envelope_two CHECK (number IN (1, 2))
);

-- The three who may confirm, by the subject of their certificates; each makes his code himself.
CREATE TABLE gateway.break_glass_officer (
    sealing       uuid   NOT NULL,
    name          text   NOT NULL,
    code_hash     text,
    registered_us bigint,
    CONSTRAINT break_glass_officer_pkey PRIMARY KEY (sealing, name),
    CONSTRAINT break_glass_officer_sealing_fkey FOREIGN KEY (sealing) REFERENCES gateway.break_glass_sealing (id),
    CONSTRAINT break_glass_officer_code CHECK ((code_hash IS NULL) = (registered_us IS NULL))
);

CREATE TABLE gateway.break_glass_opening (
    id                 uuid     NOT NULL,
    sealing            uuid     NOT NULL,
    envelope           smallint NOT NULL,
    -- Who opened: the certificate's subject, and the account that the session runs under.
    name               text     NOT NULL,
    account            text     NOT NULL,
    certificate_sha256 bytea    NOT NULL,
    reason             text     NOT NULL,
    ticket             text     NOT NULL,
    drill              boolean  NOT NULL,
    asked_us           bigint   NOT NULL,
    -- When the second officer confirmed: from then on its session runs.
    opened_us          bigint,
    -- When it was closed, ran out, or was not confirmed in time.
    ended_us           bigint,
    CONSTRAINT break_glass_opening_pkey PRIMARY KEY (id),
    CONSTRAINT break_glass_opening_envelope_once UNIQUE (sealing, envelope),
    CONSTRAINT break_glass_opening_envelope_fkey
        FOREIGN KEY (sealing, envelope) REFERENCES gateway.break_glass_envelope (sealing, number),
    CONSTRAINT break_glass_opening_length CHECK (octet_length(certificate_sha256) = 32)
);
-- One sealing is opened once.
CREATE UNIQUE INDEX break_glass_opened_once ON gateway.break_glass_opening (sealing) WHERE opened_us IS NOT NULL;

CREATE TABLE gateway.break_glass_confirmation (
    opening      uuid   NOT NULL,
    name         text   NOT NULL,
    confirmed_us bigint NOT NULL,
    CONSTRAINT break_glass_confirmation_pkey PRIMARY KEY (opening, name),
    CONSTRAINT break_glass_confirmation_opening_fkey FOREIGN KEY (opening) REFERENCES gateway.break_glass_opening (id)
);

-- A session of break-glass: of which opening, and the one role that it has instead of its account's.
ALTER TABLE gateway.session
    ADD COLUMN opening   uuid,
    ADD COLUMN only_role text,
    ADD CONSTRAINT session_opening_fkey FOREIGN KEY (opening) REFERENCES gateway.break_glass_opening (id),
    ADD CONSTRAINT session_only_role_known CHECK (only_role IN ('break_glass', 'break_glass_drill')),
    ADD CONSTRAINT session_opening_has_role CHECK ((opening IS NULL) = (only_role IS NULL));
CREATE INDEX session_opening ON gateway.session (opening) WHERE opening IS NOT NULL;

REVOKE ALL ON gateway.break_glass_sealing, gateway.break_glass_envelope, gateway.break_glass_officer,
              gateway.break_glass_opening, gateway.break_glass_confirmation FROM PUBLIC;
GRANT SELECT, INSERT ON gateway.break_glass_sealing, gateway.break_glass_envelope, gateway.break_glass_officer,
                        gateway.break_glass_opening, gateway.break_glass_confirmation TO gateway_identity;
GRANT UPDATE (ended_us) ON gateway.break_glass_sealing TO gateway_identity;
GRANT UPDATE (spent_us) ON gateway.break_glass_envelope TO gateway_identity;
GRANT UPDATE (code_hash, registered_us) ON gateway.break_glass_officer TO gateway_identity;
GRANT UPDATE (opened_us, ended_us) ON gateway.break_glass_opening TO gateway_identity;
GRANT SELECT ON gateway.break_glass_sealing, gateway.break_glass_opening, gateway.break_glass_confirmation
    TO gateway_administration;
GRANT SELECT (sealing, number, spent_us) ON gateway.break_glass_envelope TO gateway_administration;
GRANT SELECT (sealing, name, registered_us) ON gateway.break_glass_officer TO gateway_administration;
