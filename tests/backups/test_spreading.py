"""A backup's copy is there, read back and good, or it is not there; what is past its time goes, what is not ours stays."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.backups import checking, manifest, spreading
from gateway.backups.errors import BackupError
from gateway.backups.spreading import Pace
from gateway.clock import TurnedClock
from gateway.config.backups import RetentionRules
from gateway.store.wal import segment_name, segment_number
from tests.backups.stand import Stand, code

AA, BB, CC = ("a" * 16, "b" * 16, "c" * 16)
ONE = RetentionRules(daily=1, weekly=0, monthly=0)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    place = tmp_path / "other"
    place.mkdir()
    return place


def test_bytes_are_told_while_they_are_copied_and_again_while_they_are_read_back(
    stand: Stand, other: Path
) -> None:
    found, told = checking.check(stand.kept.folder, stand.keys), []
    spreading.copy(found, other, stand.keys, tell=lambda *one: told.append(one))
    total = found.manifest.total_bytes
    assert {of for _, of in told} == {total}
    back = next(at for at, (one, two) in enumerate(pairwise(told)) if two[0] < one[0]) + 1
    copied, read = [done for done, _ in told[:back]], [done for done, _ in told[back:]]
    assert copied == sorted(copied)
    assert copied[-1] >= total  # with the manifest and the receipt
    assert read == sorted(read)
    assert read[-1] == total


def test_a_copy_is_as_good_as_the_first_and_made_once(stand: Stand, other: Path) -> None:
    found = checking.check(stand.kept.folder, stand.keys)
    copied = spreading.copy(found, other, stand.keys)
    assert copied.folder == other / found.folder.name
    assert copied.sha256 == checking.check(copied.folder, stand.keys).sha256 == found.sha256
    assert {one.stat().st_mode & 0o777 for one in copied.folder.iterdir()} == {0o600}
    before = {one: one.stat().st_mtime_ns for one in copied.folder.iterdir()}
    spreading.copy(found, other, stand.keys)
    assert {one: one.stat().st_mtime_ns for one in copied.folder.iterdir()} == before
    assert spreading.newest(other, stand.keys).sha256 == found.sha256
    assert [one.name for one in other.iterdir()] == [found.folder.name]


def test_who_spoilt_a_copy_is_told_apart(
    stand: Stand, backup: Path, other: Path, monkeypatch
) -> None:
    """Where it comes from: its receipt, its bytes. Where it goes to: what is read back."""
    found = checking.check(backup, stand.keys)
    receipt, home = backup / manifest.RECEIPT_FILE, backup / manifest.HOME_PART
    for path in (receipt, home):
        content = path.read_bytes()
        for spoilt in (content[:-1] + bytes([content[-1] ^ 1]), None):
            path.unlink()
            if spoilt is not None:
                path.write_bytes(spoilt)
            with pytest.raises(spreading.SpoiltError):
                spreading.copy(found, other, stand.keys)
            path.write_bytes(content)
    bring = spreading._bring

    def lossy(one, partial, *more):
        bring(one, partial, *more)
        with (partial / manifest.HOME_PART).open("r+b") as part:
            part.write(b"lost")

    monkeypatch.setattr(spreading, "_bring", lossy)
    with pytest.raises(BackupError) as refused:
        spreading.copy(found, other, stand.keys)
    assert (type(refused.value), refused.value.code) == (BackupError, "BACKUP_PART_CHANGED")
    assert list(other.iterdir()) == []


def test_a_copy_with_a_flipped_bit_is_none_and_is_made_again(stand: Stand, other: Path) -> None:
    found = checking.check(stand.kept.folder, stand.keys)
    part = spreading.copy(found, other, stand.keys).folder / manifest.CLUSTER_PART
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert spreading.newest(other, stand.keys) is None
    spreading.copy(found, other, stand.keys)
    assert spreading.newest(other, stand.keys).sha256 == found.sha256
    assert [one.name for one in other.iterdir()] == [found.folder.name]


def test_a_source_that_changed_since_it_was_judged_is_never_given_a_name(
    stand: Stand, backup: Path, other: Path
) -> None:
    found = checking.check(backup, stand.keys)
    with (backup / manifest.HOME_PART).open("r+b") as part:
        part.truncate(100)
    with pytest.raises(spreading.SpoiltError) as refused:
        spreading.copy(found, other, stand.keys)
    assert refused.value.code == "BACKUP_PART_CHANGED"
    assert spreading.newest(other, stand.keys) is None
    assert list(other.iterdir()) == []
    whole = checking.check(stand.kept.folder, stand.keys)
    assert spreading.copy(whole, other, stand.keys).folder.is_dir()
    assert [one.name for one in other.iterdir()] == [found.folder.name]


def test_a_place_that_is_away_is_not_made(stand: Stand, tmp_path: Path) -> None:
    found = checking.check(stand.kept.folder, stand.keys)
    away = tmp_path / "away"
    assert code(lambda: spreading.copy(found, away, stand.keys)) == "BACKUP_PLACE_AWAY"
    assert not away.exists()
    assert spreading.newest(away, stand.keys) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_full_disk_at_the_place_leaves_no_half_copy(stand: Stand, other: Path) -> None:
    found = checking.check(stand.kept.folder, stand.keys)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", other], check=True)
    try:
        with pytest.raises(OSError, match="No space left"):
            spreading.copy(found, other, stand.keys)
        assert list(other.iterdir()) == []
    finally:
        subprocess.run(["umount", other], check=True)
    assert spreading.copy(found, other, stand.keys).folder.is_dir()


def test_what_is_past_its_time_goes_and_what_is_not_ours_stays(stand: Stand, other: Path) -> None:
    older = spreading.copy(checking.check(stand.kept.folder, stand.keys), other, stand.keys)
    newer = stand.make(other)
    foreign = other / "20000101T000000"
    shutil.copytree(older.folder, foreign)
    told = json.loads((foreign / manifest.MANIFEST_FILE).read_text())
    (foreign / manifest.MANIFEST_FILE).write_text(json.dumps(told | {"epoch": 10**6}))
    (other / "notes.txt").write_text("the operator's")
    assert spreading.prune(other, stand.keys, ONE) == 1
    left = {one.name for one in other.iterdir()}
    assert left == {newer.folder.name, foreign.name, "notes.txt"}
    assert spreading.prune(other, stand.keys, ONE) == 0
    assert spreading.newest(other, stand.keys).sha256 == manifest.sha256(newer.manifest.encode())


def test_a_pace_is_kept() -> None:
    clock = TurnedClock(10**15)
    pace = Pace(100, clock)
    assert pace.ahead_s(200 * 1024) == 2
    clock.turn(seconds=5)
    assert pace.ahead_s(200 * 1024) == 0
    assert Pace(0, clock).ahead_s(10**9) == 0


def test_wal_goes_with_the_backups_it_follows(stand: Stand, other: Path) -> None:
    """Before the oldest backup of the last days; a line of none whole; the one that is being sent stays."""
    made = stand.make(other)
    folder = other / "wal" / AA
    folder.mkdir(parents=True)
    first = segment_number(next(made.manifest.wal.segments()))
    for number in range(first - 2, first + 2):
        for ending in ("json", "age"):
            (folder / f"{segment_name(1, number)}.{ending}").write_text("x")
    (folder / "line.json").write_text("x")
    for name in (BB, CC):
        (other / "wal" / name).mkdir()
        (other / "wal" / name / "line.json").write_text("x")
    # Another gateway's that has the same share, and an operator's folder.
    (other / "wal" / "theirs").mkdir()
    with of_line(AA):
        assert spreading.prune_wal(other, stand.keys, ONE, CC) == 3
    left = {path.name for path in folder.iterdir()}
    kept = {
        f"{segment_name(1, number)}.{ending}"
        for number in (first, first + 1)
        for ending in ("json", "age")
    }
    assert left == kept | {"line.json"}
    assert {path.name for path in (other / "wal").iterdir()} == {AA, CC, "theirs"}


def test_the_newest_whole_segment_stays_so_that_the_line_goes_on(stand: Stand, other: Path) -> None:
    """A backup that begins behind all that was sent: what was sent is past its time, and the line is not."""
    made = stand.make(other)
    folder = other / "wal" / AA
    folder.mkdir(parents=True)
    first = segment_number(next(made.manifest.wal.segments()))
    whole = [segment_name(1, first - before) for before in (3, 2)]
    tail = f"{segment_name(1, first - 1)}-00000010"
    (folder / "line.json").write_text("x")
    for stem in (*whole, tail):
        for ending in ("json", "age"):
            (folder / f"{stem}.{ending}").write_text("x")
    with of_line(AA):
        assert spreading.prune_wal(other, stand.keys, ONE, AA) == 1
    assert {path.stem for path in folder.iterdir()} == {whole[1], tail, "line"}


@contextmanager
def of_line(name: str) -> Iterator[None]:
    """Every backup says that this line was sent when it was made."""
    read = checking.read

    def line(folder: Path, _keys):
        if not (folder / "line.json").exists():
            raise BackupError("BACKUP_WAL_MISSING", "nobody's")

    def told(path: Path, keys):
        found = read(path, keys)
        return replace(found, manifest=replace(found.manifest, line=name))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checking, "read", told)
        patched.setattr("gateway.backups.line.read_line", line)
        yield


def test_a_copy_brings_its_parents_first_and_mends_them(stand: Stand, chained, other: Path) -> None:
    found = checking.check(chained[-1].folder, stand.keys)
    copied = spreading.copy(found, other, stand.keys)
    assert [one.folder for one in copied.whole] == [other / one.folder.name for one in chained]
    assert spreading.newest(other, stand.keys).sha256 == found.sha256
    before = {one: one.stat().st_mtime_ns for one in other.glob("*/*")}
    (copied.parents[0].folder / manifest.HOME_PART).write_bytes(b"spoilt")
    assert spreading.newest(other, stand.keys) is None
    spreading.copy(found, other, stand.keys)
    assert spreading.newest(other, stand.keys).sha256 == found.sha256
    mended = {path for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert {path.parent.name for path in mended} == {chained[0].folder.name}
    assert {one.name for one in other.iterdir()} == {one.folder.name for one in chained}


def test_a_parent_lives_as_long_as_its_children(stand: Stand, chained, other: Path) -> None:
    """One day is kept: its newest needs all three. Once a base backup is newer, none of them is needed."""
    spreading.copy(checking.check(chained[-1].folder, stand.keys), other, stand.keys)
    assert spreading.prune(other, stand.keys, ONE) == 0
    assert spreading.newest(other, stand.keys).manifest == chained[-1].manifest
    newer = stand.make(other)
    assert spreading.prune(other, stand.keys, ONE) == 3
    assert [one.name for one in other.iterdir()] == [newer.folder.name]


def test_of_chains_killed_in_removal_no_child_is_left_alone(
    stand: Stand, chained, other: Path, monkeypatch
) -> None:
    """The children go first: whatever is left is good."""
    spreading.copy(checking.check(chained[-1].folder, stand.keys), other, stand.keys)
    newer = stand.make(other)
    renamed: list[str] = []
    rename = Path.rename

    def counted(path: Path, target: Path) -> Path:
        if path.parent == other:
            renamed.append(path.name)
            for one in other.iterdir():
                if not one.name.startswith("."):
                    checking.check(one, stand.keys)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", counted)
    assert spreading.prune(other, stand.keys, ONE) == 3
    assert renamed == [one.folder.name for one in reversed(chained)]
    assert [one.name for one in other.iterdir()] == [newer.folder.name]


def test_what_was_read_there_just_now_is_not_read_again(
    stand: Stand, chained, other: Path, monkeypatch
) -> None:
    base = checking.check(chained[0].folder, stand.keys)
    spreading.copy(base, other, stand.keys)
    there = spreading.newest(other, stand.keys)
    found, read, check_parts = (
        checking.check(chained[-1].folder, stand.keys),
        [],
        checking.check_parts,
    )
    monkeypatch.setattr(
        checking,
        "check_parts",
        lambda one, tell: (read.append(one.folder.name), check_parts(one, tell)),
    )
    spreading.copy(found, other, stand.keys, there=there)
    assert read == [f"{spreading.PARTIAL}{one.folder.name}" for one in chained[1:]]
    monkeypatch.undo()
    assert spreading.newest(other, stand.keys).sha256 == found.sha256
