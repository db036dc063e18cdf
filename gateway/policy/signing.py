"""Whose signature stands under a bundle: an officer's of the province, certified by an authority.

What the register's rows say of a certificate counts only against it: which organisation is the
province, HOME says; whom a certificate names, the certificate; when it signed, its leaf.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from gateway.clock import US_PER_S, from_datetime
from gateway.names import Subject
from gateway.pki import issue, lint
from gateway.pki.defect import REVOKED
from gateway.pki.verify import serial_text
from gateway.policy.trust import Trust
from gateway.store.database import Transaction
from gateway.tlog import ecdsa

# A revocation says when it began, and may have waited for the log's head while a door signed.
_UNDER_WAY_US = 60 * US_PER_S
_OF = "c.certificate_sha256, c.pem, c.state, c.revoked_us"
_ROWS = (
    f"SELECT s.person, s.account, s.signature, s.signed_us, {_OF}"  # noqa: S608  our own columns
    " FROM gateway.policy_signature AS s"
    " JOIN gateway.certificate AS c ON c.certificate_sha256 = s.certificate_sha256"
    " WHERE s.number = %s AND s.sha256 = %s ORDER BY s.signed_us, s.person"
)
_ROW = f"SELECT {_OF} FROM gateway.certificate AS c WHERE c.certificate_sha256 = %s"  # noqa: S608
_REVOKED = "SELECT gateway.revocation_leaf(%s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Paper:
    """A certificate as the register has it, and where its revocation stands on the log."""

    sha256: bytes
    pem: str
    state: int
    revoked_us: int | None
    revoked_leaf: int | None

    def good(self, at_us: int, leaf: int | None) -> bool:
        """Tell whether it was not revoked yet at a moment, before a leaf (None: now)."""
        if self.revoked_leaf is not None and (leaf is None or self.revoked_leaf < leaf):
            return False
        since_us = self.revoked_us if self.state == REVOKED else None
        return since_us is None or at_us < since_us + (0 if leaf is None else _UNDER_WAY_US)

    def never_revoked(self) -> "Paper":
        """Return it as it was before anybody revoked it."""
        return replace(self, state=0, revoked_us=None, revoked_leaf=None)


@dataclass(frozen=True, slots=True)
class Row:
    """A signature as the store has it; `signed_us` is what its writer said."""

    person: str
    account: str
    signature: bytes
    signed_us: int
    paper: Paper


async def rows(tx: Transaction, trust: Trust, number: int, sha256: str) -> list[Row]:
    """Return what the store holds under a bundle, whoever wrote it; raises as `paper`.

    Not what has no certificate: it signs nothing, and unseats nothing either.
    """
    found = await tx.fetch(_ROWS, (number, bytes.fromhex(sha256)))
    both = [(one, await _paper(tx, trust, one[4:])) for one in found]
    return [Row(one[0], one[1], bytes(one[2]), one[3], its) for one, its in both if its is not None]


async def paper(tx: Transaction, trust: Trust, sha256: bytes) -> Paper | None:
    """Return a registered certificate, or None; raises SettingsError, OSError as `Issuers`."""
    row = await tx.fetch_one(_ROW, (sha256,))
    return None if row is None else await _paper(tx, trust, row)


def officer(
    one: Row, signed: bytes, trust: Trust, at_us: int, leaf: int | None = None
) -> Subject | None:
    """Return the province's officer who signed these bytes at a moment, None where nobody did.

    `leaf` is where that stands on the log; None: it is not there yet. Raises SettingsError, OSError
    as `Issuers`.
    """
    certificate = load_pem_x509_certificate(one.paper.pem.encode())
    if certificate.fingerprint(SHA256()) != one.paper.sha256 or not one.paper.good(at_us, leaf):
        return None
    whose = trust.issuers.subject(certificate, "client", at_us, leaf)
    if whose is None or (whose.organisation, whose.kind) != (trust.province, "officer"):
        return None
    genuine = whose.name == one.person and ecdsa.verifies(
        certificate.public_key(), signed, one.signature
    )
    return whose if genuine else None


async def _paper(tx: Transaction, trust: Trust, columns: Sequence[Any]) -> Paper | None:
    """Return the certificate of a row, None of what is none; Any: as its columns are.

    Whose it is and when it was issued, the certificate says: a leaf revokes what was issued before.
    """
    sha256, pem, state, revoked_us = columns
    try:
        certificate = load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None
    bearer: tuple[str, str, str] = ("", "", "")
    with suppress(ValueError):  # names nobody
        whose = lint.subject_of(certificate)
        bearer = (whose.organisation, whose.kind, whose.name)
    issued_us = from_datetime(certificate.not_valid_before_utc + issue.BACKDATE)
    told = (serial_text(certificate.serial_number), *bearer, trust.issuers.key_of(certificate))
    row = await tx.fetch_one(_REVOKED, (*told, issued_us))
    return Paper(bytes(sha256), pem, state, revoked_us, None if row is None else row[0])
