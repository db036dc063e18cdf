"""A province is lost and comes back as it was at a second in the midst of an upload; lost once more, it comes back to the end."""

import json
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from gateway.client import delimited
from gateway.client.delimited import DelimitedError
from gateway.clock import SYSTEM, US_PER_S
from gateway.demo.host import Host
from gateway.v1.upload_service_pb2 import BatchReceipt
from tests.e2e.losing import (
    OFFICERS,
    County,
    Elsewhere,
    counts,
    fetch,
    found,
    founded,
    ran,
    told,
    words,
)
from tests.house.tree import ROOT

pytestmark = [pytest.mark.serial, pytest.mark.timeout(1800)]
WAIT_S = 300.0
# Eight batches are unanswered at most: so many more, and some were sent after that second.
AHEAD = 20


def until(holds) -> None:
    """Wait for a state, long enough for a busy machine."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < WAIT_S
        time.sleep(0.1)


@dataclass
class Stage:
    """One gateway, its backups in the place `a`, and the hands that lose it and put it back."""

    host: Host
    folder: Path
    officers: dict[str, Path]
    elsewhere: Elsewhere
    # What a restore is told besides.
    more: str = ""

    @property
    def place(self) -> Path:
        return self.folder / "a"

    def back_up(self, lines: int) -> Path:
        """Once so many lines of the journal have begun, for a backup names the one that goes on from it."""
        until(lambda: len([*self.place.glob("wal/*/receipt")]) == lines)
        made = told(f"    gateway backup create {self.host.home.root} --to {self.place}")
        return Path(made["folder"])

    def sent_until_us(self, backup: Path) -> int:
        """Until when the journal in the place goes on from a backup, as the list tells."""
        listed = told(f"    gateway backup list {self.place} --key {self.elsewhere.log_key}")
        [one] = [one for one in listed["backups"] if one["folder"] == str(backup)]
        assert one["journal_refused"] == ""
        if one["journal_until"] is None:
            return 0
        return round(datetime.fromisoformat(one["journal_until"]).timestamp() * US_PER_S)

    def lose(self) -> int:
        """Lose all of HOME; when that was."""
        lost_us = SYSTEM.now_us()
        self.elsewhere.lose(self.host)
        return lost_us

    def put_back(self, backup: Path, moment: str) -> dict:
        """By two officers' word, to a moment; it is served again."""
        approvals = []
        for name in OFFICERS:
            approvals.append(self.folder / f"{name}-{backup.name}.approval")
            mine = self.elsewhere.of(self.officers[name])
            ran(
                f"    gateway backup approve {backup} --because disk-lost --until {moment}"
                f" --out {approvals[-1]} -p {mine}"
            )
        signed = " ".join(f"--approval {one}" for one in approvals) + self.more
        key = f"--key {self.elsewhere.log_key} --identity {self.folder / 'safe.key'}"
        home = self.host.home.root
        done = told(f"    gateway backup restore {backup} {home} --until {moment} {key} {signed}")
        self.elsewhere.give_back()
        self.host.start()
        return done

    def verify(self, city: County, *uploads: dict) -> None:
        """The log, and every receipt that the city holds, of before the loss too."""
        exported = self.folder / f"export-{SYSTEM.now_us()}"
        self.host.run("audit", "export", str(self.host.home.root), str(exported))
        key = str(self.elsewhere.log_key)
        self.host.run("audit", "verify", str(exported), "--key", key)
        for one in uploads:
            ran(f"    gateway receipt verify {one['receipts']} -p {city.profile}")

    def stored(self) -> set[str]:
        """The ids of the batches that the database has."""
        return {
            str(one) for (one,) in fetch(self.host.home, "SELECT request_id FROM gateway.batch")
        }


