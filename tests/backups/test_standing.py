"""The log alone says how old the newest verified backup is; from the policy's hours on it is late, then it blocks."""

from dataclasses import replace

from gateway.audit.event import Event
from gateway.backups import standing
from gateway.backups.keeping import KIND
from gateway.clock import SYSTEM
from gateway.config.backups import PlaceRules, load_backup_rules
from gateway.config.policies import shipped
from tests.backups.stand import Stand

RULES = replace(
    load_backup_rules(shipped("policies") / "backups.toml"), places=PlaceRules(("/a", "/b"), 0)
)
HOUR_US = 3_600_000_000


def read(stand: Stand, now_us: int, rules=RULES) -> standing.Standing:
    async def work(source):
        async with source.database.transaction() as tx:
            return await standing.read(tx, rules, now_us)

    return stand.run(work)


def told(stand: Stand, decision: str) -> int:
    event = Event(kind=KIND, door="host", decision=decision)
    stand.run(lambda source: source.recorder.append(event))
    return stand.leaves(KIND)[-1]["time_us"]


def test_from_the_first_leaf_on_until_one_was_verified(stand: Stand) -> None:
    if not stand.leaves(KIND):
        [(begun_us,)] = stand.sql("SELECT time_us FROM gateway.audit_entry WHERE idx = %s", 0)
        found = read(stand, begun_us + HOUR_US)
        assert (found.kept_us, found.since_us, found.state) == (None, begun_us, "good")
    kept_us = told(stand, "allow")
    told(stand, "error")  # a failure verifies nothing
    for hours, state in (
        (0, "good"),
        (25.9, "good"),
        (26, "late"),
        (167.9, "late"),
        (168, "blocking"),
    ):
        found = read(stand, kept_us + round(hours * HOUR_US))
        assert (found.kept_us, found.state) == (kept_us, state)
        assert round(found.age_s(kept_us + round(hours * HOUR_US)) / 3600, 1) == hours
    assert standing.blocks_from_us(found, RULES) == kept_us + 168 * HOUR_US
    newer_us = told(stand, "allow")
    assert read(stand, newer_us + HOUR_US).state == "good"


def test_without_places_nobody_makes_one(stand: Stand) -> None:
    told(stand, "allow")
    unplaced = replace(RULES, places=PlaceRules((), 0))
    assert read(stand, SYSTEM.now_us(), unplaced).state == "late"
