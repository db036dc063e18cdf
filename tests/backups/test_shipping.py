"""The journal goes into the places while it grows, in a line without a gap; killed anywhere it goes on, and what is lost is told."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.event import Event
from gateway.backups import following, sealing, shipping
from gateway.backups import line as lines
from gateway.backups.shipping import Shipped
from gateway.config.folders import replace_private
from gateway.store import wal
from tests.backups.stand import IDENTITY, Stand, code


@pytest.fixture
def places(stand: Stand, tmp_path: Path) -> Iterator[list[Path]]:
    """Two places, and a HOME that sent nothing yet."""
    made = [tmp_path / "a", tmp_path / "b"]
    for one in made:
        one.mkdir()
    forget(stand)
    yield made
    forget(stand)


def forget(stand: Stand) -> None:
    shutil.rmtree(stand.home.database / "wal", ignore_errors=True)
    with journal(stand) as found:
        found._connection.execute(wal._DROP, [wal.SLOT])


def journal(stand: Stand):
    from gateway.config import settings

    return wal.opened(stand.home, settings.load(stand.home.settings))


def turn(stand: Stand, places) -> Shipped:
    async def work(source):
        with shipping.sole(source.home):
            return await shipping.turn(source, places)

    return stand.run(work)


def grow(stand: Stand, segments: int = 1) -> None:
    """Fill the segments that grow: the server begins the next."""
    stand.run(lambda source: source.recorder.append(Event(kind="log.heartbeat", door="host")))
    for _ in range(segments):
        import psycopg

        from gateway.store.embedded import Cluster

        with psycopg.connect(Cluster(stand.home).superuser(), autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")
        stand.run(lambda source: source.recorder.append(Event(kind="log.heartbeat", door="host")))


def folder(place: Path) -> Path:
    [one] = (place / "wal").iterdir()
    return one


def names(place: Path) -> set[str]:
    return {path.name for path in folder(place).iterdir()}


def test_what_is_full_is_sent_whole_and_the_rest_as_far_as_it_is(stand: Stand, places) -> None:
    before = len(stand.leaves("backup.wal"))
    first = turn(stand, places)
    assert (first.copies, first.errors) == (2, ())
    begun = stand.leaves("backup.wal")[before:]
    assert [(one["decision"], one["detail"]["step"]) for one in begun] == [("allow", "begin")]
    grow(stand, 2)
    assert turn(stand, places).whole == 2
    line = lines.read_line(folder(places[0]), stand.keys)
    after = wal.segment_name(1, wal.segment_number(line.segment) - 1)
    for place in places:
        found = lines.chain(folder(place), line, after)
        assert [one.whole for one in found][-1] is False
        assert all(one.whole for one in found[:-1])
        assert [one.number for one in found] == list(range(len(found)))
        for one in found:
            content = bytearray()
            sealing.unseal(lines.require(folder(place), one), IDENTITY, content.extend)
            assert len(content) == one.size
    assert names(places[0]) == names(places[1])
    assert len(stand.leaves("backup.wal")) == before + 1
    assert {path.stat().st_mode & 0o777 for path in folder(places[0]).iterdir()} == {0o600}
    # The server need not keep what is sent, and no more than that was thrown away.
    with journal(stand) as found:
        assert found.kept_from() == found.flushed().number


def test_nothing_readable_lies_in_a_place(stand: Stand, places) -> None:
    turn(stand, places)
    stand.run(lambda source: source.recorder.append(Event(kind="log.heartbeat", door="host")))
    grow(stand)
    turn(stand, places)
    for path in folder(places[0]).iterdir():
        content = path.read_bytes()
        assert b"log.heartbeat" not in content
        if path.suffix == ".age":
            assert content.startswith(b"age-encryption.org/v1")
    key = (stand.home.database / "wal" / "line.key").read_text()
    assert all(key.encode() not in path.read_bytes() for path in folder(places[0]).iterdir())


def test_a_place_that_was_away_gets_what_it_lacks(stand: Stand, places) -> None:
    away = places[1].with_name("away")
    turn(stand, places)
    places[1].rename(away)
    grow(stand, 2)
    shipped = turn(stand, places)
    assert (shipped.copies, [one.code for one in shipped.errors]) == (1, ["BACKUP_PLACE_AWAY"])
    away.rename(places[1])
    assert turn(stand, places).copies == 2
    assert names(places[0]) == names(places[1])
    # And with the first one away it goes on in the other.
    places[0].rename(away)
    grow(stand)
    assert turn(stand, places).whole == 1
    away.rename(places[0])
    assert turn(stand, places).copies == 2
    assert names(places[0]) == names(places[1])
    line = lines.read_line(folder(places[0]), stand.keys)
    after = wal.segment_name(1, wal.segment_number(line.segment) - 1)
    assert len(lines.chain(folder(places[0]), line, after)) >= 4


@pytest.mark.parametrize("step", ["sealed", "written", "noted"])
def test_killed_at_any_step_the_next_turn_goes_on(stand: Stand, places, monkeypatch, step) -> None:
    turn(stand, places)
    grow(stand, 2)

    class KilledError(Exception):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        if step == "sealed":
            patched.setattr(shipping, "replace_private", killed)
        elif step == "written":
            patched.setattr(following, "sync", killed)
        else:
            patched.setattr(wal.Journal, "release", killed)
        with pytest.raises(KilledError):
            turn(stand, places)
    assert turn(stand, places).copies == 2
    line = lines.read_line(folder(places[0]), stand.keys)
    after = wal.segment_name(1, wal.segment_number(line.segment) - 1)
    for place in places:
        found = lines.chain(folder(place), line, after)
        assert [one.number for one in found] == list(range(len(found)))
        for one in found:
            lines.require(folder(place), one)


def test_what_the_server_threw_away_ends_the_line_and_is_told(stand: Stand, places) -> None:
    turn(stand, places)
    with journal(stand) as found:
        found._connection.execute(wal._DROP, [wal.SLOT])
    assert turn(stand, places).copies == 2
    last = stand.leaves("backup.wal")[-1]
    assert last["detail"]["alert"] == "backup-wal-broken"
    assert len(list((places[0] / "wal").iterdir())) == 2


def test_another_timeline_ends_the_line_and_is_told(stand: Stand, places, monkeypatch) -> None:
    """Another's server was lost and its standby took its place: the journal goes another way."""
    turn(stand, places)
    first = folder(places[0])
    with journal(stand) as found:
        promoted = wal.Flushed(2, found.flushed().position)
    with monkeypatch.context() as patched:
        patched.setattr(wal.Journal, "flushed", lambda _: promoted)
        patched.setattr(
            wal.Journal, "read", lambda *_: b"x" * (promoted.position % wal.SEGMENT_BYTES)
        )
        turn(stand, places)
    assert stand.leaves("backup.wal")[-1]["detail"]["alert"] == "backup-wal-broken"
    [second] = [one for one in (places[0] / "wal").iterdir() if one != first]
    assert lines.read_line(second, stand.keys).segment.startswith("00000002")


