-- What goes out (decision 0017): tickets, who approved them, the header with the file's key apart from its payload, what was
-- disclosed of whom to whom, and what the recipient signed. Disclosure alone writes here; nobody deletes but a header.
--
-- A ticket's row is worth what the log says of it: each move leaves the digest of the whole ticket in its leaf, and
-- `ticket_leaf` finds the newest. A row that was changed or put back by hand does not agree with it, and is refused.

CREATE SEQUENCE gateway.ticket_number AS integer;

CREATE TABLE gateway.ticket (
    ticket_id              text     NOT NULL,
    plan                   bytea    NOT NULL,
    plan_sha256            bytea    NOT NULL,
    state                  text     NOT NULL,
    version                integer  NOT NULL,
    held                   boolean  NOT NULL DEFAULT false,
    created_us             bigint   NOT NULL,
    moved_us               bigint   NOT NULL,
    -- The transaction of the last move: whoever comes in the same one comes too late, for its leaf is not there yet.
    moved_in               xid8     NOT NULL DEFAULT pg_current_xact_id(),
    submitted_us           bigint,
    -- The dry run, rounded up, and how many approvals it takes.
    counted_rows           integer,
    counted_children       integer,
    needed                 smallint,
    unheld_organisation    text,
    unheld_person          text,
    unheld_account         text,
    built_rows             integer,
    built_children         integer,
    payload_bytes          bigint,
    payload_sha256         bytea,
    manifest_sha256        bytea,
    releases               smallint NOT NULL DEFAULT 0,
    -- Of the plan, to find tickets by.
    requester_organisation text     NOT NULL,
    requester_person       text     NOT NULL,
    recipient_organisation text     NOT NULL,
    recipient_person       text     NOT NULL,
    not_after_us           bigint   NOT NULL,
    destroy_by             date     NOT NULL,
    CONSTRAINT ticket_pkey PRIMARY KEY (ticket_id),
    CONSTRAINT ticket_id_form CHECK (ticket_id ~ '^EX-[0-9]{8}$'),
    CONSTRAINT ticket_plan_digest CHECK (plan_sha256 = sha256(plan)),
    CONSTRAINT ticket_version_natural CHECK (version > 0),
    CONSTRAINT ticket_state_known CHECK (state IN (
        'draft', 'submitted', 'once_approved', 'approved', 'building', 'sealed', 'fetching', 'received', 'released',
        'acknowledged', 'destroyed', 'withdrawn', 'denied', 'expired', 'failed', 'revoked', 'recalled', 'overdue')),
    CONSTRAINT ticket_needs_two CHECK (needed >= 2),
    CONSTRAINT ticket_counted_whole CHECK (num_nulls(submitted_us, counted_rows, counted_children, needed) IN (0, 4)),
    CONSTRAINT ticket_unheld_whole CHECK (num_nulls(unheld_organisation, unheld_person, unheld_account) IN (0, 3)),
    CONSTRAINT ticket_built_whole
        CHECK (num_nulls(built_rows, built_children, payload_bytes, payload_sha256, manifest_sha256) IN (0, 5)),
    CONSTRAINT ticket_digest_lengths CHECK (octet_length(payload_sha256) = 32 AND octet_length(manifest_sha256) = 32)
);
CREATE INDEX ticket_open ON gateway.ticket (not_after_us)
    WHERE state IN ('submitted', 'once_approved', 'approved', 'building', 'sealed', 'fetching', 'received');
CREATE INDEX ticket_out ON gateway.ticket (recipient_organisation, destroy_by)
    WHERE state IN ('released', 'acknowledged', 'recalled', 'overdue');
CREATE INDEX ticket_requester ON gateway.ticket (requester_organisation, requester_person, ticket_id);

CREATE TABLE gateway.ticket_approval (
    ticket_id          text     NOT NULL,
    place              smallint NOT NULL,
    organisation       text     NOT NULL,
    person             text     NOT NULL,
    account            text     NOT NULL,
    certificate_sha256 bytea    NOT NULL,
    signature          bytea    NOT NULL,
    approved_us        bigint   NOT NULL,
    CONSTRAINT ticket_approval_pkey PRIMARY KEY (ticket_id, place),
    CONSTRAINT ticket_approval_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES gateway.ticket (ticket_id),
    CONSTRAINT ticket_approval_persons UNIQUE (ticket_id, organisation, person),
    CONSTRAINT ticket_approval_certificate CHECK (octet_length(certificate_sha256) = 32)
);

-- The age header: without it the payload is noise. It goes when the ticket ends.
CREATE TABLE gateway.export_header (
    ticket_id text  NOT NULL,
    header    bytea NOT NULL,
    CONSTRAINT export_header_pkey PRIMARY KEY (ticket_id),
    CONSTRAINT export_header_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES gateway.ticket (ticket_id)
);

-- Which children are in a built payload, by the keyed tag of the true child: written with its header, charged at its release.
CREATE TABLE gateway.export_child (
    ticket_id text  NOT NULL,
    child_tag bytea NOT NULL,
    CONSTRAINT export_child_pkey PRIMARY KEY (ticket_id, child_tag),
    CONSTRAINT export_child_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES gateway.ticket (ticket_id)
);

