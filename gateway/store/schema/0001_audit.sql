-- The audit log: entries, complete tiles, the head; and the one function through which anybody appends.
--
-- Hashes are RFC 6962: leaf SHA-256(00 || leaf), node SHA-256(01 || left || right). `audit_entry.idx` comes from the head row
-- only, so that the order of the log is the order of the commits. The columns beside the leaf are a projection of its JSON,
-- made here and rebuildable; the leaf alone is evidence. Grants stand in 0001_grants.sql: nobody gets more than SELECT.

CREATE TABLE gateway.audit_entry (
    idx          bigint   NOT NULL,
    leaf         bytea    NOT NULL,
    leaf_hash    bytea    NOT NULL,
    time_us      bigint   NOT NULL,
    kind         text     NOT NULL,
    decision     text     NOT NULL,
    organisation text,
    reason       text,
    request_id   text,
    actor        text,
    CONSTRAINT audit_entry_pkey PRIMARY KEY (idx),
    CONSTRAINT audit_entry_idx_natural CHECK (idx >= 0),
    -- C2SP tlog-tiles: an entry bundle carries the length in 16 bits.
    CONSTRAINT audit_entry_leaf_length CHECK (octet_length(leaf) BETWEEN 2 AND 65535),
    CONSTRAINT audit_entry_hash_length CHECK (octet_length(leaf_hash) = 32),
    CONSTRAINT audit_entry_decision_known CHECK (decision IN ('allow', 'deny', 'error'))
);

CREATE INDEX audit_entry_time ON gateway.audit_entry (time_us, idx);
CREATE INDEX audit_entry_kind ON gateway.audit_entry (kind, idx);
CREATE INDEX audit_entry_organisation ON gateway.audit_entry (organisation, idx) WHERE organisation IS NOT NULL;
CREATE INDEX audit_entry_reason ON gateway.audit_entry (reason, idx) WHERE reason IS NOT NULL;
CREATE INDEX audit_entry_refused ON gateway.audit_entry (decision, idx) WHERE decision <> 'allow';
CREATE INDEX audit_entry_request ON gateway.audit_entry (request_id) WHERE request_id IS NOT NULL;

