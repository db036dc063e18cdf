-- Certificates for life: lineages, invitations to enrol, and the two things that the front may change (decision 0009).
--
-- A lineage is the line of certificates that began with one enrolment, each renewed by the one before. States of a certificate:
-- 1 active, 2 revoked, 3 superseded (the next one was used). `revoked_us` is when it stopped being active, for either reason.

CREATE TABLE gateway.lineage (
    id           bytea    NOT NULL,
    organisation text     NOT NULL,
    subject_kind text     NOT NULL,
    subject_name text     NOT NULL,
    purpose      smallint NOT NULL,
    created_us   bigint   NOT NULL,
    locked_us    bigint,
    CONSTRAINT lineage_pkey PRIMARY KEY (id),
    CONSTRAINT lineage_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code),
    CONSTRAINT lineage_id_length CHECK (octet_length(id) = 16),
    CONSTRAINT lineage_purpose_known CHECK (purpose IN (1, 2))
);
CREATE INDEX lineage_subject ON gateway.lineage (organisation, subject_kind, subject_name);

ALTER TABLE gateway.certificate
    DROP CONSTRAINT certificate_state_known,
    DROP CONSTRAINT certificate_revoked_has_time,
    ADD COLUMN lineage       bytea,
    ADD COLUMN generation    integer  NOT NULL DEFAULT 1,
    -- 1 to connect, 2 to receive what is encrypted to it.
    ADD COLUMN purpose       smallint NOT NULL DEFAULT 1,
    ADD COLUMN first_used_us bigint,
    -- SHA-256 of the issuing authority's SubjectPublicKeyInfo; NULL: issued before this version, by the first authority.
    ADD COLUMN issuer_sha256 bytea,
    ADD CONSTRAINT certificate_state_known CHECK (state IN (1, 2, 3)),
    ADD CONSTRAINT certificate_ended_has_time CHECK ((state <> 1) = (revoked_us IS NOT NULL)),
    ADD CONSTRAINT certificate_purpose_known CHECK (purpose IN (1, 2)),
    ADD CONSTRAINT certificate_generation_natural CHECK (generation > 0),
    ADD CONSTRAINT certificate_issuer_length CHECK (octet_length(issuer_sha256) = 32);

-- Each certificate of the first version was issued on the host: a lineage of its own, in use since it was issued.
INSERT INTO gateway.lineage (id, organisation, subject_kind, subject_name, purpose, created_us)
    SELECT substr(certificate_sha256, 1, 16), organisation, subject_kind, subject_name, 1, not_before_us
    FROM gateway.certificate;
UPDATE gateway.certificate SET lineage = substr(certificate_sha256, 1, 16), first_used_us = not_before_us;
ALTER TABLE gateway.certificate
    ALTER COLUMN lineage SET NOT NULL,
    ADD CONSTRAINT certificate_lineage_fkey FOREIGN KEY (lineage) REFERENCES gateway.lineage (id);
CREATE INDEX certificate_lineage ON gateway.certificate (lineage, generation);
DROP INDEX gateway.certificate_revoked;
CREATE INDEX certificate_ended ON gateway.certificate (not_after_us) WHERE state <> 1;

-- A new certificate takes nothing back: the revocation list need not be made anew for it.
DROP TRIGGER certificate_epoch ON gateway.certificate;
CREATE TRIGGER certificate_epoch AFTER UPDATE OF state OR DELETE OR TRUNCATE ON gateway.certificate
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('revocation');
CREATE TRIGGER lineage_epoch AFTER UPDATE OR DELETE OR TRUNCATE ON gateway.lineage
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('revocation');

-- States: 1 invited, 2 requested (waits for a second officer), 3 approved, 4 issued, 5 burnt, 6 cancelled.
CREATE TABLE gateway.invitation (
    id                    text     NOT NULL,
    code_sha256           bytea    NOT NULL,
    organisation          text     NOT NULL,
    subject_kind          text     NOT NULL,
    subject_name          text     NOT NULL,
    purpose               smallint NOT NULL,
    state                 smallint NOT NULL DEFAULT 1,
    needs_approval        boolean  NOT NULL,
    attempts              integer  NOT NULL DEFAULT 0,
    created_us            bigint   NOT NULL,
    expires_us            bigint   NOT NULL,
    inviter_organisation  text     NOT NULL,
    inviter               text     NOT NULL,
    spki_sha256           bytea,
    approver_organisation text,
    approver              text,
    serial                text,
    CONSTRAINT invitation_pkey PRIMARY KEY (id),
    CONSTRAINT invitation_code_key UNIQUE (code_sha256),
    CONSTRAINT invitation_system_fkey FOREIGN KEY (organisation, subject_kind, subject_name)
        REFERENCES gateway.system (organisation, kind, name),
    CONSTRAINT invitation_serial_fkey FOREIGN KEY (serial) REFERENCES gateway.certificate (serial),
    CONSTRAINT invitation_state_known CHECK (state BETWEEN 1 AND 6),
    CONSTRAINT invitation_issued_has_serial CHECK ((state = 4) = (serial IS NOT NULL)),
    CONSTRAINT invitation_purpose_known CHECK (purpose IN (1, 2)),
    CONSTRAINT invitation_lengths CHECK (octet_length(code_sha256) = 32 AND octet_length(spki_sha256) = 32),
    CONSTRAINT invitation_second_officer CHECK ((approver_organisation, approver) <> (inviter_organisation, inviter))
);
CREATE INDEX invitation_subject ON gateway.invitation (organisation, subject_kind, subject_name);

