"""The newest good drill is read from the log: a bad one does not count, and without any the gateway's whole life does."""

import pytest

from gateway.audit.event import Event
from gateway.backups import drilled
from gateway.backups.drilled import KIND, LastDrill
from gateway.config.backups import load_backup_rules
from gateway.config.policies import shipped
from tests.backups.stand import Stand

RULES = load_backup_rules(shipped("policies") / "backups.toml")
DAY_US = 86_400 * 10**6


def read(stand: Stand, now_us: int) -> LastDrill:
    async def work(source) -> LastDrill:
        async with source.database.transaction() as tx:
            return await drilled.read(tx, RULES, now_us)

    return stand.run(work)


def record(stand: Stand, decision="allow", **detail) -> int:
    event = Event(kind=KIND, door="host", decision=decision, detail=detail)
    stand.run(lambda source: source.recorder.append(event))
    return stand.leaves(KIND)[-1]["time_us"]


def test_the_newest_good_one_counts(stand: Stand) -> None:
    [(first_us,)] = stand.sql("SELECT time_us FROM gateway.audit_entry WHERE idx = 0")
    if not [one for one in stand.leaves(KIND) if one["decision"] == "allow"]:
        record(stand, "error", cause="backup-key-wrong")
        assert read(stand, first_us + 92 * DAY_US - 1) == LastDrill(None, first_us, late=False)
        assert read(stand, first_us + 92 * DAY_US).late
    good_us = record(stand, rto_s=7, rpo_s=60)
    record(stand, "error", cause="backup-key-wrong")
    found = read(stand, good_us + 92 * DAY_US - 1)
    assert found == LastDrill(good_us, good_us, late=False, rto_s=7, rpo_s=60)
    assert read(stand, good_us + 92 * DAY_US).late
    assert found.age_s(good_us + DAY_US) == pytest.approx(86_400)
    assert found.age_s(good_us - 1) == 0
