"""Whoever has one place of several: he stops no backup in the others, and what he spoils there pushes out nothing that is good."""

# ruff: noqa: F811  fixtures
import shutil
from pathlib import Path

import pytest

from gateway.backups import checking, making, manifest, spreading
from gateway.store.wal import segment_name, segment_number
from tests.backups.conftest import stand  # noqa: F401  fixtures
from tests.backups.stand import IDENTITY, Stand, code
from tests.backups.test_keeping import keep, places, ruling  # noqa: F401  fixtures
from tests.backups.test_spreading import AA, ONE, of_line, other  # noqa: F401  fixtures


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.fixture
def thief(places, monkeypatch) -> Path:
    """Whoever has the first place changes what is made there before it is read back."""
    first, make = places[0], making.make

    async def spoilt(source, place, *more):
        made = await make(source, place, *more)
        if place == first:
            flip(made.folder / manifest.CLUSTER_PART)
        return made

    monkeypatch.setattr(making, "make", spoilt)
    return first


def test_a_thief_of_the_first_place_stops_no_backup(stand: Stand, places, thief: Path) -> None:
    """The others have it, each night; his own place has no damaged one, and in two places alone the next run counts."""
    first, second, third = places
    before = len(stand.leaves("backup.keep"))
    made = keep(stand, ruling(first, second, third))
    assert (made.new, made.copies, made.missing) == (True, 2, 1)
    assert made.found.folder.parent == second
    assert list(first.iterdir()) == []
    failed, counted = stand.leaves("backup.keep")[before:]
    assert failed["detail"] == {"alert": "backup-failed", "cause": "backup-not-written"}
    assert (counted["decision"], counted["counts"]["missing"]) == ("allow", 1)
    for one in (second, third):
        assert checking.rehearse(one / made.found.folder.name, stand.keys, IDENTITY)
    again = keep(stand, ruling(first, second, third))
    assert (again.new, again.copies, again.found.sha256) == (False, 3, made.found.sha256)


def test_nor_where_there_are_but_two(stand: Stand, places, thief: Path) -> None:
    first, second, _ = places
    before = len(stand.leaves("backup.keep"))
    assert code(lambda: keep(stand, ruling(first, second))) == "BACKUP_NOT_WRITTEN"
    [failed] = stand.leaves("backup.keep")[before:]
    assert (failed["decision"], failed["detail"]["cause"]) == ("error", "backup-not-written")
    assert spreading.newest(second, stand.keys) is not None
    again = keep(stand, ruling(first, second))
    assert (again.new, again.copies) == (False, 2)


def test_nor_one_whose_place_shows_the_check_other_bytes_than_the_copy(
    stand: Stand, places, monkeypatch
) -> None:
    """Good when it is read back, another when it is copied: the next place has one made of its own."""
    first, second, third = places
    before, read = len(stand.leaves("backup.keep")), spreading._read

    def shown(source: Path, length: int):
        for piece in read(source, length):
            yield piece[:-1] + b"?" if source.is_relative_to(first) else piece

    monkeypatch.setattr(spreading, "_read", shown)
    made = keep(stand, ruling(first, second, third))
    assert (made.new, made.copies, made.missing) == (True, 2, 1)
    assert made.found.folder.parent == second
    failed, counted = stand.leaves("backup.keep")[before:]
    assert failed["decision"] == "error"
    assert failed["detail"]["alert"] == "backup-failed"
    assert counted["decision"] == "allow"
    for one in (second, third):
        assert spreading.newest(one, stand.keys).sha256 == made.found.sha256
    monkeypatch.undo()
    assert keep(stand, ruling(first, second, third)).copies == 3


def test_what_cannot_be_restored_pushes_out_nothing_that_can(stand: Stand, other: Path) -> None:
    """A child newer than a good one lost its parent: the good one stays, with its WAL; both go in their time."""
    base = stand.make(other)
    onto = stand.onto(other)
    good, orphan = stand.make(other), stand.make(other, onto)
    shutil.rmtree(base.folder)
    assert spreading.prune(other, stand.keys, ONE) == 0
    assert spreading.newest(other, stand.keys).manifest == good.manifest
    folder = other / "wal" / AA
    folder.mkdir(parents=True)
    first = segment_number(next(good.manifest.wal.segments()))
    last = segment_number(next(orphan.manifest.wal.segments()))
    assert first < last
    for number in range(first - 1, last + 2):
        for ending in ("json", "age"):
            (folder / f"{segment_name(1, number)}.{ending}").write_text("x")
    (folder / "line.json").write_text("x")
    with of_line(AA):
        assert spreading.prune_wal(other, stand.keys, ONE, AA) == 1
    assert min(path.stem for path in folder.glob("*.age")) == segment_name(1, first)
    (orphan.folder / manifest.HOME_PART).unlink()
    newer = stand.make(other)
    (newer.folder / manifest.HOME_PART).write_bytes(b"cut")
    assert spreading.prune(other, stand.keys, ONE) == 1  # the orphan; a cut one is none either
    assert {one.name for one in other.iterdir()} == {good.folder.name, newer.folder.name, "wal"}
