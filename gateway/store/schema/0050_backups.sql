-- When a backup was last verified in its places, by the log's own leaf; and since when there was none newer: where there never was
-- one, since the log's first leaf. Doors that may read no leaf ask this.

CREATE FUNCTION gateway.backup_newest() RETURNS TABLE (kept_us bigint, since_us bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT newest.time_us, coalesce(newest.time_us, (SELECT e.time_us FROM gateway.audit_entry AS e WHERE e.idx = 0))
    FROM (SELECT 1) AS one LEFT JOIN LATERAL (
        SELECT e.time_us FROM gateway.audit_entry AS e
        WHERE e.kind = 'backup.keep' AND e.decision = 'allow' ORDER BY e.idx DESC LIMIT 1
    ) AS newest ON true
$$;
REVOKE ALL ON FUNCTION gateway.backup_newest() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.backup_newest() TO gateway_disclosure;
