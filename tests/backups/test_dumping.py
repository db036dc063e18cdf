"""Another's server is dumped: the backup opens, counts to the row, and is signed, checked and copied as every other."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backups import checking, dumping, keeping, manifest, spreading, standing
from gateway.config.backups import FILE, load_backup_rules
from gateway.store import dump
from gateway.store.tools import ToolError
from tests.backups.hosted import Hosted, hosted_once  # noqa: F401
from tests.backups.stand import IDENTITY, code


def test_it_opens_and_its_rows_are_those_of_its_own_moment(hosted: Hosted) -> None:
    made = hosted.kept
    found = checking.rehearse(made.folder, hosted.keys, IDENTITY)
    said = found.manifest
    assert (said.form, said.server, said.line, said.parent) == ("dump", 18, "", "")
    assert [one.name for one in said.parts] == [manifest.HOME_PART, manifest.DUMP_PART]
    assert list(said.wal.segments()) == []
    assert int(said.system) > 0
    leaf = json.loads(made.entry.leaf)
    assert leaf["detail"]["manifest_sha256"] == found.sha256
    # Those that stand in it, not those that were there a moment before.
    assert said.rows["audit_entry"] == made.entry.index


def test_nothing_readable_is_in_it_and_no_password_file_stays(hosted: Hosted) -> None:
    for path in hosted.kept.folder.iterdir():
        content = path.read_bytes()
        assert b"PGDMP" not in content
        assert b"audit_entry" not in content or path.name == manifest.MANIFEST_FILE
    assert not list((hosted.home.root / "secrets").rglob("*.pgpass"))


def test_it_goes_into_other_places(hosted: Hosted, tmp_path: Path) -> None:
    found = checking.check(hosted.kept.folder, hosted.keys)
    assert spreading.copy(found, tmp_path, hosted.keys).sha256 == found.sha256


def test_a_dump_that_breaks_off_is_no_backup(hosted: Hosted, tmp_path: Path, monkeypatch) -> None:
    """The server goes away meanwhile: one leaf says so, nothing stays, the next one is good."""
    before = len(hosted.leaves("backup.create"))

    def broken(*_: object) -> object:
        raise ToolError("pg_dump failed: server closed the connection")

    monkeypatch.setattr(dump, "dumped", broken)
    assert code(lambda: hosted.make(tmp_path)) == "BACKUP_NOT_READ"
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    last = hosted.leaves("backup.create")[before:]
    assert [one["detail"] for one in last] == [{"alert": "backup-failed", "cause": "backup-not-read"}]  # fmt: skip
    assert hosted.make(tmp_path).manifest.form == "dump"


def test_rows_that_are_not_in_it_are_found_where_it_is_made(
    hosted: Hosted, tmp_path: Path, monkeypatch
) -> None:
    real = dump._snapshot

    def one_more(connection) -> dump.Snapshot:
        told = real(connection)
        return dump.Snapshot(told.system, told.server, told.rows | {"dose": 1})

    monkeypatch.setattr(dump, "_snapshot", one_more)
    assert code(lambda: hosted.make(tmp_path)) == "BACKUP_DAMAGED"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate_kib", [0, 1_000_000])
def test_the_rate_is_kept_and_what_was_read_is_told(
    hosted: Hosted, tmp_path: Path, rate_kib: int
) -> None:
    told: list[int] = []
    own = hosted.run(_settings)
    to = (str(IDENTITY.to_public()),)
    copied = dumping.copy(hosted.home, own, tmp_path, to, rate_kib, told.append)
    assert told[-1] == copied.part.plain_bytes > 0


async def _settings(source) -> object:
    return source.settings


def test_it_is_kept_in_two_places_and_stands_as_every_other(hosted: Hosted, tmp_path: Path) -> None:
    """By `gateway backup keep`: verified in both, on the log, judged as good; nothing is prunable that is needed."""
    places = [tmp_path / "a", tmp_path / "b"]
    for one in places:
        one.mkdir()
    named = tuple(str(one) for one in places)
    shipped = load_backup_rules(hosted.home.policies / FILE)
    rules = replace(shipped, places=replace(shipped.places, folders=named))

    async def work(source):
        kept = await keeping.keep(source, rules, hosted.keys)
        now_us = source.recorder.clock.now_us()
        async with source.database.transaction() as tx:
            return kept, await standing.read(tx, rules, now_us)

    kept, found = hosted.run(work)
    assert (kept.found.manifest.form, kept.copies, kept.removed) == ("dump", 2, 0)
    assert (found.state, found.kept_us is not None) == ("good", True)
    listed = [[one.name for one in place.iterdir()] for place in places]
    assert listed[0] == listed[1]
    again, _ = hosted.run(work)
    assert not again.new
    assert again.found.sha256 == kept.found.sha256
