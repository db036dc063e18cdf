-- Which Cedar policies are in force (decision 0018): texts, what is proposed, who signed it, what was activated. Rows only grow.
--
-- Every door reads the newest activation and verifies it: the texts against their digest, and from the second activation on the
-- signatures of two officers over number and digest. So the administration role, which writes here, can put nothing in force.

CREATE TABLE gateway.policy_bundle (
    sha256 bytea NOT NULL,
    -- The files of the folder by their relative names, cases too: what the digest covers is among them.
    files  jsonb NOT NULL,
    CONSTRAINT policy_bundle_pkey PRIMARY KEY (sha256),
    CONSTRAINT policy_bundle_digest_length CHECK (octet_length(sha256) = 32)
);

-- `number` is that of the activation it would become: what is proposed for a number that has passed is void.
CREATE TABLE gateway.policy_proposal (
    number        bigint NOT NULL,
    sha256        bytea  NOT NULL,
    proposed_us   bigint NOT NULL,
    -- What the replay of the log and the cases newly allow and deny, told in words of ours.
    newly_allowed text[] NOT NULL,
    newly_denied  text[] NOT NULL,
    replayed      bigint NOT NULL,
    not_replayed  bigint NOT NULL,
    CONSTRAINT policy_proposal_pkey PRIMARY KEY (number, sha256),
    CONSTRAINT policy_proposal_bundle_fkey FOREIGN KEY (sha256) REFERENCES gateway.policy_bundle (sha256)
);

CREATE TABLE gateway.policy_signature (
    number             bigint NOT NULL,
    sha256             bytea  NOT NULL,
    -- The subject of the certificate: the person, whatever the account.
    person             text   NOT NULL,
    account            text   NOT NULL,
    certificate_sha256 bytea  NOT NULL,
    signature          bytea  NOT NULL,
    signed_us          bigint NOT NULL,
    CONSTRAINT policy_signature_pkey PRIMARY KEY (number, sha256, person),
    CONSTRAINT policy_signature_proposal_fkey
        FOREIGN KEY (number, sha256) REFERENCES gateway.policy_proposal (number, sha256),
    CONSTRAINT policy_signature_certificate_fkey
        FOREIGN KEY (certificate_sha256) REFERENCES gateway.certificate (certificate_sha256)
);

CREATE TABLE gateway.policy_activation (
    number       bigint NOT NULL,
    sha256       bytea  NOT NULL,
    activated_us bigint NOT NULL,
    CONSTRAINT policy_activation_pkey PRIMARY KEY (number),
    CONSTRAINT policy_activation_bundle_fkey FOREIGN KEY (sha256) REFERENCES gateway.policy_bundle (sha256),
    CONSTRAINT policy_activation_number CHECK (number > 0)
);

INSERT INTO gateway.epoch (name) VALUES ('policies');
CREATE TRIGGER policy_activation_epoch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.policy_activation
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.epoch_bump('policies');

REVOKE ALL ON gateway.policy_bundle, gateway.policy_proposal, gateway.policy_signature, gateway.policy_activation FROM PUBLIC;
GRANT SELECT ON gateway.policy_bundle, gateway.policy_proposal, gateway.policy_signature, gateway.policy_activation
    TO gateway_identity, gateway_intake, gateway_disclosure, gateway_administration, gateway_front;
GRANT INSERT ON gateway.policy_bundle, gateway.policy_proposal, gateway.policy_signature, gateway.policy_activation
    TO gateway_administration;
