"""What is no longer in force, kept in a file beside the database: a restored one is told it again.

A backup knows nothing of what was revoked, superseded or locked after it was made, and the log that
told of it is restored with it. `HOME/public/ended.json` holds the epoch `revocation` and all
that is not in force of whatever could still be renewed; the keeper of the lists writes it each time
the epoch moves. Where the database's epoch is smaller, nothing is started until `replay` ran.

What was revoked stays so until it could not be renewed any more, whatever rows say since: whoever
owns the database writes rows. Lists and tickets are judged by it (`publish`, `issuers`).
"""

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from cryptography.x509 import Certificate

from gateway.clock import US_PER_S
from gateway.config.folders import replace_public
from gateway.config.home import Home
from gateway.config.policies import RenewalRules
from gateway.config.strict import SettingsError
from gateway.config.watched import Watched
from gateway.pki import crl
from gateway.pki.defect import REVOKED, SUPERSEDED
from gateway.store.database import Transaction

_DAY_US = 86_400 * US_PER_S
_SERIAL = re.compile("[0-9a-f]{1,40}")
_CERTIFICATES = (
    "SELECT serial, state, revoked_us, reason, not_after_us, encode(issuer_sha256, 'hex')"
    " FROM gateway.certificate"
    " WHERE state <> 1 AND not_after_us > %s ORDER BY serial"
)
# A locked lineage is named by one of its superseded certificates, which is what locked it.
_LOCKED = (
    "SELECT min(c.serial), l.locked_us FROM gateway.lineage AS l"
    " JOIN gateway.certificate AS c ON c.lineage = l.id AND c.state = 3"
    " WHERE l.locked_us IS NOT NULL GROUP BY l.id ORDER BY 1"
)
_END = (
    "UPDATE gateway.certificate SET state = %s, revoked_us = %s, reason = %s"
    " WHERE serial = %s AND state <> %s AND (state = 1 OR %s = 2)"
)
_LOCK = "SELECT gateway.lineage_lock(%s, %s)"
_RAISED = (
    "SELECT serial FROM gateway.certificate WHERE serial = ANY(%s) AND state <> 2 ORDER BY serial"
)


@dataclass(frozen=True, slots=True)
class Ended:
    """An epoch, and what was not in force then: times in microseconds, serials in lower hex.

    `certificates`: serial to state (2 revoked, 3 superseded), when, and why; `locked`: the serial
    of a superseded certificate to when its lineage was locked. `revoked`: the end of each revoked
    one's life, and the digest of its authority's key ("": of before issuers were noted).
    """

    epoch: int = 0
    certificates: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    locked: Mapping[str, int] = field(default_factory=dict)
    revoked: Mapping[str, tuple[int, str]] = field(default_factory=dict)


_NOTHING = Ended()


class Revoked:
    """The certificates that HOME knows to be revoked, as the file is then; one per process."""

    def __init__(self, home: Home) -> None:
        """Read nothing yet."""
        self._file = Watched(place(home))
        self._load = partial(load, home)
        self._serials: frozenset[str] = frozenset()

    def names(self, certificate: Certificate) -> bool:
        """Tell whether it is one of them; raises SettingsError, OSError.

        Without a file, what was known before.
        """
        with contextlib.suppress(FileNotFoundError):
            if self._file.changed():
                kept = self._file.read(lambda _: self._load())
                ends = kept.certificates.items()
                self._serials = frozenset(serial for serial, one in ends if one[0] == REVOKED)
        return f"{certificate.serial_number:x}" in self._serials


def load(home: Home) -> Ended:
    """Return what is kept; nothing where there is no file yet. Raises SettingsError, OSError."""
    path = place(home)
    # A HOME of before has it where the authority's key lies, until the epoch moves.
    path = path if path.exists() else home.authority / path.name
    try:
        kept = json.loads(path.read_bytes())
        ends = {serial: _one(row) for serial, row in kept["certificates"].items()}
        locked = {serial: int(at_us) for serial, at_us in kept["locked"].items()}
        # A file of before has no such word.
        known = kept.get("revoked", {}).items()
        lives = {serial: (int(end_us), str(key)) for serial, (end_us, key) in known}
        if any(ends[serial][0] != REVOKED for serial in lives):
            raise ValueError("revoked and not")
        return Ended(int(kept["epoch"]), ends, locked, lives)
    except FileNotFoundError:
        return Ended()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path}: not what the gateway wrote there") from error


async def read(
    tx: Transaction, epoch: int, rules: RenewalRules, now_us: int, kept: Ended = _NOTHING
) -> Ended:
    """Return what the register knows at this epoch, of all that could still be renewed.

    And what was `kept` as revoked, as it was kept: so nothing goes in that no list could tell.
    """
    since_us = now_us - round(rules.after_expiry_days * _DAY_US)
    found = await tx.fetch(_CERTIFICATES, (since_us,))
    ends, lives = {}, {}
    for serial, state, at_us, reason, end_us, key in found:
        ends[serial] = (state, at_us, reason or "")
        if state == REVOKED and _SERIAL.fullmatch(serial):
            why = reason if reason in crl.REASONS else "unspecified"
            ends[serial] = (state, min(max(at_us or 0, 0), now_us), why)
            lives[serial] = (end_us, key or "")
    still = {serial: life for serial, life in kept.revoked.items() if life[0] > since_us}
    ends.update((serial, kept.certificates[serial]) for serial in still)
    return Ended(epoch, ends, dict(await tx.fetch(_LOCKED)), {**lives, **still})


async def raised(tx: Transaction, ended: Ended) -> list[str]:
    """Return the serials of what was revoked, and whose row says otherwise."""
    return [row[0] for row in await tx.fetch(_RAISED, (list(ended.revoked),))]


def save(home: Home, ended: Ended) -> None:
    """Put it in place of the one before, at once. Every process may read it, as the lists."""
    replace_public(place(home), json.dumps(asdict(ended)).encode())
    (home.authority / place(home).name).unlink(missing_ok=True)


async def apply(tx: Transaction, ended: Ended) -> int:
    """Take out of force in the register what this names; return how many were.

    What is taken back already stays as it is. A lineage is locked by its superseded certificate.
    """
    count = 0
    for serial, (state, at_us, reason) in ended.certificates.items():
        row = (state, at_us, reason or "unspecified", serial, state, state)
        count += await tx.execute(_END, row)
    for serial, at_us in ended.locked.items():
        await tx.fetch(_LOCK, (serial, at_us))
    return count


def _one(row: object) -> tuple[int, int, str]:
    if not isinstance(row, list):
        raise TypeError("not a row")
    state, at_us, reason = row
    if state not in (REVOKED, SUPERSEDED):
        raise ValueError("no such state")
    return int(state), int(at_us), str(reason)


def place(home: Home) -> Path:
    """Return where it lies."""
    return home.public / "ended.json"
