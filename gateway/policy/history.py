"""The decisions that the log holds, and what `replay` rebuilds their requests from: the reading."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.policy import activation, bundle, cases, replay, rule_changes
from gateway.policy.bundle import Bundle
from gateway.policy.cases import Cases
from gateway.policy.engine import Engine
from gateway.policy.proposing import Change
from gateway.policy.replay import Difference, Named, Recorded, Register, Replay
from gateway.policy.request import Request, Resource
from gateway.policy.trust import Trust
from gateway.registry import snapshot
from gateway.store.database import Database, Row, Transaction

# Entries of the log that one query takes together.
PAGE = 20_000
# Lines of a proposal that are kept for the officers; the counts are of all.
LINES_MAX = 500
_SIZE = "SELECT size FROM gateway.audit_head WHERE id = 1"
_DECISIONS = (
    "SELECT rpc, organisation, account, strength, unit, target, allowed, policies, bundle, about,"
    " count(*) FROM (SELECT coalesce(nullif(split_part(d.leaf ->> 'rpc', '/', 3), ''),"
    " d.leaf ->> 'kind', '') AS rpc,"
    " coalesce(d.leaf ->> 'organisation', '') AS organisation,"
    " coalesce(d.leaf ->> 'account', '') AS account,"
    " coalesce(d.leaf ->> 'strength', '') AS strength, coalesce(d.leaf ->> 'unit', '') AS unit,"
    " coalesce(d.leaf -> 'detail' ->> 'target_organisation', '') AS target,"
    " coalesce(d.leaf ->> 'reason', '') <> 'POLICY_DENIED' AS allowed,"
    " ARRAY(SELECT jsonb_array_elements_text(d.leaf -> 'policies')) AS policies,"
    " d.leaf ->> 'bundle' AS bundle,"
    # Each decision on a ticket is one of its own; such a leaf is needed whole.
    " CASE WHEN d.leaf #> '{detail,facts_sha256}' IS NOT NULL THEN d.leaf END AS about"
    " FROM (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS leaf FROM gateway.audit_entry AS e"
    " WHERE e.idx >= %s AND e.idx < %s OFFSET 0) AS d WHERE d.leaf ? 'policies') AS found"
    " GROUP BY rpc, organisation, account, strength, unit, target, allowed, policies, bundle, about"
)
# Only what was in force can have decided.
_BUNDLES = (
    "SELECT b.files FROM gateway.policy_bundle AS b WHERE EXISTS"
    " (SELECT 1 FROM gateway.policy_activation AS a WHERE a.sha256 = b.sha256)"
)
_ROLES = "SELECT organisation, name, roles FROM gateway.account"
# A leaf as JSON gives it: Any are its values.
Leaf = Mapping[str, Any]
Tell = Callable[[int, int], object]
# Finds the request again that a leaf about a ticket tells of, None where it is not to be found.
Rebuild = Callable[[Leaf], Awaitable[Request | None]]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a bundle would change, and what of the log could not be asked again, by cause."""

    change: Change
    not_replayed: Mapping[str, int]


async def simulate(
    database: Database,
    trust: Trust,
    new: Engine,
    judged: Cases,
    rebuild: Rebuild,
    *,
    weak: bool,
    tell: Tell,
) -> Simulated:
    """Return what `new` decides otherwise than what is in force.

    Of the log's decisions, of the cases of the bundle in force and of `judged`, the new one's, and
    by the rules of exports. `rebuild` finds what was asked about tickets; `weak`: the settings take
    a weak origin; `tell` is told how far it is. Raises BundleError, StoreError.
    """
    async with database.transaction() as tx:
        current = await activation.in_force(tx, trust)
        old = Engine(current.bundle)
        engines = {old.bundle.sha256: old}
        for files in [row[0] for row in await tx.fetch(_BUNDLES)]:
            earlier = bundle.of_files(files)
            engines.setdefault(earlier.sha256, Engine(earlier))
        asking = Replay(engines, new, await _register(tx, weak=weak))
        row = await tx.fetch_one(_SIZE)
    size: int = row[0] if row else 0
    for start in range(0, size, PAGE):
        for one in await database.fetch(_DECISIONS, (start, start + PAGE)):
            about = None if one[-2] is None else await rebuild(one[-2])
            asking.take(_recorded(one), one[-1], about)
        tell(min(start + PAGE, size), size)
    asked = replay.questions(_named(cases.of_files(current.files)), _named(judged))
    compared = replay.compare(old, new, asked)
    return _simulated(old.bundle, new.bundle, asking.difference, compared)


def _recorded(row: Row) -> Recorded:
    action, organisation, account, strength, unit, target, allowed, policies, digest, leaf, _ = row
    place = (organisation, account, strength, unit, target)
    facts_sha256 = (
        "" if leaf is None or "ticket" not in leaf["detail"] else leaf["detail"]["facts_sha256"]
    )
    return Recorded(action, *place, allowed, tuple(policies), digest, facts_sha256)


def _named(judged: Cases) -> list[Named]:
    return [(case.name, question) for case, question in cases.asked(judged)]


def _simulated(old: Bundle, new: Bundle, log: Difference, judged: Difference) -> Simulated:
    opened = rule_changes.opened(old.rules(), new.rules())
    closed = rule_changes.closed(old.rules(), new.rules())
    change = Change(
        (*opened, *log.lines(log.newly_allowed), *judged.newly_allowed)[:LINES_MAX],
        (*closed, *log.lines(log.newly_denied), *judged.newly_denied)[:LINES_MAX],
        log.replayed,
        sum(log.not_replayed.values()),
    )
    return Simulated(change, log.not_replayed)


async def _register(tx: Transaction, *, weak: bool) -> Register:
    """Return what the register says today."""
    known = await snapshot.load(tx)
    roles = {(row[0], row[1]): frozenset(row[2]) for row in await tx.fetch(_ROLES)}

    def unit(code: str) -> Resource:
        found = known.unit(code)
        if found is None:
            return Resource("UnitRecords")
        chain = known.chain(found.organisation)
        return Resource("UnitRecords", chain, code, known.uploaders_for(found.organisation))

    return Register(
        chain=known.chain,
        roles=lambda organisation, name: roles.get((organisation, name), frozenset()),
        unit=unit,
        province=known.province,
        weak_origin_allowed=weak,
    )
