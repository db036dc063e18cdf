"""A drill that is late is told once a day; where a key is mounted it is held instead, of the newest backup that is ours."""

import asyncio
import json
import shutil
import signal
from pathlib import Path

import pytest

from gateway.audit.event import Event
from gateway.backups import checking, drilling
from gateway.backups.drilled import KIND as HELD
from gateway.cli.backup_files import trusted
from gateway.clock import SYSTEM, TurnedClock
from gateway.config import settings
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.supervise.drills import KIND, RETRY_S, Drills
from tests.backups.conftest import stand  # noqa: F401  a fixture
from tests.backups.stand import KEY, RECIPIENT, Stand
from tests.cli.small_admin import cli
from tests.cli.test_backup import leaves
from tests.supervise.test_backups import Told, patient, policy, shipped  # noqa: F401  a fixture
from tests.supervise.test_supervisor import Served

DAY_S = 86_400
LATE_S = 92 * DAY_S


@pytest.fixture
def drills(stand: Stand, shipped) -> tuple[Drills, Told, TurnedClock]:  # noqa: F811
    """As on the day after a good drill; nothing was told since."""
    stand.run(lambda source: source.recorder.append(Event(kind=HELD, door="host")))
    told, clock = Told(), TurnedClock(stand.leaves(HELD)[-1]["time_us"])
    clock.turn(seconds=DAY_S)
    return Drills(stand.home, settings.load(stand.home.settings), told, clock), told, clock


def test_a_lateness_is_told_once_a_day(stand: Stand, drills) -> None:  # noqa: F811
    watch, told, clock = drills
    for seconds, count in ((0, 0), (LATE_S, 1), (3_600, 1), (DAY_S, 2)):
        clock.turn(seconds=seconds)
        assert asyncio.run(watch.look()) == ()
        assert len(told.events) == count, seconds
    first = told.events[0]
    assert (first.kind, first.decision) == (KIND, "error")
    detail = json.loads(first.to_leaf(1))["detail"]
    since_us = stand.leaves(HELD)[-1]["time_us"]
    assert detail == {"alert": "backup-drill-late", "outage_from_us": since_us}
    # Another supervisor reads in the log that it was told.
    stand.run(lambda source: source.recorder.append(first.with_(door="host")))
    again, at = Told(), TurnedClock(SYSTEM.now_us())
    at.turn(seconds=LATE_S)
    other = Drills(stand.home, settings.load(stand.home.settings), again, at)
    told_us = stand.leaves(KIND)[-1]["time_us"]
    asyncio.run(other.look())
    assert len(again.events) == (at.now_us() - told_us >= DAY_S * 10**6)


def test_one_is_held_where_the_key_is_mounted(stand: Stand, drills, tmp_path: Path) -> None:  # noqa: F811
    watch, told, clock = drills
    places = [tmp_path / "a", tmp_path / "b"]
    policy(stand.home, *places)
    file, key = stand.home.policies / "backups.toml", tmp_path / "stick" / "safe.key"
    text = file.read_text().replace('drill_identity = ""', f'drill_identity = "{key}"')
    file.write_text(text)
    made = stand.make(places[0])
    shutil.copytree(stand.kept.folder, places[1] / stand.kept.folder.name)
    shutil.copytree(made.folder, places[1] / ".partial-x")
    (places[1] / "x").mkdir()
    clock.turn(seconds=LATE_S)
    assert asyncio.run(watch.look()) == ()
    assert len(told.events) == 1  # the stick is not there
    key.parent.mkdir()
    key.write_text(KEY)
    clock.turn(seconds=2 * DAY_S)
    words = asyncio.run(watch.look())
    expected = ("drill", str(made.folder), "--home", str(stand.home.root), "--identity", str(key))
    assert words[:6] == expected
    assert KEY not in " ".join(words)
    assert len(told.events) == 1
    watch.ran()
    assert asyncio.run(watch.look()) == ()
    assert len(told.events) == 2  # it was tried, and is late all the same
    clock.turn(seconds=RETRY_S)
    assert asyncio.run(watch.look()) == words


@pytest.mark.timeout(600)
def test_a_gateway_that_is_served_drills_by_itself(founded: Home, tmp_path: Path) -> None:
    """From the policy alone, where a key is mounted, in a process of its own; nothing of it stays but the leaf."""
    stick, places = tmp_path / "safe.key", [tmp_path / "a", tmp_path / "b"]
    for one in places:
        one.mkdir()
    file = founded.policies / "backups.toml"
    before, served = file.read_text(), Served(founded)
    held = served_once(served, places[0])
    stick.write_text(KEY)
    stick.chmod(0o600)
    policy(founded, *places)
    text = file.read_text().replace('drill_identity = ""', f'drill_identity = "{stick}"')
    # A second and a half: the last one was longer ago than that, whenever it was.
    file.write_text(text.replace("drill_days = 92.0", "drill_days = 0.00002"))
    served.start()
    try:
        patient(lambda: len(leaves(founded, HELD)) > held)
        last = leaves(founded, HELD)[-1]
        assert (last["decision"], "alert" in last["detail"]) == ("allow", False), last
        keys = trusted(founded.root, None)
        made = {checking.read(one, keys).sha256 for place in places for one in place.glob("2*")}
        assert last["detail"]["manifest_sha256"] in made
        assert last["counts"]["entries"] > 0
        assert not founded.root.with_name(f"{founded.root.name}{drilling.SCRATCH}").exists()
        assert KEY not in (founded.logs / "backups.log").read_text()
    finally:
        file.write_text(before)
        assert cli("backup", "recipient", "remove", str(founded.root), "safe-8") == 0
        assert served.end(signal.SIGTERM) == 0
        Cluster(founded).stop()


def served_once(served: Served, place: Path) -> int:
    """Serve until there is a backup for a recipient whose key we hold; how many drills the log tells of."""
    root = str(served.home.root)
    served.start()
    try:
        assert cli("backup", "recipient", "add", root, "safe-8", RECIPIENT) == 0
        assert cli("backup", "create", root, "--to", str(place)) == 0
        return len(leaves(served.home, HELD))
    finally:
        assert served.end(signal.SIGTERM) == 0
