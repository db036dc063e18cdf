"""Without a backup that was verified lately nothing is built and nothing leaves; stops go on; the next one opens it again."""

from dataclasses import replace

import pytest

from gateway.audit.event import Event
from gateway.backups.keeping import KIND
from gateway.clock import SYSTEM, TurnedClock
from gateway.config.backups import load_backup_rules
from gateway.config.policies import shipped
from gateway.services.backed import Backed
from tests.coverage.rpcs import Watch
from tests.exports.cast import Cast
from tests.exports.fetching import DOOR, chore, download, sealed, uploaded
from tests.exports.planted import plant
from tests.world import held

RULES = load_backup_rules(shipped("policies") / "backups.toml")
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        cast = stands.run(Cast.open(stands.world))
        stands.run(uploaded(cast))
        yield lambda work: stands.run(work(cast))


def overdue(cast) -> Backed:
    """Asks this world's log, whose whole life counts as too long ago; its clock stands."""
    world, now_us = cast.world, SYSTEM.now_us()
    [(begun_us,)] = world.sql("SELECT time_us FROM gateway.audit_entry WHERE idx = 0")
    half = (now_us - begun_us) / 2 / DAY_US
    rules = replace(RULES, limits=replace(RULES.limits, block_days=half))
    database = chore(cast, "Builder")._sources.database
    return Backed(database, rules, TurnedClock(now_us))


def test_exports_stop_until_a_backup_is_verified(province, monkeypatch):
    async def work(cast):
        backed, guard, builder = (
            overdue(cast),
            cast.world.guard("disclosure"),
            chore(cast, "Builder"),
        )
        ticket = await sealed(cast)
        monkeypatch.setattr(guard, "_checks", replace(guard._checks, backed=backed))
        monkeypatch.setattr(builder, "_room", backed.allows)
        await cast.token(cast["wang"])
        watch = Watch(cast.world)
        refused = await download(cast, ticket)
        assert (refused.refused.code, refused.refused.reason) == (
            "FAILED_PRECONDITION",
            "BACKUP_OVERDUE",
        )
        assert (refused.parts, refused.payload) == ([], b"")
        leaf = await watch.only_leaf()
        assert (leaf["decision"], leaf["reason"]) == ("deny", "BACKUP_OVERDUE")
        waiting = plant(cast, 4)
        before = cast.state(waiting)
        assert await builder.look(DOOR) == 0
        assert cast.state(waiting) == before != "sealed"
        # What nobody verified opens nothing.
        recorder = cast.world.doors["disclosure"].recorder
        await recorder.append(Event(kind=KIND, decision="error", detail={"alert": "backup-failed"}))
        assert not await backed.allows()
        await recorder.append(Event(kind=KIND))
        assert await builder.look(DOOR) == 1
        assert (await download(cast, ticket)).tail is not None

    province(work)


def test_anothers_database_is_judged_alike(province):
    async def work(cast):
        world = cast.world
        assert world.settings.dsn
        assert isinstance(world.guard("disclosure")._checks.backed, Backed)

    province(work)
