-- Invitations that nobody makes, confirms or puts back by hand (decision 0023).
--
-- `proof` is an HMAC over all that whoever invited stands for, `confirmation` one over that, the key, and who confirmed it: by a key
-- that lies with two doors and with no role. Persons are told beside accounts, for it is they who must be two.

ALTER TABLE gateway.invitation
    ADD COLUMN inviter_person  text,
    ADD COLUMN approver_person text,
    ADD COLUMN proof           bytea,
    ADD COLUMN confirmation    bytea,
    ADD CONSTRAINT invitation_second_person
        CHECK ((approver_organisation, approver_person) <> (inviter_organisation, inviter_person)),
    ADD CONSTRAINT invitation_not_the_bearer
        CHECK (subject_kind = 'sys' OR (approver_organisation, approver_person) <> (organisation, subject_name));
-- What was open before has no proof, and an officer's no second officer: it is made again.
UPDATE gateway.invitation SET state = 6 WHERE state IN (1, 2, 3);
UPDATE gateway.invitation SET inviter_person = '';
ALTER TABLE gateway.invitation ALTER COLUMN inviter_person SET NOT NULL;
GRANT UPDATE (proof, approver_person, confirmation) ON gateway.invitation TO gateway_administration;

-- Which invitation a leaf ends: cancelled, burnt, or led to a certificate. A row put back does not take its leaf away.
CREATE FUNCTION gateway.ended_invitation(leaf bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN convert_from(leaf, 'UTF8')::jsonb ->> 'decision' = 'allow'
                  OR convert_from(leaf, 'UTF8')::jsonb #>> '{detail,alert}' = 'code-burnt'
           THEN convert_from(leaf, 'UTF8')::jsonb #>> '{detail,invitation}' END
$$;
CREATE INDEX audit_entry_invitation ON gateway.audit_entry (gateway.ended_invitation(leaf))
    WHERE kind IN ('admin.certificate.cancel', 'enrolment.enrol');
CREATE FUNCTION gateway.invitation_ended(wanted text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM gateway.audit_entry AS e
        WHERE e.kind IN ('admin.certificate.cancel', 'enrolment.enrol') AND gateway.ended_invitation(e.leaf) = wanted
    )
$$;
REVOKE ALL ON FUNCTION gateway.ended_invitation(bytea), gateway.invitation_ended(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.invitation_ended(text) TO gateway_identity;
