-- A service account's two secrets (decision 0013): its own row holds the one in force, a row here the other one. No secret stands
-- here, only a hash, readable by the identity door alone.

ALTER TABLE gateway.account
    -- How often its secret was rotated. Not its password's epoch: sessions go on.
    ADD COLUMN secret_rotations integer NOT NULL DEFAULT 0;
GRANT SELECT (secret_rotations) ON gateway.account TO gateway_intake, gateway_disclosure, gateway_administration;
GRANT UPDATE (secret_rotations) ON gateway.account TO gateway_identity;

CREATE TABLE gateway.other_secret (
    organisation text   NOT NULL,
    account      text   NOT NULL,
    -- Of the next one while taken_us is NULL; then of the one that it replaced.
    secret_hash  text   NOT NULL,
    -- When the next one was given, by which request, and until when both open sessions.
    made_us      bigint NOT NULL,
    request_id   text   NOT NULL,
    ends_us      bigint NOT NULL,
    -- When the next one was first used, and so put into the account's row.
    taken_us     bigint,
    CONSTRAINT other_secret_pkey PRIMARY KEY (organisation, account),
    CONSTRAINT other_secret_account_fkey FOREIGN KEY (organisation, account)
        REFERENCES gateway.account (organisation, name)
);

REVOKE ALL ON gateway.other_secret FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.other_secret TO gateway_identity;
-- An officer's reset ends both.
GRANT SELECT (organisation, account), DELETE ON gateway.other_secret TO gateway_administration;
