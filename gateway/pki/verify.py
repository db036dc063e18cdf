"""Judges a client certificate: two verifiers, revocation lists, closed profile, trust domain.

The order of the checks, the same here, in the front and in the tests; the first that fails decides:

    1 the bytes are one certificate           CERT_PROFILE
    2 OpenSSL: path, the anchor's time        CERT_UNTRUSTED, CERT_PROFILE
      the anchor's revocation list            CRL_STALE
      revoked, expired, not valid yet         its defect
    3 the closed profile (`lint`)             CERT_PROFILE
    4 cryptography: path                      CERT_UNTRUSTED
    5 the trust domain                        CERT_UNTRUSTED

A leaf whose time is not now is judged at a moment of its own life. What has a defect comes out with
it: its bearer may learn what is wrong, and nothing else. Whatever else is wrong is a refusal.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from gateway.clock import Clock, from_datetime, to_datetime
from gateway.errors import Reason, refuse
from gateway.names import Subject
from gateway.pki import defect, der, keys, lint, paths, profile
from gateway.pki.paths import Lists, OpenSslPath, PathError, RustPath, Trust

_REASONS = {
    paths.NOT_YET_VALID: Reason.CERT_NOT_YET_VALID,
    paths.EXPIRED: Reason.CERT_EXPIRED,
    paths.REVOKED: Reason.CERT_REVOKED,
    # A list that is missing, not yet or no longer valid, or not the authority's: nobody can be let
    # in by it.
    paths.CRL_MISSING: Reason.CRL_STALE,
    paths.CRL_SIGNATURE: Reason.CRL_STALE,
    paths.CRL_NOT_YET_VALID: Reason.CRL_STALE,
    paths.CRL_EXPIRED: Reason.CRL_STALE,
    # Purpose, unhandled critical extension, key or digest too weak, and the strict rules of RFC
    # 5280.
    26: Reason.CERT_PROFILE,
    34: Reason.CERT_PROFILE,
    41: Reason.CERT_PROFILE,
    66: Reason.CERT_PROFILE,
    68: Reason.CERT_PROFILE,
    **dict.fromkeys(range(76, 97), Reason.CERT_PROFILE),
}
# What may be wrong with a leaf, and with it alone, that is let in to be told so.
SOFT = frozenset({paths.NOT_YET_VALID, paths.EXPIRED, paths.REVOKED})
# Inside a validity, whichever side of its end a verifier counts the last moment to.
_SECOND = timedelta(seconds=1)
# Verdicts remembered by one verifier, the oldest forgotten first: more systems no province has.
GOOD_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Verified:
    """A client certificate that every check let through, but for its `defect`, None for a good one.

    Digests are SHA-256 (`issuer_sha256`: of the authority's key, b"" where no path was judged), the
    serial is lower hex.
    """

    subject: Subject
    serial: str
    sha256: bytes
    spki_sha256: bytes
    not_after_us: int
    defect: Reason | None = None
    issuer_sha256: bytes = b""


@dataclass(frozen=True, slots=True)
class _Good:
    """A verdict without defect, and the times between which it can have no other."""

    verified: Verified
    leaf: Certificate
    anchor: Certificate
    since: datetime
    until: datetime


class Verifier:
    """Judges against anchors, the client authorities, and a revocation list of each.

    A new list needs a new verifier.
    """

    def __init__(self, trust: Trust, trust_domain: str, clock: Clock) -> None:
        """Load anchors and lists.

        Raises SettingsError when a profile of certs/ is not as it must be.
        """
        self._openssl = OpenSslPath(replace(trust, crls=(), lists="none"))
        self._rust = RustPath(trust)
        self._lists = Lists(trust)
        self._issuers = {one: keys.spki_sha256(one.public_key()) for one in trust.anchors}
        ours, external = profile.load("client"), profile.load("external-client")
        self._profiles = {one: external if one in trust.external else ours for one in trust.anchors}
        self._trust_domain = trust_domain
        self._clock = clock
        self._good: dict[bytes, _Good] = {}

    def judge(self, chain_der: Sequence[bytes]) -> Verified:
        """Return what the first certificate of a chain (DER) proves; the rest is not looked at.

        Raises the refusal of the first check that fails; its metadata holds the rule and OpenSSL's
        error number.
        """
        if not chain_der:
            raise refuse(Reason.CERT_MISSING)
        try:
            return self._again(chain_der[0]) or self._judge(chain_der[0])
        except PathError as error:
            raise refuse(reason_of(error.number, error.depth), metadata=told(error)) from None

    def _again(self, encoded: bytes) -> Verified | None:
        """Return the verdict on a leaf that was found good before, None to judge it anew.

        While its life and its anchor's last, only the list's age can change any step's answer.
        """
        good, now = self._good.get(encoded), to_datetime(self._clock.now_us())
        if good is None or not good.since <= now < good.until:
            return None
        return None if self._lists.names(good.leaf, good.anchor, now) else good.verified

    def _judge(self, encoded: bytes) -> Verified:
        try:
            leaf = der.certificate(encoded)  # 1
        except der.MalformedError:
            raise refuse(Reason.CERT_PROFILE, metadata={"rule": "encoding"}) from None
        anchor, at, wrong = self._path(leaf)  # 2
        found = lint.faults(leaf, self._profiles[anchor])  # 3
        if found:
            raise refuse(Reason.CERT_PROFILE, metadata={"rule": found[0].rule})
        self._rust.check(leaf, (), at)  # 4
        subject = lint.subject_of(leaf)
        if subject.trust_domain != self._trust_domain:  # 5
            raise refuse(Reason.CERT_UNTRUSTED, metadata={"rule": "trust-domain"})
        value = replace(verified(leaf, subject), defect=wrong, issuer_sha256=self._issuers[anchor])
        if wrong is None:
            self._good[encoded] = _Good(
                value,
                leaf,
                anchor,
                max(leaf.not_valid_before_utc, anchor.not_valid_before_utc),
                min(leaf.not_valid_after_utc, anchor.not_valid_after_utc),
            )
            if len(self._good) > GOOD_MAX:
                del self._good[next(iter(self._good))]
        return value

    def _path(self, leaf: Certificate) -> tuple[Certificate, datetime, Reason | None]:
        """Return the leaf's anchor, the moment to judge the rest at, and the defect.

        The moment is now, or the one of the leaf's life that is nearest. Raises PathError.
        """
        now_us = self._clock.now_us()
        now, begin, end = to_datetime(now_us), leaf.not_valid_before_utc, leaf.not_valid_after_utc
        at = max(begin, min(now, end - _SECOND))
        anchor = self._openssl.path(leaf, (), at)[-1]
        if not anchor.not_valid_before_utc <= now < anchor.not_valid_after_utc:
            raise PathError(paths.OPENSSL, paths.EXPIRED, 1, "the anchor is not valid now")
        revoked = Reason.CERT_REVOKED if self._lists.names(leaf, anchor, now) else None
        timely = defect.timely(from_datetime(begin), from_datetime(end), now_us)
        return anchor, at, defect.worst(revoked, timely)


def is_soft(number: int, depth: int) -> bool:
    """Return whether this error of OpenSSL is one that the leaf's bearer is let in to be told."""
    return depth == 0 and number in SOFT


def verified(leaf: Certificate, subject: Subject) -> Verified:
    """Return the value of a certificate that has been judged; judges nothing itself."""
    encoded = leaf.public_bytes(Encoding.DER)
    return Verified(
        subject,
        serial_text(leaf.serial_number),
        hashlib.sha256(encoded).digest(),
        keys.spki_sha256(leaf.public_key()),
        from_datetime(leaf.not_valid_after_utc),
    )


def serial_text(serial: int) -> str:
    """Return a serial number as it stands in the register and in leaves.

    Lower hex without leading zeros.
    """
    return f"{serial:x}"


def reason_of(number: int, depth: int) -> Reason:
    """Return the reason for an error number of OpenSSL's verifier at this depth of the path.

    What is wrong above the leaf makes the leaf untrusted; what has no reason of its own, too.
    """
    reason = _REASONS.get(number, Reason.CERT_UNTRUSTED)
    return Reason.CERT_UNTRUSTED if depth and reason is not Reason.CRL_STALE else reason


def told(error: PathError) -> dict[str, str]:
    """Return what a leaf may say of a path that was refused: numbers and the verifier's name."""
    return {"rule": error.verifier, "errno": str(error.number), "depth": str(error.depth)}