-- The certificate was let in for the first time: the others of its lineage that are still active are superseded from now on.
-- Returns how many; NULL when it had been used before or is not active.
CREATE FUNCTION gateway.certificate_first_use(used text, now_us bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
DECLARE
    line    bytea;
    others  integer;
BEGIN
    UPDATE gateway.certificate AS c SET first_used_us = certificate_first_use.now_us
        WHERE c.serial = used AND c.state = 1 AND c.first_used_us IS NULL RETURNING c.lineage INTO line;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Asked first: a statement that changes no row would move the epoch all the same.
    IF NOT EXISTS (SELECT 1 FROM gateway.certificate AS c WHERE c.lineage = line AND c.serial <> used AND c.state = 1) THEN
        RETURN 0;
    END IF;
    UPDATE gateway.certificate AS c
        SET state = 3, revoked_us = certificate_first_use.now_us, reason = 'superseded'
        WHERE c.lineage = line AND c.serial <> used AND c.state = 1;
    GET DIAGNOSTICS others = ROW_COUNT;
    RETURN others;
END
$$;

-- A superseded certificate was presented: two bearers of one identity. Returns whether this locked the lineage just now.
CREATE FUNCTION gateway.lineage_lock(presented text, now_us bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
BEGIN
    UPDATE gateway.lineage AS l SET locked_us = lineage_lock.now_us
        FROM gateway.certificate AS c
        WHERE c.serial = presented AND c.state = 3 AND l.id = c.lineage AND l.locked_us IS NULL;
    RETURN FOUND;
END
$$;

-- Certificates of a lineage above a generation that were issued and never used make way for another: a client that lost its
-- new key asked again. The one it asks with may be unused too, and stays. Returns how many.
CREATE FUNCTION gateway.certificate_supersede_unused(line bytea, above integer, now_us bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
DECLARE
    others integer;
BEGIN
    UPDATE gateway.certificate AS c
        SET state = 3, revoked_us = certificate_supersede_unused.now_us, reason = 'superseded'
        WHERE c.lineage = line AND c.generation > above AND c.state = 1 AND c.first_used_us IS NULL;
    GET DIAGNOSTICS others = ROW_COUNT;
    RETURN others;
END
$$;

-- Whoever may change a certificate's state can only take more away: active, superseded, revoked, in this order and never back.
CREATE FUNCTION gateway.certificate_never_returns() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'certificate %: state % cannot follow state %', OLD.serial, NEW.state, OLD.state
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER certificate_never_returns BEFORE UPDATE OF state ON gateway.certificate
    FOR EACH ROW WHEN (NEW.state = 1 AND OLD.state <> 1 OR OLD.state = 2 AND NEW.state <> 2)
    EXECUTE FUNCTION gateway.certificate_never_returns();

-- The next number for a revocation list that is signed anew although nothing was revoked: CRLNumber is the epoch, always.
CREATE FUNCTION gateway.revocation_epoch_next() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    UPDATE gateway.epoch SET value = value + 1 WHERE name = 'revocation' RETURNING value
$$;

-- The first version numbered its lists beside the epoch: hourly, so that a million is a hundred years. From now on no list in
-- place has a greater number than the epoch, but where a backup was restored.
UPDATE gateway.epoch SET value = value + 1000000
    WHERE name = 'revocation' AND EXISTS (SELECT FROM gateway.certificate);

REVOKE ALL ON gateway.lineage, gateway.invitation FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.certificate_first_use(text, bigint), gateway.lineage_lock(text, bigint),
                       gateway.revocation_epoch_next(), gateway.certificate_never_returns(),
                       gateway.certificate_supersede_unused(bytea, integer, bigint) FROM PUBLIC;
GRANT SELECT ON gateway.lineage
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;
-- The front sees who comes in; the supervisor, under the same role, keeps the list.
GRANT EXECUTE ON FUNCTION gateway.certificate_first_use(text, bigint), gateway.lineage_lock(text, bigint),
                          gateway.revocation_epoch_next() TO gateway_front;
-- identity issues: for an invitation, and when a certificate is renewed; what was renewed twice and never used is superseded.
GRANT SELECT, INSERT ON gateway.lineage TO gateway_identity;
GRANT EXECUTE ON FUNCTION gateway.certificate_supersede_unused(bytea, integer, bigint) TO gateway_identity;
GRANT SELECT ON gateway.invitation TO gateway_identity, gateway_administration;
GRANT UPDATE (state, attempts, spki_sha256, serial) ON gateway.invitation TO gateway_identity;
GRANT INSERT, UPDATE (state, code_sha256, expires_us, approver_organisation, approver)
    ON gateway.invitation TO gateway_administration;
GRANT EXECUTE ON FUNCTION gateway.revocation_epoch_next() TO gateway_administration;
-- On the host, a restored database is told again what was locked since (gateway certificate replay).
GRANT EXECUTE ON FUNCTION gateway.lineage_lock(text, bigint) TO gateway_administration;
