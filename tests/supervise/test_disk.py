"""The disk fills and is made room on: each level a leaf, the reserve given up and made again, the refused counted."""

import asyncio
import errno
from contextlib import suppress

import pytest

from gateway.clock import TurnedClock
from gateway.config.disk import Disk, DiskRules, Room
from gateway.config.home import Home
from gateway.errors import Reason
from gateway.supervise import disk as watching
from gateway.supervise.disk import Watch
from tests.audit.stage import NOW_US, UPLOAD, until
from tests.world import World, fresh_ground

RULES = DiskRules(20.0, 10.0, 5.0, 1)
MIB = 1 << 20


class Filling:
    """A disk whose room a hand sets."""

    def __init__(self) -> None:
        self.room = Room(50.0, 100 * MIB)
        self.error: OSError | None = None

    def look(self, _):
        if self.error:
            raise self.error
        return self.room


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.database.mkdir()
    return made


def watch(home, filling, reserved=True, clock=None):
    disk = Disk(home.root, RULES, filling.look)
    return Watch(home, disk, reserved=reserved, clock=clock or TurnedClock(NOW_US))


def details(events):
    return [(one.decision, dict(one.detail)) for one in events]


def test_each_level_is_told_once_and_its_end_with_the_outage(home):
    filling, clock = Filling(), TurnedClock(NOW_US)
    looking = watch(home, filling, reserved=False, clock=clock)
    assert looking.look() == []
    steps = [
        (15.0, "low"),
        (7.0, "exports_stopped"),
        (2.0, "uploads_stopped"),
        (7.0, "exports_stopped"),
    ]
    before = "good"
    for free, level in steps:
        clock.turn(seconds=10)
        filling.room = Room(free, 100 * MIB)
        expected = {"state": level, "from_state": before, "alert": "disk-low"}
        assert details(looking.look()) == [("error", expected)]
        assert looking.look() == []
        before = level
    clock.turn(seconds=10)
    filling.room = Room(60.0, 100 * MIB)
    outage = {"outage_from_us": NOW_US + 10_000_000, "outage_until_us": NOW_US + 50_000_000}
    expected = {"state": "good", "from_state": "exports_stopped", **outage}
    assert details(looking.look()) == [("allow", expected)]
    for one in looking.look():
        one.to_leaf(1)


def test_the_reserve_is_made_given_up_and_made_again(home):
    filling = Filling()
    looking = watch(home, filling)
    assert details(looking.look()) == [("allow", {"state": "reserve_made"})]
    found = looking.reserve.stat()
    assert (found.st_size, found.st_blocks * 512 >= MIB, found.st_mode & 0o777) == (
        MIB,
        True,
        0o600,
    )
    assert looking.look() == []
    filling.room = Room(50.0, MIB // 2 - 1)
    given_up = {"alert": "disk-full", "state": "reserve_given_up"}
    assert details(looking.look()) == [("error", given_up)]
    assert not looking.reserve.exists()
    filling.room = Room(50.0, 3 * MIB)
    assert looking.look() == []
    filling.room = Room(50.0, 4 * MIB)
    assert details(looking.look()) == [("allow", {"state": "reserve_made"})]


def test_a_database_elsewhere_has_no_reserve_here(home):
    looking = watch(home, Filling(), reserved=False)
    assert looking.look() == []
    assert not looking.reserve.exists()


def test_what_cannot_be_looked_at_or_written_ends_no_watch(home, monkeypatch):
    filling = Filling()
    looking = watch(home, filling)
    filling.error = OSError(errno.EIO, "no")
    assert looking.look() == []
    filling.error = None

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.posix_fallocate", full)
    assert looking.look() == []
    assert not looking.reserve.exists()
    monkeypatch.undo()
    assert len(looking.look()) == 1


def test_the_end_tells_how_many_were_refused(cluster, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_S", 0.01)
    filling = Filling()

    async def go(ground):
        async with World.open(ground, ("identity",)) as world:
            recorder = world.doors["identity"].recorder
            told = []
            monkeypatch.setattr(
                watching.Disk, "of", lambda _: Disk(world.home.root, RULES, filling.look)
            )
            keeping = asyncio.create_task(watching.keep(world.home, world.settings, told.append))
            try:
                filling.room = Room(1.0, 100 * MIB)
                await until(lambda: told)
                refused = UPLOAD.with_(decision="deny", reason=Reason.DISK_LOW.value)
                for event in (refused, refused, UPLOAD):
                    await recorder.append(event)
                filling.room = Room(90.0, 100 * MIB)
                await until(lambda: len(told) == 2)
            finally:
                keeping.cancel()
                with suppress(asyncio.CancelledError):
                    await keeping
            assert told[1].counts == {"refused": 2}
            assert told[1].detail["state"] == "good"
            await recorder.append(told[1])

    with fresh_ground(cluster) as ground:
        asyncio.run(go(ground))
