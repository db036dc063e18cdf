-- Tunnels: which peer of which VPN stands for which organisation (decision 0012). A row is never deleted; states: 1 active,
-- 2 locked, 3 removed. Several active peers of one organisation overlap while a key is rotated.

CREATE TABLE gateway.tunnel (
    kind            text     NOT NULL,
    -- A WireGuard public key (base64) or an IKE identity, as the provider names the peer.
    peer            text     NOT NULL,
    organisation    text     NOT NULL,
    -- The addresses that the peer may use inside the tunnel, as networks.
    addresses       text[]   NOT NULL,
    state           smallint NOT NULL DEFAULT 1,
    created_us      bigint   NOT NULL,
    changed_us      bigint   NOT NULL,
    -- When it was last seen at work, to a minute; NULL: never.
    last_seen_us    bigint,
    -- The peer whose key this one follows.
    follows         text,
    CONSTRAINT tunnel_pkey PRIMARY KEY (kind, peer),
    CONSTRAINT tunnel_organisation_fkey FOREIGN KEY (organisation) REFERENCES gateway.organisation (code),
    CONSTRAINT tunnel_follows_fkey FOREIGN KEY (kind, follows) REFERENCES gateway.tunnel (kind, peer),
    CONSTRAINT tunnel_kind_known CHECK (kind IN ('wireguard', 'strongswan')),
    CONSTRAINT tunnel_peer_length CHECK (length(peer) BETWEEN 1 AND 200),
    CONSTRAINT tunnel_state_known CHECK (state IN (1, 2, 3)),
    CONSTRAINT tunnel_has_addresses CHECK (cardinality(addresses) BETWEEN 1 AND 16)
);
CREATE INDEX tunnel_organisation ON gateway.tunnel (organisation);

CREATE TRIGGER tunnel_epoch
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF state, organisation, addresses ON gateway.tunnel
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('registry');

-- Once removed it stays so: a key that was given up is not taken back under the same name.
CREATE FUNCTION gateway.tunnel_never_returns() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'tunnel peer: state % cannot follow state %', NEW.state, OLD.state
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER tunnel_never_returns BEFORE UPDATE OF state ON gateway.tunnel
    FOR EACH ROW WHEN (OLD.state = 3 AND NEW.state <> 3) EXECUTE FUNCTION gateway.tunnel_never_returns();

-- The front notes which peers it sees at work.
CREATE FUNCTION gateway.tunnel_seen(kinds text[], peers text[], now_us bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    UPDATE gateway.tunnel AS t SET last_seen_us = tunnel_seen.now_us
    FROM unnest(kinds, peers) AS s (kind, peer) WHERE t.kind = s.kind AND t.peer = s.peer
$$;

-- Who came through an organisation's tunnel with another's certificate: that leaf is found by both. Only such leaves are
-- indexed, and no other costs an insert anything.
CREATE FUNCTION gateway.target_organisation(leaf bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT convert_from(leaf, 'UTF8')::jsonb #>> '{detail,target_organisation}'
$$;
CREATE INDEX audit_entry_mismatch ON gateway.audit_entry (gateway.target_organisation(leaf), idx)
    WHERE reason = 'ORIGIN_MISMATCH';

REVOKE ALL ON gateway.tunnel FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.tunnel_never_returns(), gateway.tunnel_seen(text[], text[], bigint),
    gateway.target_organisation(bytea) FROM PUBLIC;
GRANT SELECT ON gateway.tunnel
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;
GRANT INSERT, UPDATE (state, changed_us, addresses) ON gateway.tunnel TO gateway_administration;
GRANT EXECUTE ON FUNCTION gateway.tunnel_seen(text[], text[], bigint) TO gateway_front;
GRANT EXECUTE ON FUNCTION gateway.target_organisation(bytea) TO gateway_administration;