@dataclass
class Watched:
    """One upload, watched while it ran: how many batches were acknowledged at which time."""

    samples: list[tuple[int, int]]
    receipts: list[BatchReceipt]

    def second_us(self) -> int:
        """A second with acknowledged batches before it, and many after it."""
        first_us = next(at_us for at_us, done in self.samples if done)
        for second_us in count(first_us // US_PER_S * US_PER_S + US_PER_S, US_PER_S):
            after = [done for at_us, done in self.samples if at_us >= second_us]
            assert after, "the upload was over within a second"
            if after[0] + AHEAD < len(self.receipts):
                return second_us
        raise AssertionError

    def before(self, second_us: int) -> set[str]:
        """The ids of those that the client held a receipt of before that second."""
        most = max(done for at_us, done in self.samples if at_us < second_us)
        return {one.request_id for one in self.receipts[:most]}

    def after(self, second_us: int) -> set[str]:
        """The ids of those that were recorded at that second or later."""
        return {
            one.request_id for one in self.receipts if json.loads(one.leaf)["time_us"] >= second_us
        }


def upload_watched(city: County, *files: Path) -> tuple[dict, Watched]:
    known = {*city.profile.glob("receipts/*.receipts")}
    running = subprocess.Popen(
        [*words(city.line(*files, batch=2)), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    samples, receipts = [], list[BatchReceipt]()
    with running:
        while running.poll() is None:
            for file in {*city.profile.glob("receipts/*.receipts")} - known:
                with suppress(DelimitedError):  # the last one is being written
                    receipts = list(delimited.read(file))
            samples.append((SYSTEM.now_us(), len(receipts)))
            time.sleep(0.02)
        assert running.stdout is not None
        sent = json.loads(running.stdout.read())
    assert running.returncode == 0
    return sent, Watched(samples, list(delimited.read(Path(sent["receipts"]))))


def test_a_province_lost_in_mid_upload_comes_back_to_the_second(capsys, monkeypatch) -> None:
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 240.0)  # a busy machine is no fault
    places = ("folders = []", 'folders = ["{folder}/a", "{folder}/b"]')
    with founded(places, ("tail_s = 60.0", "tail_s = 1.0")) as (host, folder):
        new = told(f"    gateway backup recipient new {folder / 'safe.key'}")
        ran(f"    gateway backup recipient add {host.home.root} safe-1 {new['recipient']}")
        province, officers = found(host)
        city = County(folder, province, children=150)
        stage = Stage(host, folder, officers, Elsewhere(folder, host.home))
        figures = to_a_second(stage, city)
        figures += once_more(stage, city)
    with capsys.disabled():
        print("".join(f"\nRPO {rpo} s, RTO {rto} s" for rpo, rto in figures))


def to_a_second(stage: Stage, city: County) -> list[tuple[int, int]]:
    """Lost after an upload; put back to a second in its midst."""
    sent = city.upload(city.files[0])
    backup = stage.back_up(1)
    later, watched = upload_watched(city, *city.files[1:3])
    whole, ids = counts(stage.host.home), stage.stored()
    second_us = watched.second_us()
    until(lambda: stage.sent_until_us(backup) > second_us)
    lost_us = stage.lose()
    moment = f"{datetime.fromtimestamp(second_us // US_PER_S, UTC):%Y-%m-%dT%H:%M:%S+00:00}"
    done = stage.put_back(backup, moment)
    # To the second: what was acknowledged before it is there, what came after it is not.
    kept = stage.stored()
    assert watched.before(second_us)
    assert kept >= watched.before(second_us)
    assert watched.after(second_us)
    assert not kept & watched.after(second_us)
    # Called with a file that was never touched by it, the client sends again what is missing.
    assert city.upload(city.files[0]) == sent
    assert counts(stage.host.home) == whole
    assert stage.stored() == ids
    assert city.upload(*city.files[1:3], batch=2) == later
    assert counts(stage.host.home) == whole
    stage.verify(city, sent, later)
    return [((lost_us - second_us) // US_PER_S, done["rto_seconds"])]


def once_more(stage: Stage, city: County) -> list[tuple[int, int]]:
    """What was restored is backed up and lost again; put back to the end of what was sent."""
    backup = stage.back_up(2)
    last = city.upload(*city.files[3:])
    whole, ids, sent_us = counts(stage.host.home), stage.stored(), SYSTEM.now_us()
    until(lambda: stage.sent_until_us(backup) > sent_us)
    before_us = stage.sent_until_us(backup)
    lost_us = stage.lose()
    done = stage.put_back(backup, "end")
    # All that was acknowledged had been sent: nothing of it is lost.
    assert stage.stored() == ids
    assert counts(stage.host.home) == whole
    assert city.upload(*city.files[3:]) == last
    assert counts(stage.host.home) == whole
    stage.verify(city, last)
    return [(max(0, lost_us - before_us) // US_PER_S, done["rto_seconds"])]
