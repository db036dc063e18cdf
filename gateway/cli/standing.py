"""How certificates, lists and invitations of a HOME stand: what `status` and `metrics` tell of.

Read with the database role of the owner, on the gateway's own host; no leaf: nothing individual.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from gateway.clock import US_PER_S, from_datetime
from gateway.config.home import Home
from gateway.config.policies import CertificateRules
from gateway.pki import authorities, ceremony, crl, der, register, renewal
from gateway.pki.register import Bearer, Purpose, Row
from gateway.store.database import Transaction

HOUR_US = 3_600 * US_PER_S
DAY_US = 24 * HOUR_US
# A certificate that ended unrenewed is told for so long; after that nobody misses it.
MISSED_US = 30 * DAY_US
PURPOSES = {register.TLS: "tls", register.ENCRYPTION: "encryption"}
_OPEN_INVITATIONS = (
    "SELECT count(*) FROM gateway.invitation WHERE state IN (1, 2, 3) AND expires_us > %s"
)


@dataclass(frozen=True, slots=True)
class Held:
    """What a bearer holds for one purpose: the last of its certificates that was not taken back.

    `warning_days` is the step of the expiry ladder that is reached, 0 while none is.
    """

    bearer: Bearer
    purpose: Purpose
    not_after_us: int
    warning_days: int


@dataclass(frozen=True, slots=True)
class Registered:
    """What the register says."""

    held: tuple[Held, ...]
    locked: tuple[Bearer, ...]
    invitations_open: int


@dataclass(frozen=True, slots=True)
class ListAge:
    """The oldest list in HOME/public: when it was made, until when it is valid, and its state.

    `state` is "good", "late" (older than the policy's alarm) or "stale" (nobody is let in).
    """

    made_us: int
    until_us: int
    state: str


async def registered(tx: Transaction, rules: CertificateRules, now_us: int) -> Registered:
    """Return what the register says now."""
    rows = await register.rows(tx)
    row = await tx.fetch_one(_OPEN_INVITATIONS, (now_us,))
    in_place = [one for one in rows if one.state == register.ACTIVE]
    held = tuple(_held(in_place, rules, now_us))
    locked = dict.fromkeys(
        one.bearer for one in in_place if one.locked_us is not None and one.not_after_us > now_us
    )
    return Registered(held, tuple(locked), row[0] if row else 0)


def _held(rows: Iterable[Row], rules: CertificateRules, now_us: int) -> Iterable[Held]:
    for row in register.last_of_each(rows):
        if row.not_after_us + MISSED_US > now_us:
            bounds = (row.not_before_us, row.not_after_us)
            step = renewal.warning_days(*bounds, now_us, rules.warnings)
            yield Held(row.bearer, row.purpose, row.not_after_us, step)


def list_age(home: Home, rules: CertificateRules, now_us: int) -> ListAge:
    """Return the age of the oldest list; raises MalformedError, OSError."""
    lists = der.revocation_lists(home.crl.read_bytes())
    made_us = min(from_datetime(one.last_update_utc + crl.BACKDATE) for one in lists)
    ends = [one.next_update_utc for one in lists]
    until_us = min(0 if end is None else from_datetime(end) for end in ends)
    late = now_us - made_us >= rules.revocation_list.alarm_hours * HOUR_US
    state = "stale" if now_us >= until_us else "late" if late else "good"
    return ListAge(made_us, until_us, state)


def ends(home: Home) -> dict[str, int]:
    """Return when the gateway's own certificates end, by name: roots, authorities, server."""
    found = {"server": ceremony.server_files(home)[1]}
    told = {name: _end(x509.load_pem_x509_certificate(p.read_bytes())) for name, p in found.items()}
    told |= _numbered("root", authorities.roots(home))
    bundle = der.certificates(home.client_authority_certificate.read_bytes())
    return told | _numbered("client-authority", bundle)


def _numbered(name: str, certificates: Sequence[x509.Certificate]) -> dict[str, int]:
    """Name the first as it is, those that follow it with a number."""
    names = [name, *(f"{name}-{number}" for number in range(2, len(certificates) + 1))]
    return dict(zip(names, map(_end, certificates), strict=True))


def _end(certificate: x509.Certificate) -> int:
    return from_datetime(certificate.not_valid_after_utc)
