-- Who exists and who may come in: organisations, systems, units, certificates, accounts, sessions; and the epochs, counters
-- that say "something of this kind changed" so that every process reads again what it keeps in memory.
--
-- Times are microseconds since 1970 UTC (`_us`); digests and tags are bytea; states are 1 active, 2 suspended (certificate:
-- 2 revoked). Nothing here is ever deleted: names are never given twice.

CREATE TABLE gateway.epoch (
    name  text   NOT NULL,
    value bigint NOT NULL DEFAULT 0,
    CONSTRAINT epoch_pkey PRIMARY KEY (name)
) WITH (fillfactor = 10);

INSERT INTO gateway.epoch (name) VALUES ('revocation'), ('registry'), ('session');

CREATE TABLE gateway.organisation (
    code       text     NOT NULL,
    name       text     NOT NULL,
    kind       smallint NOT NULL,
    parent     text,
    state      smallint NOT NULL DEFAULT 1,
    created_us bigint   NOT NULL,
    CONSTRAINT organisation_pkey PRIMARY KEY (code),
    CONSTRAINT organisation_parent_fkey FOREIGN KEY (parent) REFERENCES gateway.organisation (code),
    CONSTRAINT organisation_code_form CHECK (code ~ '^[0-9]{6,12}$'),
    CONSTRAINT organisation_state_known CHECK (state IN (1, 2)),
    CONSTRAINT organisation_not_own_parent CHECK (parent <> code)
);

CREATE TABLE gateway.system (
    organisation text     NOT NULL,
    kind         text     NOT NULL,
    name         text     NOT NULL,
    state        smallint NOT NULL DEFAULT 1,
    created_us   bigint   NOT NULL,
    CONSTRAINT system_pkey PRIMARY KEY (organisation, kind, name),
    CONSTRAINT system_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code),
    CONSTRAINT system_kind_known CHECK (kind IN ('sys', 'officer')),
    CONSTRAINT system_name_form CHECK (name ~ '^[a-z0-9-]{1,40}$'),
    CONSTRAINT system_state_known CHECK (state IN (1, 2))
);

CREATE TABLE gateway.unit (
    unit_code    text     NOT NULL,
    organisation text     NOT NULL,
    parent       text,
    division     text     NOT NULL,
    level        smallint NOT NULL,
    name         text     NOT NULL,
    credit_code  text,
    active_from  date     NOT NULL,
    active_until date,
    CONSTRAINT unit_pkey PRIMARY KEY (unit_code),
    CONSTRAINT unit_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code),
    CONSTRAINT unit_parent_fkey FOREIGN KEY (parent) REFERENCES gateway.unit (unit_code),
    CONSTRAINT unit_code_form CHECK (unit_code ~ '^[0-9]{10}$'),
    CONSTRAINT unit_days_in_order CHECK (active_until >= active_from)
);
CREATE INDEX unit_organisation ON gateway.unit (organisation);

-- One organisation that stands to another in more than the tree's way, such as a county's system in its city's tunnel.
CREATE TABLE gateway.relation (
    organisation text NOT NULL,
    relative     text NOT NULL,
    kind         text NOT NULL,
    CONSTRAINT relation_pkey PRIMARY KEY (organisation, relative, kind),
    CONSTRAINT relation_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code),
    CONSTRAINT relation_relative_fkey FOREIGN KEY (relative) REFERENCES gateway.organisation (code)
);

CREATE TABLE gateway.certificate (
    serial             text     NOT NULL,
    organisation       text     NOT NULL,
    subject_kind       text     NOT NULL,
    subject_name       text     NOT NULL,
    spki_sha256        bytea    NOT NULL,
    certificate_sha256 bytea    NOT NULL,
    not_before_us      bigint   NOT NULL,
    not_after_us       bigint   NOT NULL,
    state              smallint NOT NULL DEFAULT 1,
    revoked_us         bigint,
    reason             text,
    pem                text     NOT NULL,
    CONSTRAINT certificate_pkey PRIMARY KEY (serial),
    CONSTRAINT certificate_digest_key UNIQUE (certificate_sha256),
    CONSTRAINT certificate_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code),
    CONSTRAINT certificate_serial_form CHECK (serial ~ '^[0-9a-f]{1,40}$'),
    CONSTRAINT certificate_digest_lengths
        CHECK (octet_length(spki_sha256) = 32 AND octet_length(certificate_sha256) = 32),
    CONSTRAINT certificate_state_known CHECK (state IN (1, 2)),
    CONSTRAINT certificate_revoked_has_time CHECK ((state = 2) = (revoked_us IS NOT NULL)),
    CONSTRAINT certificate_times_in_order CHECK (not_after_us > not_before_us)
);
CREATE INDEX certificate_subject ON gateway.certificate (organisation, subject_kind, subject_name);
CREATE INDEX certificate_key ON gateway.certificate (spki_sha256);
CREATE INDEX certificate_revoked ON gateway.certificate (not_after_us) WHERE state = 2;

