-- Duties: who is locked out until an officer unlocks, who has not come for long, who showed the password lately, and since
-- when passwords must be as young as they must be (decision 0013).

ALTER TABLE gateway.throttle
    -- When failures were counted within the policy's hours, oldest first; as many as lock, they lock.
    ADD COLUMN recent_us bigint[] NOT NULL DEFAULT '{}',
    -- Until an officer unlocks; NULL: not locked.
    ADD COLUMN locked_us bigint;

-- Account states: 1 active, 2 suspended by an officer, 3 disabled because nobody used it.
ALTER TABLE gateway.account
    DROP CONSTRAINT account_state_known,
    ADD CONSTRAINT account_state_known CHECK (state IN (1, 2, 3)),
    ADD COLUMN last_login_us bigint,
    -- When it was last taken up again: from then on it is new.
    ADD COLUMN active_since_us bigint NOT NULL DEFAULT 0,
    -- When it was told that it will be disabled; NULL again as soon as somebody uses it.
    ADD COLUMN unused_told_us bigint;
-- Of those that were used before this was kept, each session says so.
UPDATE gateway.account AS a
SET last_login_us = (SELECT max(created_us) FROM gateway.session AS s
                     WHERE s.organisation = a.organisation AND s.account = a.name);

-- When the password was last shown in this session; 0: not since this is kept.
ALTER TABLE gateway.session ADD COLUMN confirmed_us bigint NOT NULL DEFAULT 0;
DROP TRIGGER session_epoch ON gateway.session;
CREATE TRIGGER session_epoch AFTER DELETE OR TRUNCATE OR UPDATE OF ended_us, expires_us, confirmed_us ON gateway.session
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('session');

-- The age that passwords may have (days, 0: any), and since when it is no greater: warnings count from there.
CREATE TABLE gateway.password_age (
    one      boolean NOT NULL DEFAULT true,
    days     integer NOT NULL,
    since_us bigint  NOT NULL,
    CONSTRAINT password_age_pkey PRIMARY KEY (one),
    CONSTRAINT password_age_one_row CHECK (one)
);

-- Told by every door at its start. Only a stricter age moves the time: a looser one gives nobody a second warning.
CREATE FUNCTION gateway.password_age_since(wanted_days integer, now_us bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
DECLARE
    found gateway.password_age%ROWTYPE;
BEGIN
    INSERT INTO gateway.password_age (days, since_us) VALUES (wanted_days, now_us) ON CONFLICT (one) DO NOTHING;
    SELECT * INTO found FROM gateway.password_age FOR UPDATE;
    IF found.days = wanted_days THEN
        RETURN found.since_us;
    END IF;
    IF wanted_days <> 0 AND (found.days = 0 OR wanted_days < found.days) THEN
        found.since_us := now_us;
    END IF;
    UPDATE gateway.password_age SET days = wanted_days, since_us = found.since_us;
    RETURN found.since_us;
END
$$;
REVOKE ALL ON FUNCTION gateway.password_age_since(integer, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.password_age_since(integer, bigint)
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration;

GRANT UPDATE (last_login_us, unused_told_us) ON gateway.account TO gateway_identity;
GRANT UPDATE (confirmed_us) ON gateway.session TO gateway_identity;
GRANT SELECT (last_login_us, active_since_us, unused_told_us),
      UPDATE (active_since_us, unused_told_us)
    ON gateway.account TO gateway_administration;
GRANT UPDATE (recent_us, locked_us) ON gateway.throttle TO gateway_administration;