def test_places_that_lost_what_was_sent_get_another_line(stand: Stand, places) -> None:
    turn(stand, places)
    grow(stand)
    turn(stand, places)
    for one in places:
        shutil.rmtree(one / "wal")
    turn(stand, places)
    assert stand.leaves("backup.wal")[-1]["detail"]["alert"] == "backup-wal-broken"


def test_no_place_no_recipient_no_turn(stand: Stand, places, tmp_path) -> None:
    assert code(lambda: turn(stand, [tmp_path / "nowhere"])) == "BACKUP_PLACE_AWAY"
    stand.remove("safe-1")
    try:
        assert code(lambda: turn(stand, places)) == "BACKUP_NO_RECIPIENT"
    finally:
        stand.add("safe-1", str(IDENTITY.to_public()))
    assert turn(stand, places).copies == 2


def test_one_at_a_time(stand: Stand, places) -> None:
    with shipping.sole(stand.home):
        assert code(lambda: turn(stand, places)) == "BACKUP_BUSY"
    assert turn(stand, places).copies == 2


def test_a_backup_names_the_line_that_goes_on_from_it(stand: Stand, places) -> None:
    assert stand.make(places[0]).manifest.line == ""
    turn(stand, places)
    made = stand.make(places[0])
    assert made.manifest.line == folder(places[0]).name
    assert json.loads(made.manifest.encode())["line"] == made.manifest.line


def whole_everywhere(stand: Stand, places) -> None:
    """Each place has the line from its begin without a gap, byte for byte as it was sealed."""
    line = lines.read_line(folder(places[0]), stand.keys)
    after = wal.segment_name(1, wal.segment_number(line.segment) - 1)
    for place in places:
        found = lines.chain(folder(place), line, after)
        assert [one.number for one in found] == list(range(len(found)))
        for one in found:
            lines.require(folder(place), one)
    assert names(places[0]) == names(places[1])


def test_killed_before_a_segment_counts_and_that_place_away(
    stand: Stand, places, monkeypatch
) -> None:
    """The next turn seals it again for the other place: both come to have that one."""
    turn(stand, places)
    grow(stand)

    class KilledError(Exception):
        pass

    def killed(path: Path, content: bytes) -> None:
        if path.name == shipping._NEWEST_FILE:
            raise KilledError
        replace_private(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(shipping, "replace_private", killed)
        with pytest.raises(KilledError):
            turn(stand, places)
    away = places[0].with_name("away")
    places[0].rename(away)
    turn(stand, places)
    away.rename(places[0])
    grow(stand)
    assert turn(stand, places).copies == 2
    whole_everywhere(stand, places)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("mib", [-1, 1, 20])
def test_a_full_place_does_not_keep_it_from_the_other(stand: Stand, places, mib) -> None:
    """Full at once; and after a segment that the other place has not yet: it is brought on from there."""
    turn(stand, places)
    grow(stand, 2)
    told = len(stand.leaves("backup.wal"))
    shutil.copytree(places[0], places[0].with_name("kept"))
    size = sum(one.stat().st_size for one in folder(places[0]).iterdir()) + mib * 1024 * 1024
    words = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 4096)}", "none", places[0]]
    subprocess.run(words, check=True)
    with contextlib.suppress(shutil.Error):  # it is full, which is what it is for
        shutil.copytree(places[0].with_name("kept") / "wal", places[0] / "wal")
    try:
        shipped = turn(stand, places)
        assert (shipped.copies, [one.code for one in shipped.errors]) == (1, ["BACKUP_NOT_WRITTEN"])
        sealed = {one for one in names(places[0]) if ".age" in one}
        assert {one.removesuffix(".age") for one in sealed} <= {
            Path(one).stem for one in names(places[0])
        }
        assert {one for one in names(places[0]) if one.endswith(".new")} == set()
        line = lines.read_line(folder(places[1]), stand.keys)
        after = wal.segment_name(1, wal.segment_number(line.segment) - 1)
        assert len(lines.chain(folder(places[1]), line, after)) >= 3
        assert turn(stand, places).copies == 1
    finally:
        subprocess.run(["umount", places[0]], check=True)
    assert turn(stand, places).copies == 2
    whole_everywhere(stand, places)
    # The line went on: no other was begun.
    assert len(stand.leaves("backup.wal")) == told
