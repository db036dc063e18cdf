-- What the log proves of policies (decision 0024): every reader of an activation looks its leaves up, whatever the rows beside say.

-- Proposals and signatures from activation `since` on, as the administration door and its host told them. Each reader proves
-- by the tiles that a leaf is in the tree.
CREATE FUNCTION gateway.policy_leaves(since bigint) RETURNS TABLE (idx bigint, leaf bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT l.idx, l.leaf FROM (
        SELECT e.idx, e.leaf, convert_from(e.leaf, 'UTF8')::jsonb -> 'detail' AS detail FROM gateway.audit_entry AS e
        WHERE e.kind IN ('policies.propose', 'policies.approve') AND e.decision = 'allow' OFFSET 0
    ) AS l
    -- Those of before this version have no number.
    WHERE jsonb_typeof(l.detail -> 'activation') = 'number' AND (l.detail -> 'activation')::numeric >= since
    ORDER BY l.idx
$$;

-- Where the log first tells that the certificate of a serial was revoked by itself; NULL: nowhere.
CREATE FUNCTION gateway.revocation_leaf(wanted text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT min(e.idx) FROM gateway.audit_entry AS e
    WHERE e.kind = 'admin.certificate.revoke' AND e.decision = 'allow'
      AND convert_from(e.leaf, 'UTF8')::jsonb #>> '{detail,target_serial}' = wanted
$$;

REVOKE ALL ON FUNCTION gateway.policy_leaves(bigint), gateway.revocation_leaf(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.policy_leaves(bigint), gateway.revocation_leaf(text)
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;

-- Any role may append; of policies, administration's alone. session_user: audit_append runs as its owner, whoever asked.
CREATE FUNCTION gateway.audit_policies_are_administrations() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF session_user <> 'gateway_administration' THEN
        RAISE EXCEPTION 'only administration tells of policies that are signed: % is refused', NEW.kind
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION gateway.audit_policies_are_administrations() FROM PUBLIC;
CREATE TRIGGER audit_entry_policies BEFORE INSERT ON gateway.audit_entry
    FOR EACH ROW WHEN (NEW.kind IN ('policies.propose', 'policies.approve') AND NEW.decision = 'allow')
    EXECUTE FUNCTION gateway.audit_policies_are_administrations();