CREATE TABLE gateway.account (
    organisation        text     NOT NULL,
    name                text     NOT NULL,
    roles               text[]   NOT NULL,
    subject_kind        text     NOT NULL,
    subject_name        text     NOT NULL,
    state               smallint NOT NULL DEFAULT 1,
    password_hash       text     NOT NULL,
    password_set_us     bigint   NOT NULL,
    password_expires_us bigint   NOT NULL,
    must_change         boolean  NOT NULL,
    password_epoch      integer  NOT NULL DEFAULT 0,
    role_epoch          integer  NOT NULL DEFAULT 0,
    history             text[]   NOT NULL DEFAULT '{}',
    created_us          bigint   NOT NULL,
    CONSTRAINT account_pkey PRIMARY KEY (organisation, name),
    CONSTRAINT account_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code),
    CONSTRAINT account_name_form CHECK (name ~ '^[a-z0-9.-]{3,40}$'),
    CONSTRAINT account_state_known CHECK (state IN (1, 2))
);

CREATE TABLE gateway.session (
    sid                bytea  NOT NULL,
    organisation       text   NOT NULL,
    account            text   NOT NULL,
    certificate_sha256 bytea  NOT NULL,
    created_us         bigint NOT NULL,
    last_seen_us       bigint NOT NULL,
    expires_us         bigint NOT NULL,
    ended_us           bigint,
    CONSTRAINT session_pkey PRIMARY KEY (sid),
    CONSTRAINT session_account_fkey
        FOREIGN KEY (organisation, account) REFERENCES gateway.account (organisation, name),
    CONSTRAINT session_lengths CHECK (octet_length(sid) = 16 AND octet_length(certificate_sha256) = 32)
);
CREATE INDEX session_account ON gateway.session (organisation, account) WHERE ended_us IS NULL;

CREATE TABLE gateway.throttle (
    organisation     text    NOT NULL,
    account          text    NOT NULL,
    lineage          text    NOT NULL,
    failures         integer NOT NULL,
    blocked_until_us bigint  NOT NULL,
    last_us          bigint  NOT NULL,
    CONSTRAINT throttle_pkey PRIMARY KEY (organisation, account, lineage)
);

-- Runs as the owner: who may change a certificate need not be able to touch the counters. The notification is sent at COMMIT,
-- and a process that polls sees the new value then too: never earlier than the change itself.
CREATE FUNCTION gateway.epoch_bump() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
BEGIN
    UPDATE gateway.epoch SET value = value + 1 WHERE name = TG_ARGV[0];
    PERFORM pg_notify('gateway_epoch', TG_ARGV[0]);
    RETURN NULL;
END
$$;

CREATE TRIGGER certificate_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.certificate
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('revocation');
CREATE TRIGGER organisation_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.organisation
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('registry');
CREATE TRIGGER system_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.system
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('registry');
CREATE TRIGGER unit_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.unit
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('registry');
CREATE TRIGGER relation_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.relation
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('registry');
-- What ends or changes a session or an account's rights; not a session's mere being seen, nor a new hash of the same password.
CREATE TRIGGER account_epoch
    AFTER INSERT OR DELETE OR TRUNCATE
       OR UPDATE OF roles, subject_kind, subject_name, state, password_set_us, password_expires_us, must_change,
                    password_epoch, role_epoch
    ON gateway.account FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('session');
CREATE TRIGGER session_epoch AFTER DELETE OR TRUNCATE OR UPDATE OF ended_us, expires_us ON gateway.session
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('session');