-- Which children were disclosed, by the keyed tag of the true child; the ticket tells to whom. The budgets count distinct ones over
-- all tickets.
CREATE TABLE gateway.export_debit (
    ticket_id   text   NOT NULL,
    child_tag   bytea  NOT NULL,
    released_us bigint NOT NULL,
    CONSTRAINT export_debit_pkey PRIMARY KEY (ticket_id, child_tag),
    CONSTRAINT export_debit_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES gateway.ticket (ticket_id)
);
CREATE INDEX export_debit_released ON gateway.export_debit (released_us);

-- What the recipient signed: that the payload came (kind "receipt"), that the file was destroyed (kind "destroyed").
CREATE TABLE gateway.export_receipt (
    ticket_id          text   NOT NULL,
    kind               text   NOT NULL,
    certificate_sha256 bytea  NOT NULL,
    signature          bytea  NOT NULL,
    signed_us          bigint NOT NULL,
    -- The day the recipient names for the destruction.
    destroyed_on       date,
    CONSTRAINT export_receipt_pkey PRIMARY KEY (ticket_id, kind),
    CONSTRAINT export_receipt_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES gateway.ticket (ticket_id),
    CONSTRAINT export_receipt_kind_known CHECK (kind IN ('receipt', 'destroyed')),
    CONSTRAINT export_receipt_day CHECK ((kind = 'destroyed') = (destroyed_on IS NOT NULL)),
    CONSTRAINT export_receipt_certificate CHECK (octet_length(certificate_sha256) = 32)
);

-- When a person last had a plan counted: the next count waits.
CREATE TABLE gateway.export_count (
    organisation text   NOT NULL,
    person       text   NOT NULL,
    counted_us   bigint NOT NULL,
    CONSTRAINT export_count_pkey PRIMARY KEY (organisation, person)
);
REVOKE ALL ON gateway.export_count FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON gateway.export_count TO gateway_disclosure;

INSERT INTO gateway.epoch (name) VALUES ('ticket');
CREATE TRIGGER ticket_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.ticket
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('ticket');

-- The newest move of a ticket, as its leaf tells it. Only such leaves are indexed; a refused move is none.
CREATE FUNCTION gateway.moved_ticket(leaf bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN convert_from(leaf, 'UTF8')::jsonb #> '{detail,ticket_sha256}' IS NOT NULL
           THEN convert_from(leaf, 'UTF8')::jsonb #>> '{detail,ticket}' END
$$;
CREATE INDEX audit_entry_ticket ON gateway.audit_entry (gateway.moved_ticket(leaf), idx)
    WHERE kind LIKE 'export.%' AND decision = 'allow';
CREATE FUNCTION gateway.ticket_leaf(wanted text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT convert_from(e.leaf, 'UTF8')::jsonb #>> '{detail,ticket_sha256}'
    FROM gateway.audit_entry AS e
    WHERE e.kind LIKE 'export.%' AND e.decision = 'allow' AND gateway.moved_ticket(e.leaf) = wanted
    ORDER BY e.idx DESC LIMIT 1
$$;

-- What was done under a request id before: disclosure reads no other leaf.
CREATE FUNCTION gateway.export_leaf(wanted_request text, wanted_kind text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = gateway, pg_catalog, pg_temp AS $$
    SELECT e.leaf FROM gateway.audit_entry AS e
    WHERE e.request_id = wanted_request AND e.kind = wanted_kind AND e.kind LIKE 'export.%' AND e.decision = 'allow'
    ORDER BY e.idx LIMIT 1
$$;
REVOKE ALL ON FUNCTION gateway.export_leaf(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.export_leaf(text, text) TO gateway_disclosure;

REVOKE ALL ON gateway.ticket, gateway.ticket_approval, gateway.export_header, gateway.export_child, gateway.export_debit,
              gateway.export_receipt
    FROM PUBLIC;
REVOKE ALL ON SEQUENCE gateway.ticket_number FROM PUBLIC;
REVOKE ALL ON FUNCTION gateway.ticket_leaf(text), gateway.moved_ticket(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gateway.ticket_leaf(text) TO gateway_disclosure;
GRANT USAGE ON SEQUENCE gateway.ticket_number TO gateway_disclosure;
GRANT SELECT, INSERT ON gateway.ticket, gateway.ticket_approval, gateway.export_header, gateway.export_child,
                        gateway.export_debit, gateway.export_receipt
    TO gateway_disclosure;
-- Not the plan, nor who is in it.
GRANT UPDATE (state, version, held, moved_us, moved_in, submitted_us, counted_rows, counted_children, needed,
              unheld_organisation, unheld_person, unheld_account, built_rows, built_children, payload_bytes, payload_sha256,
              manifest_sha256, releases)
    ON gateway.ticket TO gateway_disclosure;
GRANT DELETE ON gateway.export_header, gateway.export_child TO gateway_disclosure;

-- Bodies and what finds them, read by disclosure alone, written by intake alone.
GRANT SELECT ON gateway.item, gateway.content_key, gateway.batch, gateway.child, gateway.retired_child, gateway.dose,
                gateway.document
    TO gateway_disclosure;
