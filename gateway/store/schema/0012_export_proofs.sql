-- By what a ticket's row is proven, and who may tell the log of exports (decision 0019).
--
-- The leaf of a move has a MAC over the whole ticket, by a key of the disclosure door's alone: neither the owner of these tables nor
-- another door's role can make one. Of the leaves of a ticket that of the highest version counts, not the last one: a leaf of before
-- that somebody appends again raises nothing.

CREATE FUNCTION gateway.audit_export_is_disclosures() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF session_user <> 'gateway_disclosure' THEN
        RAISE EXCEPTION 'only the disclosure door tells of exports: % is refused', NEW.kind
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION gateway.audit_export_is_disclosures() FROM PUBLIC;
-- session_user: audit_append runs as its owner, whoever asked.
CREATE TRIGGER audit_entry_export BEFORE INSERT ON gateway.audit_entry
    FOR EACH ROW WHEN (NEW.kind LIKE 'export.%') EXECUTE FUNCTION gateway.audit_export_is_disclosures();

DROP INDEX gateway.audit_entry_ticket;
CREATE OR REPLACE FUNCTION gateway.moved_ticket(leaf bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN convert_from(leaf, 'UTF8')::jsonb #> '{detail,ticket_mac}' IS NOT NULL
           THEN convert_from(leaf, 'UTF8')::jsonb #>> '{detail,ticket}' END
$$;
CREATE INDEX audit_entry_ticket ON gateway.audit_entry (gateway.moved_ticket(leaf), idx)
    WHERE kind LIKE 'export.%' AND decision = 'allow';
DROP FUNCTION gateway.ticket_leaf(text);
CREATE FUNCTION gateway.ticket_leaf(wanted text, OUT mac text, OUT version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT l.detail ->> 'ticket_mac', (l.detail ->> 'ticket_version')::bigint
    FROM (
        SELECT e.idx, convert_from(e.leaf, 'UTF8')::jsonb -> 'detail' AS detail FROM gateway.audit_entry AS e
        WHERE e.kind LIKE 'export.%' AND e.decision = 'allow' AND gateway.moved_ticket(e.leaf) = wanted
    ) AS l
    ORDER BY 2 DESC NULLS LAST, l.idx DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION gateway.ticket_leaf(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.ticket_leaf(text) TO gateway_disclosure;

-- Holds the log's head until COMMIT, as audit_append would a moment later: whatever is on the log is seen from here on, and nothing
-- comes between. Called when everything else that the transaction locks is locked.
CREATE FUNCTION gateway.audit_hold() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
    SELECT 1 FROM gateway.audit_head WHERE id = 1 FOR UPDATE
$$;
REVOKE ALL ON FUNCTION gateway.audit_hold() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.audit_hold() TO gateway_disclosure;
