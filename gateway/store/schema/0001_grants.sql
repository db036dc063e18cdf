-- What each role may do, and nothing else. Passwords hashes, bodies and leaves are guarded here, not only in Python:
-- only identity reads a password hash, no door's role reads a body yet, nobody changes a leaf or the head but audit_append.

ALTER DEFAULT PRIVILEGES FOR ROLE gateway_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA gateway FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA gateway FROM PUBLIC;
GRANT USAGE ON SCHEMA gateway
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;

-- Everyone appends to the log and proves inclusion in it.
GRANT EXECUTE ON FUNCTION gateway.audit_append(bytea[], bigint)
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;
GRANT SELECT (idx, leaf_hash) ON gateway.audit_entry
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_front;
GRANT SELECT ON gateway.audit_tile, gateway.audit_head
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;
-- A batch that is sent again gets its own leaf again.
GRANT SELECT (leaf, time_us, kind, decision, organisation, request_id) ON gateway.audit_entry TO gateway_intake;
-- Auditors search through this door.
GRANT SELECT ON gateway.audit_entry TO gateway_administration;

-- Everyone judges by the register, the sessions and the state of an account; not by its password hash or history.
GRANT SELECT ON gateway.epoch, gateway.organisation, gateway.system, gateway.unit, gateway.relation,
                gateway.certificate, gateway.session
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;
GRANT SELECT (organisation, name, roles, subject_kind, subject_name, state, password_set_us, password_expires_us,
              must_change, password_epoch, role_epoch, created_us)
    ON gateway.account TO gateway_intake, gateway_disclosure, gateway_administration;

-- identity: passwords, sessions, throttles; renews certificates.
GRANT SELECT ON gateway.account TO gateway_identity;
GRANT UPDATE (password_hash, password_set_us, password_expires_us, must_change, password_epoch, history)
    ON gateway.account TO gateway_identity;
GRANT INSERT, UPDATE (last_seen_us, expires_us, ended_us) ON gateway.session TO gateway_identity;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.throttle TO gateway_identity;
GRANT INSERT ON gateway.certificate TO gateway_identity;

-- A door says that a session was in use.
GRANT UPDATE (last_seen_us) ON gateway.session TO gateway_intake, gateway_disclosure, gateway_administration;

-- intake: writes what comes in; reads back key columns, never a body.
GRANT INSERT, SELECT ON gateway.batch, gateway.held, gateway.child, gateway.child_identity,
                        gateway.retired_child, gateway.dose, gateway.document, gateway.batch_sequence
    TO gateway_intake;
GRANT UPDATE ON gateway.batch_sequence, gateway.child, gateway.child_identity, gateway.dose, gateway.document
    TO gateway_intake;
GRANT UPDATE (state, findings, deadline_us, settled_us) ON gateway.held TO gateway_intake;
GRANT INSERT ON gateway.item, gateway.content_key, gateway.earlier_revision TO gateway_intake;
-- For ON CONFLICT (key_id) DO NOTHING.
GRANT SELECT (key_id) ON gateway.content_key TO gateway_intake;

-- administration: the register, accounts (sets a password hash, reads none), revocation; no individual's data.
GRANT INSERT, UPDATE (name, kind, parent, state) ON gateway.organisation TO gateway_administration;
GRANT INSERT, UPDATE (state) ON gateway.system TO gateway_administration;
GRANT INSERT, UPDATE (organisation, parent, division, level, name, credit_code, active_from, active_until)
    ON gateway.unit TO gateway_administration;
GRANT INSERT, DELETE ON gateway.relation TO gateway_administration;
GRANT INSERT, UPDATE (roles, subject_kind, subject_name, state, password_hash, password_set_us, password_expires_us,
                      must_change, password_epoch, role_epoch)
    ON gateway.account TO gateway_administration;
GRANT UPDATE (ended_us) ON gateway.session TO gateway_administration;
GRANT SELECT, UPDATE (failures, blocked_until_us) ON gateway.throttle TO gateway_administration;
GRANT UPDATE (state, revoked_us, reason) ON gateway.certificate TO gateway_administration;
