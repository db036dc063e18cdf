"""Renewal: the certificate that follows another in its lineage, for a new key (decision 0009).

Whoever holds the key of a certificate may renew it while it is valid and for some days after. The
present one stays in force until the next is first used; two requests at once are answered one after
the other, so that a lineage has one unused successor at most, and only so many certificates a day.
"""

from gateway.clock import US_PER_S
from gateway.config.policies import RenewalRules
from gateway.errors import Reason, refuse
from gateway.pki import keys, register, renewal
from gateway.pki.defect import Life
from gateway.pki.issuer import Issuer
from gateway.pki.register import Issued, Line, Row
from gateway.store.database import Transaction

# The identity role may not lock a lineage's row, which it cannot change.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_WAITING = (
    "SELECT serial, spki_sha256, not_after_us FROM gateway.certificate WHERE lineage = %s"
    " AND generation > %s AND state = 1 AND first_used_us IS NULL ORDER BY generation DESC LIMIT 1"
)
_SUPERSEDE = "SELECT gateway.certificate_supersede_unused(%s, %s, %s)"
_LATELY = (
    "SELECT not_before_us FROM gateway.certificate WHERE lineage = %s"
    " ORDER BY generation DESC OFFSET %s LIMIT 1"
)
_DAY_US = 86_400 * US_PER_S
_TIMELY = (Reason.CERT_EXPIRED, Reason.CERT_NOT_YET_VALID)
_LAST = "SELECT max(generation) FROM gateway.certificate WHERE lineage = %s"


async def succeed(
    issuer: Issuer, tx: Transaction, presented: str, subject: str, request: bytes
) -> Issued:
    """Return the certificate that follows the one of this serial (lower hex), for a request's key.

    `subject` is the SPIFFE id that the certificate itself names: a row changed by hand makes nobody
    somebody else.

    The same key again gets the same certificate; another key takes the place of one that nobody has
    used. Raises CERT_UNKNOWN, LINEAGE_LOCKED, CERT_REVOKED, CERT_SUPERSEDED, RENEWAL_CLOSED,
    FIELD_INVALID, ORGANISATION_SUSPENDED, SYSTEM_SUSPENDED, RATE_LIMITED.
    """
    await register.issuing(tx)
    row = await _locked(tx, presented)
    _require_named(subject, issuer, row)
    now_us = issuer.clock.now_us()
    _require_open(row.life, issuer.rules.renewal, now_us)
    issuer.require_ours(row.issuer_sha256)
    await register.require_active(tx, row.bearer)
    key = issuer.key_of(request, row.purpose)
    spki = keys.spki_sha256(key)
    waiting = await tx.fetch_one(_WAITING, (row.lineage, row.generation))
    if waiting is not None:
        serial, known, ends_us = waiting
        if known == spki and now_us < ends_us:
            return await register.issued(tx, serial)
    await register.require_new_key(tx, spki, Line(row.lineage, row.generation))
    await _require_pause(tx, row.lineage, issuer.rules.renewal, now_us)
    if waiting is not None:
        await tx.execute(_SUPERSEDE, (row.lineage, row.generation, now_us))
    [(last,)] = await tx.fetch(_LAST, (row.lineage,))
    made = issuer.issue(row.bearer, key, row.purpose)
    return await register.insert(
        tx,
        made.certificate,
        issuer.subject(row.bearer),
        made.issuer_sha256,
        line=Line(row.lineage, last + 1),
        purpose=row.purpose,
    )


def _require_named(subject: str, issuer: Issuer, row: Row) -> None:
    """Pass a row that names the bearer whom its certificate names; raises CERT_UNKNOWN."""
    if str(issuer.subject(row.bearer)) != subject:
        raise refuse(Reason.CERT_UNKNOWN)


def _require_open(life: Life, rules: RenewalRules, now_us: int) -> None:
    defect = life.defect(now_us)
    if defect is None or renewal.open_to(life, defect, rules, now_us):
        return
    raise refuse(Reason.RENEWAL_CLOSED if defect in _TIMELY else defect)


async def _require_pause(tx: Transaction, lineage: bytes, rules: RenewalRules, now_us: int) -> None:
    """Pass a lineage that had fewer certificates within a day than the policy's most."""
    last = await tx.fetch_one(_LATELY, (lineage, rules.most_per_day - 1))
    left_us = 0 if last is None else last[0] + _DAY_US - now_us
    if left_us > 0:
        raise refuse(Reason.RATE_LIMITED, retry_after_s=left_us / US_PER_S)


async def _locked(tx: Transaction, serial: str) -> Row:
    """Return the row as it is once no other request for its lineage is under way."""
    row = await register.read(tx, serial)
    if row is not None:
        await tx.execute(_LOCK, (row.lineage.hex(),))
        row = await register.read(tx, serial)
    if row is None:
        raise refuse(Reason.CERT_UNKNOWN)
    return row
