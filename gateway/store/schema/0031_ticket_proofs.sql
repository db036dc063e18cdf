-- What proves a ticket is read out of the leaf's own bytes, which the tree covers; and whose children were built (decision 0019).
--
-- The columns kind and decision beside a leaf are nobody's signature: whoever owns the table changes them, and the leaf of a stop was
-- skipped. A leaf that says a version that is none is passed over, so that it keeps nobody from stopping the ticket.

DROP INDEX gateway.audit_entry_ticket;
CREATE OR REPLACE FUNCTION gateway.moved_ticket(leaf bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.document #>> '{detail,ticket}'
    FROM (SELECT convert_from(leaf, 'UTF8')::jsonb AS document) AS l
    WHERE l.document #> '{detail,ticket_mac}' IS NOT NULL AND l.document ->> 'kind' LIKE 'export.%'
      AND l.document ->> 'decision' = 'allow'
$$;
-- Of all leaves those few that may be one: by their bytes, too, and without reading the others.
CREATE INDEX audit_entry_ticket ON gateway.audit_entry (gateway.moved_ticket(leaf), idx)
    WHERE position('"ticket_mac"'::bytea IN leaf) > 0;
CREATE OR REPLACE FUNCTION gateway.ticket_leaf(wanted text, OUT mac text, OUT version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT l.detail ->> 'ticket_mac', (l.detail ->> 'ticket_version')::bigint
    FROM (
        SELECT e.idx, convert_from(e.leaf, 'UTF8')::jsonb -> 'detail' AS detail FROM gateway.audit_entry AS e
        WHERE position('"ticket_mac"'::bytea IN e.leaf) > 0 AND gateway.moved_ticket(e.leaf) = wanted
    ) AS l
    -- No ticket moves a thousand million times: what says so is somebody's, and no move could follow it.
    WHERE l.detail ->> 'ticket_version' ~ '^[0-9]{1,9}$'
    ORDER BY 2 DESC, l.idx DESC LIMIT 1
$$;

-- Which leaf told that a ticket was approved, or once: what a retired authority's certificate signed counts where its retirement came
-- later on the log.
CREATE FUNCTION gateway.approval_leaf(wanted text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT coalesce(min(l.idx) FILTER (WHERE l.reached = 'approved'), min(l.idx) FILTER (WHERE l.reached = 'once_approved'))
    FROM (
        SELECT e.idx, convert_from(e.leaf, 'UTF8')::jsonb #>> '{detail,to_state}' AS reached FROM gateway.audit_entry AS e
        WHERE position('"ticket_mac"'::bytea IN e.leaf) > 0 AND gateway.moved_ticket(e.leaf) = wanted
    ) AS l
$$;
REVOKE ALL ON FUNCTION gateway.approval_leaf(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.approval_leaf(text) TO gateway_disclosure;

-- The digest of the children who are in the file, in the MAC: tags swapped in export_child charge nobody else.
ALTER TABLE gateway.ticket
    ADD COLUMN children_sha256 bytea,
    ADD CONSTRAINT ticket_children_digest_length CHECK (octet_length(children_sha256) = 32);
GRANT UPDATE (children_sha256) ON gateway.ticket TO gateway_disclosure;
