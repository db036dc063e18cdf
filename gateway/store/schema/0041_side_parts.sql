-- Personal data beside the log and in it (decision 0026): side parts that can be destroyed, leaves found by the tag of a child.
--
-- Doors put parts in, administration alone reads them, only the owner takes one away: a door that could would leave no leaf.

CREATE TABLE gateway.audit_sealed (
    -- SHA-256(salt || ciphertext): what the leaf says.
    digest     bytea  NOT NULL,
    salt       bytea  NOT NULL,
    ciphertext bytea  NOT NULL,
    -- The part's own key, wrapped to the recipient.
    key_id     uuid   NOT NULL,
    recipient  text   NOT NULL,
    wrapped    bytea  NOT NULL,
    made_us    bigint NOT NULL,
    CONSTRAINT audit_sealed_pkey PRIMARY KEY (digest),
    CONSTRAINT audit_sealed_digest CHECK (digest = sha256(salt || ciphertext))
);
REVOKE ALL ON gateway.audit_sealed FROM PUBLIC;
GRANT INSERT ON gateway.audit_sealed TO gateway_disclosure, gateway_administration;
GRANT SELECT ON gateway.audit_sealed TO gateway_administration;

-- Only who runs the gateway destroys, so only its role tells of it: a leaf of a door's excuses no part that is missing.
CREATE FUNCTION gateway.audit_shred_is_owners() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF session_user <> 'gateway_owner' THEN
        RAISE EXCEPTION 'only the owner tells of what is destroyed: % is refused', NEW.kind
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION gateway.audit_shred_is_owners() FROM PUBLIC;
CREATE TRIGGER audit_entry_shred BEFORE INSERT ON gateway.audit_entry
    FOR EACH ROW WHEN (NEW.kind IN ('audit.shred', 'audit.forget') AND NEW.decision = 'allow')
    EXECUTE FUNCTION gateway.audit_shred_is_owners();

-- Leaves about one child. The bytes are "subject_tag": no other leaf is parsed for the index, or costs an insert anything.
CREATE FUNCTION gateway.subject_tag(leaf bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT convert_from(leaf, 'UTF8')::jsonb ->> 'subject_tag'
$$;
REVOKE ALL ON FUNCTION gateway.subject_tag(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.subject_tag(bytea) TO gateway_administration;
CREATE INDEX audit_entry_subject ON gateway.audit_entry (gateway.subject_tag(leaf), idx)
    WHERE position('\x227375626a6563745f746167223a'::bytea IN leaf) > 0;
