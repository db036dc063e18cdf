-- The secrets of the gateway's own host, and the journal of what is done to secrets (decision 0013). What lives in tables of its
-- own (accounts, certificates, tunnels) is read from there. No secret stands here, only which there are and since when. No door's
-- role sees either table: the supervisor and the host's commands write them as the owner. Rows are never deleted.

CREATE TABLE gateway.secret (
    kind        text    NOT NULL,
    -- What it serves: "tokens", "body", a database role.
    name        text    NOT NULL,
    generation  integer NOT NULL,
    -- The public name of the key (RFC 7638 thumbprint, key id, digest); '' for a password.
    key_id      text    NOT NULL DEFAULT '',
    made_us     bigint  NOT NULL,
    -- Since when it is in use, since when its successor is, since when it is gone; NULL: not yet.
    used_us     bigint,
    replaced_us bigint,
    ended_us    bigint,
    CONSTRAINT secret_pkey PRIMARY KEY (kind, name, generation),
    CONSTRAINT secret_kind_form CHECK (kind ~ '^[a-z]+(-[a-z]+)*$'),
    CONSTRAINT secret_generation_from_one CHECK (generation >= 1),
    CONSTRAINT secret_key_id_length CHECK (length(key_id) <= 64)
);
-- Two keys of one name in force are told apart by their id; one key is not entered twice.
CREATE UNIQUE INDEX secret_in_force ON gateway.secret (kind, name, key_id) WHERE ended_us IS NULL;

-- A row is written before the step is taken, with its leaf, and closed after it. An open one is taken again from its beginning.
-- Also which warnings were told, of every kind of secret.
CREATE TABLE gateway.secret_step (
    id         bigint  NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind       text    NOT NULL,
    owner      text    NOT NULL,
    name       text    NOT NULL,
    generation integer NOT NULL,
    key_id     text    NOT NULL DEFAULT '',
    -- "publish", "switch", "retire"; or what was told: "warned-1", "restricted", "blocked".
    step       text    NOT NULL,
    begun_us   bigint  NOT NULL,
    done_us    bigint,
    failures   integer NOT NULL DEFAULT 0,
    CONSTRAINT secret_step_pkey PRIMARY KEY (id),
    CONSTRAINT secret_step_once UNIQUE (kind, owner, name, generation, key_id, step)
);
CREATE INDEX secret_step_open ON gateway.secret_step (id) WHERE done_us IS NULL;

REVOKE ALL ON gateway.secret, gateway.secret_step FROM PUBLIC;
