-- Tunnel keys grow old: when a peer was first at work, and whether it was told that nobody uses it (decision 0012).

ALTER TABLE gateway.tunnel
    -- When it was first seen at work, to a minute; NULL: never. From then on its predecessor's time runs out.
    ADD COLUMN first_seen_us bigint,
    -- When it was told that nobody uses it; NULL again as soon as somebody does.
    ADD COLUMN unused_told_us bigint;
-- Of those that were at work before this was kept, only the last time is known.
UPDATE gateway.tunnel SET first_seen_us = last_seen_us;
CREATE INDEX tunnel_follows ON gateway.tunnel (kind, follows) WHERE follows IS NOT NULL;

CREATE OR REPLACE FUNCTION gateway.tunnel_seen(kinds text[], peers text[], now_us bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    UPDATE gateway.tunnel AS t
    SET last_seen_us = tunnel_seen.now_us,
        first_seen_us = coalesce(t.first_seen_us, tunnel_seen.now_us),
        unused_told_us = NULL
    FROM unnest(kinds, peers) AS s (kind, peer) WHERE t.kind = s.kind AND t.peer = s.peer
$$;

GRANT UPDATE (unused_told_us) ON gateway.tunnel TO gateway_administration;
