-- What revokes an officer's certificate on the log, by itself or among others, and who tells of it; and which leaves are of policies
-- (decision 0024).

-- A proposal, a signature or a revocation comes before a door's signature is judged or after its leaf, never in between.
GRANT EXECUTE ON FUNCTION gateway.audit_hold() TO gateway_administration;

-- Where the log first tells that a certificate was revoked: by its serial; or, issued before, with all of its bearer's, its organisation's or its
-- authority's. All that is asked with stands in the certificate. NULL: nowhere.
DROP FUNCTION gateway.revocation_leaf(text);
CREATE FUNCTION gateway.revocation_leaf(
    of_serial text, of_organisation text, of_kind text, of_name text, of_issuer text, issued_us bigint
) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT min(l.idx) FROM (
        SELECT e.idx, e.time_us, convert_from(e.leaf, 'UTF8')::jsonb -> 'detail' AS detail FROM gateway.audit_entry AS e
        WHERE e.kind = 'admin.certificate.revoke' AND e.decision = 'allow' OFFSET 0
    ) AS l
    WHERE CASE
        WHEN l.detail ->> 'target_serial' IS NOT NULL THEN l.detail ->> 'target_serial' = of_serial
        WHEN l.time_us < issued_us THEN false
        WHEN l.detail ->> 'issuer_sha256' IS NOT NULL THEN l.detail ->> 'issuer_sha256' = of_issuer
        ELSE l.detail ->> 'target_organisation' = of_organisation
             AND coalesce(l.detail ->> 'target_subject_kind', of_kind) = of_kind
             AND coalesce(l.detail ->> 'target_subject_name', of_name) = of_name
    END
$$;
REVOKE ALL ON FUNCTION gateway.revocation_leaf(text, text, text, text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.revocation_leaf(text, text, text, text, text, bigint)
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;

-- As before, but what is no number is passed over and nothing else: two conditions have no order in SQL, and the cast of a text raised.
CREATE OR REPLACE FUNCTION gateway.policy_leaves(since bigint) RETURNS TABLE (idx bigint, leaf bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT l.idx, l.leaf FROM (
        SELECT e.idx, e.leaf, convert_from(e.leaf, 'UTF8')::jsonb #> '{detail,activation}' AS number FROM gateway.audit_entry AS e
        WHERE e.kind IN ('policies.propose', 'policies.approve') AND e.decision = 'allow' OFFSET 0
    ) AS l
    -- Those of before leaves told it have no number.
    WHERE CASE WHEN jsonb_typeof(l.number) = 'number' THEN l.number::numeric >= since ELSE false END
    ORDER BY l.idx
$$;

-- By such a leaf an officer signs no more: administration's alone, as those of policies.
CREATE TRIGGER audit_entry_revocations BEFORE INSERT ON gateway.audit_entry
    FOR EACH ROW WHEN (NEW.kind = 'admin.certificate.revoke' AND NEW.decision = 'allow')
    EXECUTE FUNCTION gateway.audit_policies_are_administrations();
CREATE OR REPLACE FUNCTION gateway.audit_policies_are_administrations() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF session_user <> 'gateway_administration' THEN
        RAISE EXCEPTION 'only administration tells of policies that are signed and of revocations: % is refused', NEW.kind
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
