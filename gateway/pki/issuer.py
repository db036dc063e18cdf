"""What the identity process issues with: the authority in force, the profiles, the policy's rules.

It reads the authorities' files again when they change: a roll-over needs no restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import Certificate

from gateway.clock import Clock
from gateway.config.home import Home
from gateway.config.policies import CertificateRules
from gateway.errors import Reason, Violation, refuse
from gateway.names import Subject
from gateway.pki import authorities, csr, der, issue, keys, profile, register, renewal
from gateway.pki.profile import Kind
from gateway.pki.proof import Proofs
from gateway.pki.register import Bearer, Purpose

KINDS: Mapping[Purpose, Kind] = {register.TLS: "client", register.ENCRYPTION: "encryption"}


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate just issued, and the digest of its authority's key."""

    certificate: Certificate
    issuer_sha256: bytes


class Issuer:
    """Issues client and encryption certificates; one per process."""

    def __init__(
        self, home: Home, rules: CertificateRules, trust_domain: str, clock: Clock
    ) -> None:
        """Read profiles and keys; raises SettingsError when one is not as it must be."""
        self._home = home
        self.proofs = Proofs.load(home, "identity")
        self._authorities = authorities.Current(home, clock)
        self._profiles = {purpose: profile.load(kind) for purpose, kind in KINDS.items()}
        self._trust_domain = trust_domain
        self.rules = rules
        self.clock = clock

    def key_of(self, request: bytes, purpose: Purpose) -> CertificatePublicKeyTypes:
        """Return the public key of a certificate request (PKCS #10).

        Raises FIELD_INVALID with the rule that it breaks; a key of this gateway's own is refused.
        """
        key = csr.public_key(request, self._profiles[purpose])
        if keys.spki_sha256(key) in self._own_keys():
            english, chinese = "This is a key of the gateway's own.", "这是网关自身的密钥。"
            violation = Violation("csr", "csr-key-own", english, chinese)
            raise refuse(Reason.FIELD_INVALID, violations=(violation,))
        return key

    def issue(self, bearer: Bearer, key: CertificatePublicKeyTypes, purpose: Purpose) -> Made:
        """Return a certificate of a bearer: linted, signed, judged by both verifiers.

        Raises SettingsError, OSError, IssueError: then nothing is issued.
        """
        authority = self._authorities.issuing()
        now_us, kind = self.clock.now_us(), KINDS[purpose]
        made = issue.client_certificate(authority, self.subject(bearer), key, now_us, kind=kind)
        return Made(made, keys.spki_sha256(authority.certificate.public_key()))

    def require_ours(self, issuer_sha256: bytes | None) -> None:
        """Pass a certificate of one of our authorities; another's are renewed by it.

        Raises RENEWAL_CLOSED.
        """
        if self._authorities.external(issuer_sha256):
            raise refuse(Reason.RENEWAL_CLOSED)

    def subject(self, bearer: Bearer) -> Subject:
        """Return a bearer's name in certificates."""
        return Subject(self._trust_domain, bearer.organisation, bearer.kind, bearer.name)

    def window(
        self, not_before_us: int, not_after_us: int, issuer_sha256: bytes | None
    ) -> tuple[int, int]:
        """Return from when until when a certificate should be renewed, in microseconds.

        `issuer_sha256` as the register has it: None is our oldest authority.
        """
        rolled_over = self._authorities.rolled_over(issuer_sha256)
        life, now_us = (not_before_us, not_after_us), self.clock.now_us()
        return renewal.suggested(life, self.rules.renewal, now_us, rolled_over=rolled_over)

    def _own_keys(self) -> set[bytes]:
        """Return the digests of keys that no bearer may have: the authorities', the front's."""
        public = (self._home.root_certificate, self._home.server_certificate)
        files = [path.read_bytes() for path in public if path.exists()]
        found = [one for content in files for one in der.certificates(content)]
        found += [anchor.certificate for anchor in self._authorities.anchors()]
        return {keys.spki_sha256(one.public_key()) for one in found}
