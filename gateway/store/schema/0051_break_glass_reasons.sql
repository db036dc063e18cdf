-- Why an envelope was opened stands beside the leaf, sealed, as every other reason (decision 0026), and in no row any more.
--
-- Rows of before keep theirs: their leaves name no part that it could be moved to.

ALTER TABLE gateway.break_glass_opening ALTER COLUMN reason DROP NOT NULL;
-- Every column but the reason.
REVOKE INSERT ON gateway.break_glass_opening FROM gateway_identity;
GRANT INSERT (id, sealing, envelope, name, account, certificate_sha256, ticket, drill, asked_us)
    ON gateway.break_glass_opening TO gateway_identity;
GRANT INSERT ON gateway.audit_sealed TO gateway_identity;
