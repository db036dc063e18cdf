"""The calendar of backups in docs/operations.md, every command of it in its order, as it stands; then those to a second of docs/backups.md."""

import re
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.clock import SYSTEM, US_PER_S
from gateway.demo.host import Host
from tests.cli.test_backup import leaves
from tests.e2e.losing import County, Elsewhere, counts, found, founded, ran
from tests.e2e.test_backup_to_a_second import Stage, until
from tests.house.tree import ROOT

pytestmark = [pytest.mark.serial, pytest.mark.timeout(1800)]
# What the page tells a person to do, in its order; it says no more and no less.
DAYS = {
    "first day": ["recipient new"] * 2 + ["recipient add"] * 2 + ["recipient list", "keep", "list", "status"],
    "every day": ["status", "list", "metrics"],
    "every quarter": ["rehearse", "rehearse", "drill", "status"],
    "every year": ["recipient new", "recipient add", "recipient remove", "create", "rehearse"],
    "a lost host": ["approve", "approve", "restore", "serve"] + ["rotation change"] * 3 + ["create", "status"],
}  # fmt: skip


def fenced(page: str, heading: str, kind: str = "sh") -> list[str]:
    """The lines of a section's blocks of one kind, without what a person reads."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    [section] = re.findall(rf"^## {heading}.*?\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    blocks = re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [one for block in blocks for one in block.splitlines() if not one.startswith("#")]


def noun(line: str) -> str:
    """The command of a line, as DAYS names it."""
    words = line.removeprefix("gateway ").removeprefix("backup ").split()
    return " ".join(words[: 2 if words[0] in {"recipient", "rotation"} else 1])


class Reader:
    """A person who reads the page and types what stands there, with the places filled in."""

    def __init__(self, host: Host, folder: Path, stage: Stage) -> None:
        self.host, self.folder, self.stage = host, folder, stage
        self.places = [folder / "a", folder / "b"]
        self.at: dict[str, object] = {
            "HOME": host.home.root,
            "log.vkey": stage.elsewhere.log_key,
            **{name: folder / name for name in ("zhao.approval", "qian.approval")},
            **{f"safe-{n}.key": folder / f"safe-{n}.key" for n in (1, 2, 3)},
            **{f"/mnt/backup-{n}/gateway": self.places[n - 1] for n in (1, 2)},
        }

    def type(self, line: str) -> str:
        """Run a line as it stands, and remember what later ones ask for."""
        if noun(line) == "serve":
            self.host.start()
            return ""
        if noun(line) == "keep":  # "when the journal has begun"
            until(lambda: all(any(one.glob("wal/*/0*.json")) for one in self.places))
        if noun(line) == "restore":
            shutil.rmtree(self.host.home.root, ignore_errors=True)
        said = ran(line, **self.at)
        if noun(line) == "recipient new":
            number = re.findall(r"safe-(\d)\.key", line)[0]
            [self.at[f"RECIPIENT_{number}"]] = re.findall(r"age1[0-9a-z]+", said)
        if noun(line) in {"keep", "create"}:
            self.at["BACKUP"] = max(one for one in self.places[0].iterdir() if one.name != "wal")
        return said


def test_the_calendar_is_what_a_person_can_type(monkeypatch) -> None:
    monkeypatch.setattr("gateway.demo.host.START_TIMEOUT_S", 240.0)  # a busy machine is no fault
    lines = fenced("operations.md", "The calendar of backups")
    days = iter(lines)
    typed = {day: [next(days) for _ in told] for day, told in DAYS.items()}
    assert [*days] == []
    assert {day: [*map(noun, some)] for day, some in typed.items()} == DAYS
    [policy] = fenced("operations.md", "The calendar of backups", "toml")
    assert len(tomllib.loads(policy)["folders"]) == 2
    for name, number in (("a", 1), ("b", 2)):
        policy = policy.replace(f"/mnt/backup-{number}/gateway", f"{{folder}}/{name}")
    with founded(("folders = []", policy), ("tail_s = 60.0", "tail_s = 1.0")) as (host, folder):
        stage = Stage(host, folder, {}, Elsewhere(folder, host.home))
        reader = Reader(host, folder, stage)
        for line in typed["first day"][:4]:
            reader.type(line)
        province, officers = found(host)
        stage.officers.update(officers)
        city = County(folder, province)
        first, *others = city.files
        city.upload(first)
        quiet_days(reader, typed)
        a_lost_host(reader, typed["a lost host"], city, first)
        to_a_second(reader, city, others)


def quiet_days(reader: Reader, typed: dict[str, list[str]]) -> None:
    """From the first day to the last that is as others are."""
    home = reader.host.home
    said = [reader.type(line) for line in typed["first day"][4:]]
    assert "safe-1" in said[0]
    assert "2/2" in said[2]
    [kept] = leaves(home, "backup.keep")[-1:]
    assert (kept["decision"], kept["counts"]["copies"]) == ("allow", 2)
    for line in typed["every day"]:
        assert reader.type(line)
    before = len(leaves(home, "backup.drill"))
    for line in typed["every quarter"]:
        reader.type(line)
    assert len(leaves(home, "backup.drill")) == before + 1
    [drilled] = leaves(home, "backup.drill")[-1:]
    assert drilled["decision"] == "allow"
    old = reader.at["BACKUP"]
    for line in typed["every year"]:
        reader.type(line)
    assert reader.at["BACKUP"] != old


def a_lost_host(reader: Reader, lines: list[str], city: County, file: Path) -> None:
    """All that was acknowledged is there again: it had been sent."""
    stage, backup = reader.stage, Path(str(reader.at["BACKUP"]))
    whole, now_us = counts(reader.host.home), SYSTEM.now_us()
    until(lambda: stage.sent_until_us(backup) > now_us)
    stage.lose()
    reader.at |= {name.upper(): stage.elsewhere.of(one) for name, one in stage.officers.items()}
    for line in lines:
        if noun(line) == "serve":
            stage.elsewhere.give_back()
        if noun(line) == "create":  # the new line of the journal has begun
            until(lambda: len([*stage.place.glob("wal/*/receipt")]) == 2)
        reader.type(line)
    city.upload(file)
    assert counts(reader.host.home) == whole


def to_a_second(reader: Reader, city: County, files: list[Path]) -> None:
    """As docs/backups.md has it: between two uploads."""
    stage, backup = reader.stage, Path(str(reader.at["BACKUP"]))
    approve, restore = fenced("backups.md", "Restoring")
    [moment] = set(re.findall(r"--until (\S+)", approve + restore))
    first, second = city.upload(files[0]), counts(reader.host.home)
    second_us = (SYSTEM.now_us() // US_PER_S + 1) * US_PER_S
    until(lambda: SYSTEM.now_us() > second_us)
    city.upload(*files[1:])
    whole = counts(reader.host.home)
    until(lambda: stage.sent_until_us(backup) > second_us)
    stage.lose()
    # The first recipient was taken away in the meantime.
    reader.at |= {"safe-1.key": reader.at["safe-3.key"], moment: _iso(second_us)}
    for name in ("zhao", "qian"):
        reader.at["PROFILE"] = stage.elsewhere.of(stage.officers[name])
        reader.type(approve.replace("zhao.approval", f"{name}.approval"))
    reader.type(restore)
    stage.elsewhere.give_back()
    reader.host.start()
    assert counts(reader.host.home) == second
    assert city.upload(files[0]) == first
    assert counts(reader.host.home) == whole
    stage.verify(city, first)


def _iso(us: int) -> str:
    return f"{datetime.fromtimestamp(us // US_PER_S, UTC):%Y-%m-%dT%H:%M:%S+00:00}"