-- Complete tiles of every level (C2SP tlog-tiles): 256 hashes, and the root over them, which is one hash of the level above.
CREATE TABLE gateway.audit_tile (
    level  integer NOT NULL,
    n      bigint  NOT NULL,
    hashes bytea   NOT NULL,
    root   bytea   NOT NULL,
    CONSTRAINT audit_tile_pkey PRIMARY KEY (level, n),
    CONSTRAINT audit_tile_place CHECK (level BETWEEN 0 AND 7 AND n >= 0),
    CONSTRAINT audit_tile_full CHECK (octet_length(hashes) = 8192 AND octet_length(root) = 32)
);
-- Hashes do not compress.
ALTER TABLE gateway.audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- The one row that every append updates. `frontier`: the roots of the perfect subtrees of the log, largest first.
-- The low fillfactor keeps each update on its page (HOT), so that the row does not grow an index.
CREATE TABLE gateway.audit_head (
    id       integer NOT NULL DEFAULT 1,
    size     bigint  NOT NULL,
    root     bytea   NOT NULL,
    frontier bytea[] NOT NULL,
    time_us  bigint  NOT NULL,
    CONSTRAINT audit_head_pkey PRIMARY KEY (id),
    CONSTRAINT audit_head_single CHECK (id = 1),
    CONSTRAINT audit_head_size_natural CHECK (size >= 0),
    CONSTRAINT audit_head_root_length CHECK (octet_length(root) = 32)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- The empty tree's root is SHA-256 of nothing.
INSERT INTO gateway.audit_head (id, size, root, frontier, time_us) VALUES (1, 0, sha256(''::bytea), ARRAY[]::bytea[], 0);

CREATE FUNCTION gateway.audit_is_append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.audit_is_append_only();
CREATE TRIGGER audit_tile_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.audit_is_append_only();
CREATE TRIGGER audit_head_append_only BEFORE DELETE OR TRUNCATE ON gateway.audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.audit_is_append_only();
CREATE TRIGGER audit_head_only_grows BEFORE UPDATE ON gateway.audit_head
    FOR EACH ROW WHEN (NEW.size <= OLD.size) EXECUTE FUNCTION gateway.audit_is_append_only();

-- Appends `leaves` (canonical JSON objects) in their order and answers with the first one's index, the new size and root, and
-- the concatenated leaf hashes of entries `since`..size-1, from which the caller's tree catches up with other processes' leaves.
-- `hashes` is NULL when the caller is more than 65,536 entries behind: it then reloads from the tiles.
-- Call it last in the transaction: it holds the head row until COMMIT.
CREATE FUNCTION gateway.audit_append(
    leaves bytea[], since bigint,
    OUT first bigint, OUT size bigint, OUT root bytea, OUT hashes bytea
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = gateway, pg_catalog, pg_temp
-- A lock holder whose machine is gone must not freeze every door.
SET lock_timeout = '10s'
AS $$
DECLARE
    how_many  CONSTANT integer := coalesce(cardinality(leaves), 0);
    subtrees  bytea[];        -- the frontier
    depth     integer;        -- how many elements of subtrees are in use
    fresh     bytea[];        -- the new leaves' hashes
    node      bytea;
    rest      bigint;         -- the index, shifted right once per merge
    height    integer;        -- of node
BEGIN
    IF how_many = 0 THEN
        RAISE EXCEPTION 'no leaves' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT h.size, h.frontier INTO STRICT first, subtrees
        FROM gateway.audit_head AS h WHERE h.id = 1 FOR UPDATE;
    IF since IS NULL OR since < 0 OR since > first THEN
        RAISE EXCEPTION 'the caller knows % entries, the log holds %', since, first USING ERRCODE = 'data_corrupted';
    END IF;

    fresh := ARRAY(SELECT sha256('\x00'::bytea || l.leaf) FROM unnest(leaves) AS l (leaf));
    -- The projection is computed once per leaf: OFFSET 0 keeps the planner from pulling the cast into every column.
    INSERT INTO gateway.audit_entry
        (idx, leaf, leaf_hash, time_us, kind, decision, organisation, reason, request_id, actor)
    SELECT first + e.place - 1, e.leaf, e.leaf_hash, (e.document ->> 'time_us')::bigint, e.document ->> 'kind',
           e.document ->> 'decision', e.document ->> 'organisation', e.document ->> 'reason',
           e.document ->> 'request_id', coalesce(e.document ->> 'account', e.document ->> 'subject')
    FROM (
        SELECT l.leaf, l.leaf_hash, l.place, convert_from(l.leaf, 'UTF8')::jsonb AS document
        FROM unnest(leaves, fresh) WITH ORDINALITY AS l (leaf, leaf_hash, place) OFFSET 0
    ) AS e;

    depth := cardinality(subtrees);
    size := first;
    FOREACH node IN ARRAY fresh LOOP
        rest := size;
        size := size + 1;
        IF rest & 255 <> 255 THEN
            WHILE rest & 1 = 1 LOOP
                node := sha256('\x01'::bytea || subtrees[depth] || node);
                depth := depth - 1;
                rest := rest >> 1;
            END LOOP;
        ELSE
            height := 0;
            WHILE rest & 1 = 1 LOOP
                node := sha256('\x01'::bytea || subtrees[depth] || node);
                depth := depth - 1;
                rest := rest >> 1;
                height := height + 1;
                IF height & 7 = 0 THEN
                    PERFORM gateway.audit_store_tile(height / 8 - 1, rest, node);
                END IF;
            END LOOP;
        END IF;
        depth := depth + 1;
        subtrees[depth] := node;
    END LOOP;

    subtrees := subtrees[1:depth];
    root := subtrees[depth];
    FOR place IN REVERSE depth - 1 .. 1 LOOP
        root := sha256('\x01'::bytea || subtrees[place] || root);
    END LOOP;
    UPDATE gateway.audit_head AS h
        SET size = audit_append.size, root = audit_append.root, frontier = subtrees,
            time_us = greatest(h.time_us, (convert_from(leaves[how_many], 'UTF8')::jsonb ->> 'time_us')::bigint)
        WHERE h.id = 1;

    IF since = first THEN
        hashes := string_agg(f.hash, ''::bytea) FROM unnest(fresh) AS f (hash);
    ELSIF size - since <= 65536 THEN
        SELECT string_agg(e.leaf_hash, ''::bytea ORDER BY e.idx) INTO hashes
            FROM gateway.audit_entry AS e WHERE e.idx >= since;
    END IF;
END
$$;

-- Stores the complete tile `n` of `level`, whose root the appending function has just computed.
CREATE FUNCTION gateway.audit_store_tile(level integer, n bigint, root bytea) RETURNS void
LANGUAGE plpgsql SET search_path = gateway, pg_catalog, pg_temp AS $$
DECLARE
    held bytea;
BEGIN
    IF level = 0 THEN
        SELECT string_agg(e.leaf_hash, ''::bytea ORDER BY e.idx) INTO held
            FROM gateway.audit_entry AS e WHERE e.idx >= n * 256 AND e.idx < (n + 1) * 256;
    ELSE
        SELECT string_agg(t.root, ''::bytea ORDER BY t.n) INTO held FROM gateway.audit_tile AS t
            WHERE t.level = audit_store_tile.level - 1
              AND t.n >= audit_store_tile.n * 256 AND t.n < (audit_store_tile.n + 1) * 256;
    END IF;
    INSERT INTO gateway.audit_tile (level, n, hashes, root) VALUES (level, n, held, audit_store_tile.root);
END
$$;

-- A new function may be executed by everybody until told otherwise.
REVOKE ALL ON FUNCTION gateway.audit_append(bytea[], bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.audit_store_tile(integer, bigint, bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.audit_is_append_only() FROM PUBLIC;
