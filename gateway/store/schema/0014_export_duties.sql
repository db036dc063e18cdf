-- What bounds a ticket and what is owed of it: how often its sealed file was fetched, and until when it must be destroyed since the
-- province called it back.

ALTER TABLE gateway.ticket
    ADD COLUMN fetches               integer NOT NULL DEFAULT 0,
    ADD COLUMN recalled_organisation text,
    ADD COLUMN recalled_person       text,
    ADD COLUMN recall_due_us         bigint,
    ADD CONSTRAINT ticket_fetches_natural CHECK (fetches >= 0),
    ADD CONSTRAINT ticket_recall_whole
        CHECK (num_nulls(recalled_organisation, recalled_person, recall_due_us) IN (0, 3));

GRANT UPDATE (fetches, recalled_organisation, recalled_person, recall_due_us) ON gateway.ticket TO gateway_disclosure;
