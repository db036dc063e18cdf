"""What the log proves of an activation: proposed when, signed when, by whom, in which role.

Whoever owns the database writes rows, and times into them. A leaf's place is proven by the tree
that the signer signs, and its time is the door's; what no leaf tells did not happen.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway import log
from gateway.audit import log as log_rows
from gateway.audit.log import LogError
from gateway.clock import US_PER_S
from gateway.config.strict import SettingsError
from gateway.policy.bundle import BundleError
from gateway.policy.signing import Row, officer
from gateway.policy.trust import Trust
from gateway.store.database import Transaction
from gateway.tlog import leaf

PROPOSE, SIGN = "policies.propose", "policies.approve"
ACTIVE, SIGNED = "active", "signed"
# As Cedar and the access options of the contract name who signs.
_ROLE = "security_officer"
_LEAVES = "SELECT idx, leaf FROM gateway.policy_leaves(%s)"
_LOG = log.get("policy")


@dataclass(frozen=True, slots=True)
class Wait:
    """From when on a second signature counts, and how long after the first, as was proposed."""

    opens_us: int
    apart_s: int


@dataclass(frozen=True, slots=True)
class Proven:
    """A signature whose leaf is in the tree: a person's, at that leaf and its time."""

    row: Row
    leaf: int
    time_us: int
    active: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A leaf of policies: its place, and of what it tells what is judged."""

    index: int
    time_us: int
    kind: str
    number: int
    sha256: str
    state: str
    roles: frozenset[str]
    subject: str
    certificate: str
    wait: Wait


@dataclass(frozen=True, slots=True)
class Evidence:
    """The leaves of policies from some activation on, in the log's order."""

    leaves: tuple[Told, ...]

    def newest(self, after: int) -> int:
        """Return the number of the newest activation told after a leaf, 0 for none."""
        later = [one for one in self.leaves if one.index > after and one.state == ACTIVE]
        return max((one.number for one in later), default=0)

    def tells(self, number: int, sha256: str) -> bool:
        """Tell whether any leaf is of an activation of this bundle."""
        return any((one.number, one.sha256) == (number, sha256) for one in self.leaves)

    def wait(self, number: int, sha256: str, before: int | None = None) -> Wait | None:
        """Return how long a bundle waits, as it was proposed; None: nobody proposed it.

        `before` is a leaf: what was proposed after it changes nothing for it.
        """
        told = self._of(PROPOSE, number, sha256)
        found = [one.wait for one in told if before is None or one.index < before]
        if not found:
            return None
        return Wait(max(one.opens_us for one in found), max(one.apart_s for one in found))

    def signatures(
        self, number: int, sha256: str, rows: Sequence[Row], signed: bytes, trust: Trust
    ) -> list[Proven]:
        """Return the signatures that row, leaf, certificate and key agree on, in the log's order.

        Several of a person where several leaves tell of one: `firsts`. Raises BundleError where the
        authorities' files are not as they must be.
        """
        proposed = [one.index for one in self._of(PROPOSE, number, sha256)]
        by_digest = {one.paper.sha256.hex(): one for one in rows}
        found: list[Proven] = []
        for told in self._of(SIGN, number, sha256) if proposed else ():
            row = by_digest.get(told.certificate)
            if row is None or told.index < proposed[0] or _ROLE not in told.roles:
                continue
            try:
                whose = officer(row, signed, trust, told.time_us, told.index)
            except (OSError, SettingsError, ValueError) as error:
                raise BundleError(str(error)) from error
            if whose is not None and str(whose) == told.subject:
                found.append(Proven(row, told.index, told.time_us, told.state == ACTIVE))
        return found

    def _of(self, kind: str, number: int, sha256: str) -> list[Told]:
        about = (kind, number, sha256)
        return [one for one in self.leaves if (one.kind, one.number, one.sha256) == about]


async def read(tx: Transaction, since: int) -> Evidence:
    """Return what the log tells of policies from an activation on.

    What no door of ours tells is passed over: administration's role could append it, and nobody
    takes it off again. Raises BundleError where a leaf is not in the tree.
    """
    found = {row[0]: bytes(row[1]) for row in await tx.fetch(_LEAVES, (since,))}
    try:
        await log_rows.require_included(tx, found)
    except LogError as error:
        raise BundleError(f"the log's leaves of policies are not whole: {error}") from error
    told = [_told(index, content) for index, content in found.items()]
    return Evidence(tuple(one for one in told if one is not None))


def _told(index: int, content: bytes) -> Told | None:
    """Return what a leaf tells, None for one that is not of our form."""
    try:
        return _of_ours(index, content)
    except (leaf.LeafError, KeyError, TypeError, ValueError):
        _say_strange(index)
        return None


@lru_cache(maxsize=1024)
def _say_strange(index: int) -> None:
    """Say it once in a process: the supervisor reads every few seconds."""
    _LOG.error("policies.leaf", leaf=index, meaning="told by no door of ours; passed over")


def _of_ours(index: int, content: bytes) -> Told:
    one: Mapping[str, Any] = leaf.parse(content)
    detail: Mapping[str, Any] = one["detail"]
    number, sha256 = int(detail["activation"]), str(detail["target_bundle"])
    place = (index, int(one["time_us"]), str(one["kind"]), number, sha256)
    if one["kind"] == PROPOSE:
        wait = Wait(int(detail["valid_from_us"]), int(detail["apart_s"]))
        return Told(*place, "", frozenset(), "", "", wait)
    who = (str(one["subject"]), str(one["certificate"]))
    roles = frozenset(str(detail["roles"]).split("."))
    return Told(*place, str(detail["state"]), roles, *who, Wait(0, 0))


def firsts(found: Sequence[Proven]) -> list[Proven]:
    """Return each person's earliest signature."""
    by_person: dict[str, Proven] = {}
    for one in found:
        by_person.setdefault(one.row.person, one)
    return list(by_person.values())


def activating(
    found: Sequence[Proven], wait_at: Callable[[int], Wait | None], needed: int
) -> Proven | None:
    """Return the signature that put a bundle in force, None where none did: too few, too soon.

    `wait_at` is how long it waits, as far as was told before a leaf. A person's later leaf may be
    the one: another that was told in his name before unseats nothing.
    """
    for one in found:
        wait = wait_at(one.leaf)
        if wait is None:
            continue
        others = [
            other
            for other in firsts(found)
            if other.leaf < one.leaf and other.row.person != one.row.person
        ]
        apart_us = wait.apart_s * US_PER_S
        late = all(one.time_us >= other.time_us + apart_us for other in others)
        if one.active and len(others) + 1 >= needed and late and one.time_us >= wait.opens_us:
            return one
    return None


def proposed(number: int, sha256: str, wait: Wait) -> dict[str, str | int]:
    """Return what the leaf of a proposal tells."""
    told: dict[str, str | int] = {"activation": number, "target_bundle": sha256}
    return {**told, "valid_from_us": wait.opens_us, "apart_s": wait.apart_s}


def signature(number: int, roles: Collection[str], *, active: bool) -> dict[str, str | int]:
    """Return what the leaf of a signature tells beside the bundle."""
    state = ACTIVE if active else SIGNED
    return {"activation": number, "roles": ".".join(sorted(roles)), "state": state}
