"""What is no longer in force, kept in a file beside the database: a restored one is told it again.

A backup knows nothing of what was revoked, superseded or locked after it was made, and the log that
told of it is restored with it. `HOME/authority/ended.json` holds the epoch `revocation` and all
that is not in force of whatever could still be renewed; the keeper of the lists writes it each time
the epoch moves. Where the database's epoch is smaller, nothing is started until `replay` ran.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.clock import US_PER_S
from gateway.config.folders import replace_private
from gateway.config.home import Home
from gateway.config.policies import RenewalRules
from gateway.config.strict import SettingsError
from gateway.pki.defect import REVOKED, SUPERSEDED
from gateway.store.database import Transaction

_DAY_US = 86_400 * US_PER_S
_CERTIFICATES = (
    "SELECT serial, state, revoked_us, reason FROM gateway.certificate"
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


@dataclass(frozen=True, slots=True)
class Ended:
    """An epoch, and what was not in force then: times in microseconds, serials in lower hex.

    `certificates`: serial to state (2 revoked, 3 superseded), when, and why; `locked`: the serial
    of a superseded certificate to when its lineage was locked.
    """

    epoch: int = 0
    certificates: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    locked: Mapping[str, int] = field(default_factory=dict)


def load(home: Home) -> Ended:
    """Return what is kept; nothing where there is no file yet. Raises SettingsError, OSError."""
    path = _path(home)
    try:
        kept = json.loads(path.read_bytes())
        ends = {serial: _one(row) for serial, row in kept["certificates"].items()}
        return Ended(int(kept["epoch"]), ends, {k: int(us) for k, us in kept["locked"].items()})
    except FileNotFoundError:
        return Ended()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path}: not what the gateway wrote there") from error


async def read(tx: Transaction, epoch: int, rules: RenewalRules, now_us: int) -> Ended:
    """Return what the register knows at this epoch, of all that could still be renewed."""
    since_us = now_us - round(rules.after_expiry_days * _DAY_US)
    found = await tx.fetch(_CERTIFICATES, (since_us,))
    ends = {serial: (state, at_us, reason or "") for serial, state, at_us, reason in found}
    return Ended(epoch, ends, dict(await tx.fetch(_LOCKED)))


def save(home: Home, ended: Ended) -> None:
    """Put it in place of the one before, at once."""
    replace_private(_path(home), json.dumps(asdict(ended)).encode())


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


def _path(home: Home) -> Path:
    return home.authority / "ended.json"
