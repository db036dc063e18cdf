"""What is due is made by itself while the gateway is served; a lateness is told once a day, from the policy's hour on."""

import asyncio
import json
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.audit.event import Event
from gateway.backups import checking, keeping
from gateway.backups import line as lines
from gateway.clock import SHANGHAI, SYSTEM, TurnedClock, to_datetime
from gateway.config import settings
from gateway.config.home import Home
from gateway.store.embedded import Cluster
from gateway.supervise import backups
from gateway.supervise.backups import KIND, RETRY_S, Watch
from tests.backups.conftest import stand  # noqa: F401  a fixture
from tests.backups.stand import IDENTITY, RECIPIENT, Stand
from tests.cli.small_admin import cli
from tests.cli.test_backup import leaves
from tests.supervise.test_supervisor import Served, until

HOUR_S = 3600


@dataclass
class Told:
    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)


def patient(holds: Callable[[], bool]) -> None:
    """Wait longer than `until`: a run that came too early is tried again after a minute."""
    for _ in range(3):
        with suppress(AssertionError):
            return until(holds)
    return until(holds)


def policy(home: Home, *places: Path) -> None:
    """Places, and a time that was a minute ago."""
    file = home.policies / "backups.toml"
    text = file.read_text().replace('["02:00"]', f'["{at(-1)}"]')
    file.write_text(text.replace("folders = []", f"folders = {json.dumps([*map(str, places)])}"))


def at(minutes: int) -> str:
    """A time of the day in Beijing, so many minutes from now."""
    return f"{to_datetime(SYSTEM.now_us()).astimezone(SHANGHAI) + timedelta(minutes=minutes):%H:%M}"


@pytest.fixture
def shipped(stand: Stand):  # noqa: F811
    """The policy as it ships, before and after."""
    file = stand.home.policies / "backups.toml"
    before = file.read_text()
    yield
    file.write_text(before)


def watching(stand: Stand, told: Told, clock: TurnedClock) -> Watch:  # noqa: F811
    return Watch(stand.home, settings.load(stand.home.settings), told, clock)


def test_a_lateness_is_told_once_a_day_and_ends_with_the_next_backup(stand: Stand, shipped) -> None:  # noqa: F811
    stand.run(lambda source: source.recorder.append(Event(kind=keeping.KIND, door="host")))
    kept_us = stand.leaves(keeping.KIND)[-1]["time_us"]
    told, clock = Told(), TurnedClock(kept_us)
    watch = watching(stand, told, clock)
    for hours, count in ((25, 0), (2, 1), (1, 1), (22, 1), (2, 2), (7 * 24, 3)):
        clock.turn(seconds=hours * HOUR_S)
        assert asyncio.run(watch.look()) is False  # no places: nothing to run
        assert len(told.events) == count, hours
    alerts = [dict(one.detail)["alert"] for one in told.events]
    assert alerts == ["backup-late", "backup-late", "backup-blocking"]
    first = told.events[0]
    assert (first.kind, first.decision) == (KIND, "error")
    assert json.loads(first.to_leaf(1))["detail"]["outage_from_us"] == kept_us
    # Another supervisor reads in the log that it was told.
    stand.run(lambda source: source.recorder.append(first.with_(door="host")))
    again = Told()
    at = TurnedClock(stand.leaves(KIND)[-1]["time_us"] + 27 * HOUR_S * 10**6 // 27)
    asyncio.run(watching(stand, again, at).look())
    assert again.events == []


def test_it_runs_when_due_and_after_a_failure_not_at_once(stand: Stand, shipped, tmp_path) -> None:  # noqa: F811
    policy(stand.home, tmp_path / "a", tmp_path / "b")
    told, clock = Told(), TurnedClock(SYSTEM.now_us() + 86_400 * 10**6)
    watch = watching(stand, told, clock)
    assert asyncio.run(watch.look()) is True
    watch.ran(1)
    assert asyncio.run(watch.look()) is False
    clock.turn(seconds=RETRY_S)
    assert asyncio.run(watch.look()) is True
    watch.ran(0)
    stand.run(lambda source: source.recorder.append(Event(kind=keeping.KIND, door="host")))
    kept = TurnedClock(stand.leaves(keeping.KIND)[-1]["time_us"])
    assert asyncio.run(watching(stand, told, kept).look()) is False


@pytest.mark.timeout(600)
def test_a_gateway_that_is_served_backs_itself_up(
    founded: Home, tmp_path: Path, monkeypatch
) -> None:
    """From the policy alone: made, copied, verified, on the log; nobody types anything."""
    places = [tmp_path / "a", tmp_path / "b"]
    for one in places:
        one.mkdir()
    file = founded.policies / "backups.toml"
    before, counted = file.read_text(), 0
    policy(founded, *places)
    served = Served(founded)
    served.start()
    try:
        made = leaves(founded, keeping.KIND)
        counted = len(made)
        # Without a recipient the first run failed, or fails now; the next look is the retry's.
        assert cli("backup", "recipient", "add", str(founded.root), "safe-9", RECIPIENT) == 0
        assert served.end(signal.SIGTERM) == 0
        # Another test of this HOME may have had one made since the minute that was set: then the next one.
        since_us = SYSTEM.now_us() - 2 * 60 * 10**6
        if any(one["time_us"] > since_us for one in made if one["decision"] == "allow"):
            file.write_text(re.sub(r'times = \[".*"\]', f'times = ["{at(1)}"]', file.read_text()))
        served.start()
        patient(
            lambda: (
                [one["decision"] for one in leaves(founded, keeping.KIND)[counted:]][-1:]
                == ["allow"]
            )
        )
        last = leaves(founded, keeping.KIND)[-1]
        keys = backups_keys(founded)
        for place in places:
            [folder] = [one for one in place.iterdir() if one.name != lines.FOLDER]
            opened = checking.rehearse(folder, keys, IDENTITY)
            assert opened.sha256 == last["detail"]["manifest_sha256"]
        # Beside it the journal, sent by another process from the beginning on.
        patient(lambda: all(any(one.glob("wal/*/0*.json")) for one in places))
        [line] = (places[0] / lines.FOLDER).iterdir()
        assert lines.read_line(line, keys).line == lines.current(founded)
    finally:
        file.write_text(before)
        assert cli("backup", "recipient", "remove", str(founded.root), "safe-9") == 0
        assert served.end(signal.SIGTERM) == 0
        Cluster(founded).stop()


def backups_keys(home: Home):
    from gateway.cli.backup_files import trusted

    return trusted(home.root, None)


def test_anothers_database_that_is_away_ends_nothing(stand: Stand) -> None:  # noqa: F811
    from dataclasses import replace

    own = replace(settings.load(stand.home.settings), dsn="host=/nowhere")

    async def work() -> None:
        task = asyncio.create_task(backups.keep(stand.home, own, Told()))
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert not done
        task.cancel()

    asyncio.run(work())
