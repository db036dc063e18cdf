"""Attacks by whoever can write where backups lie: bits, links, pipes, other lines, folders that grow. docs/attacks-backups.md has all."""

# ruff: noqa: F811  fixtures
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.backups import checking, making, manifest, sealing, spreading
from gateway.backups import line as lines
from gateway.config.backups import RetentionRules
from gateway.store import wal
from tests.backups.conftest import backup, stand  # noqa: F401  fixtures
from tests.backups.stand import IDENTITY, Stand, code
from tests.backups.test_placed import laid
from tests.backups.test_shipping import folder, forget, grow, places, turn, whole_everywhere  # noqa: F401  fixtures

ONE = RetentionRules(daily=1, weekly=0, monthly=0)
FILES = (manifest.MANIFEST_FILE, manifest.RECEIPT_FILE, *manifest.PARTS)
STEP = 11  # every so many bytes: a prime, so that the bits of many are tried, too


def flipped(content: bytes) -> list[bytes]:
    """The same with one bit changed, at places all over it."""
    return [
        content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        for at in range(0, len(content), STEP)
    ]


def test_no_bit_of_manifest_and_receipt_can_be_another(stand: Stand) -> None:
    said, receipt = (placed.read_bytes() for placed in (stand.kept.folder / FILES[0], stand.kept.folder / FILES[1]))  # fmt: skip
    for other in flipped(said):
        found = code(lambda c=other: manifest.verify(c, receipt.decode(), stand.keys))
        assert found == "BACKUP_UNSIGNED"
    for other in flipped(receipt):
        text = other.decode("latin-1")
        found = code(lambda c=text: manifest.verify(said, c, stand.keys))
        # A bit of the note's signature line is another key's, or none; the rest proves nothing.
        assert found in {"BACKUP_UNSIGNED", "BACKUP_FOREIGN"}, other
    assert manifest.verify(said, receipt.decode(), stand.keys) == stand.kept.entry.index


@pytest.mark.parametrize("name", manifest.PARTS)
def test_a_part_that_is_changed_anywhere_does_not_open(stand: Stand, backup: Path, name) -> None:
    """The check sees it before; who opens it all the same learns nothing that he could take for whole."""
    path = backup / name
    content = path.read_bytes()
    header = content.index(b"\n--- ")
    for at in (0, 22, header // 2, header + 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert code(lambda: checking.check(backup, stand.keys)) == "BACKUP_PART_CHANGED"
        found = code(lambda: sealing.unseal(path, IDENTITY, lambda _: None))
        assert found == ("BACKUP_DAMAGED" if at > header + 64 else "BACKUP_KEY_WRONG"), at
    path.write_bytes(content)
    assert checking.rehearse(backup, stand.keys, IDENTITY)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "endless", "pipe", "folder", "socket"])
def test_what_is_no_plain_file_is_no_backup(
    stand: Stand, backup: Path, name, kind, monkeypatch
) -> None:
    """A link to the very same bytes is none either: it leads where somebody else wants."""
    file = backup / name
    content = file.read_bytes()
    file.unlink()
    monkeypatch.chdir(backup)  # a socket's path is short
    if kind != "link":
        laid(Path(name), kind)
    else:
        (backup.parent / "same").write_bytes(content)
        file.symlink_to(backup.parent / "same")
    assert code(lambda: checking.check(backup, stand.keys)) == "BACKUP_PART_MISSING"
    (file.unlink, file.rmdir)[kind == "folder"]()
    file.write_bytes(content)
    assert checking.check(backup, stand.keys)


def test_a_part_that_grows_while_it_is_read(stand: Stand, backup: Path) -> None:
    """Its length was right when it was looked at; nobody is kept reading, and it is not what was made."""
    part = backup / manifest.CLUSTER_PART
    grown: list[int] = []

    def grow_on(done: int, _: int) -> None:
        if done <= stand.kept.manifest.parts[0].sealed_bytes:
            return  # that is the other part
        with part.open("ab") as file:
            file.write(bytes(2 * 1024 * 1024))
        grown.append(1)

    assert code(lambda: checking.check(backup, stand.keys, grow_on)) == "BACKUP_PART_CHANGED"
    total = stand.kept.manifest.total_bytes
    assert len(grown) <= total // (1024 * 1024) + 4


def test_links_and_files_where_folders_are_wanted_stop_no_backup(
    stand: Stand,
    tmp_path: Path,
) -> None:
    """Laid in a place: the names of half backups, a folder's name that leads elsewhere, another's backup by a link."""
    place, theirs = tmp_path / "place", tmp_path / "theirs"
    for one in (place, theirs / "deep"):
        one.mkdir(parents=True)
    (place / f"{making.PARTIAL}link").symlink_to(theirs)
    (place / f"{making.PARTIAL}file").touch()
    os.mkfifo(place / f"{making.PARTIAL}pipe")
    (place / "20000101T000000").symlink_to(stand.kept.folder)
    made = stand.make(place)
    assert sorted(one.name for one in place.iterdir()) == ["20000101T000000", made.folder.name]
    assert spreading.newest(place, stand.keys).sha256 == manifest.sha256(made.manifest.encode())
    assert spreading.prune(place, stand.keys, ONE) == 0
    assert (theirs / "deep").is_dir()
    assert checking.check(stand.kept.folder, stand.keys)


@pytest.mark.parametrize("depth", ["wal", "line", "inside"])
def test_retention_deletes_nothing_through_a_link(
    stand: Stand,
    places,
    tmp_path: Path,
    depth: str,
) -> None:
    """Whoever can write to the place has root delete a folder of the host: he lays a link where old WAL would go."""
    turn(stand, places)
    stand.make(places[0])
    theirs = tmp_path / "theirs"
    (theirs / "deep").mkdir(parents=True)
    shutil.copytree(places[0] / "wal", tmp_path / "kept")
    name = folder(places[0]).name
    for one in (theirs, theirs / "deep"):
        # A whole line of ours, with names that are past their time.
        shutil.copytree(tmp_path / "kept" / name, one / name)
        (one / name / f"{wal.segment_name(1, 0)}.age").write_text("theirs")
    link, to = {
        "wal": (places[0] / "wal", theirs),
        "line": (places[0] / "wal" / name, theirs / name),
        "inside": (places[0] / "wal" / ("e" * 16), theirs / "deep"),
    }[depth]
    if depth != "inside":
        shutil.rmtree(link)
    link.symlink_to(to)
    before = sorted(str(one) for one in theirs.rglob("*"))
    spreading.prune_wal(places[0], stand.keys, ONE, "")
    assert sorted(str(one) for one in theirs.rglob("*")) == before
    if depth != "inside":
        # Nor is anything sent through it; the other place has all of it.
        shipped = turn(stand, places)
        assert [one.code for one in shipped.errors] == ["BACKUP_NOT_WRITTEN"]
        assert sorted(str(one) for one in theirs.rglob("*")) == before
    link.unlink()
    assert turn(stand, places).copies == 2
    if depth != "inside":  # there what is past its time did go
        whole_everywhere(stand, places)


def test_no_bit_of_a_line_and_of_what_grows_can_be_another(stand: Stand, places) -> None:
    """`line.json`, its receipt, and of the segment that grows the entry and the sealed bytes."""
    turn(stand, places)
    own = folder(places[0])
    line = lines.read_line(own, stand.keys)
    [tail] = own.glob("*-*.json")
    entry, _ = lines.read_entry(tail, line)
    readings: dict[Path, Callable[[], object]] = {
        own / "line.json": lambda: lines.read_line(own, stand.keys),
        own / "receipt": lambda: lines.read_line(own, stand.keys),
        tail: lambda: lines.read_entry(tail, line),
    }
    allowed = {"BACKUP_WAL_FOREIGN", "BACKUP_UNSIGNED", "BACKUP_FOREIGN", "BACKUP_WAL_MISSING"}
    for path, read in readings.items():
        content = path.read_bytes()
        for other in flipped(content):
            path.write_bytes(other)
            assert code(read) in allowed, path.name
        path.write_bytes(content)
        assert code(read) == ""
    sealed = tail.with_suffix(".age")
    content = sealed.read_bytes()
    for at in (0, 40, len(content) // 2, len(content) - 1):
        sealed.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert code(lambda: lines.require(own, entry)) == "BACKUP_PART_CHANGED"
    sealed.write_bytes(content[:-1])
    assert code(lambda: lines.require(own, entry)) == "BACKUP_PART_LENGTH"


def test_a_line_that_was_spoilt_in_a_place_is_mended_there(stand: Stand, places) -> None:
    """Somebody changes what says whose line it is: with the next turn it is what it was."""
    turn(stand, places)
    for name in ("line.json", "receipt"):
        (folder(places[1]) / name).write_bytes(b"{}")
    grow(stand)
    assert turn(stand, places).copies == 2
    whole_everywhere(stand, places)
    assert lines.read_line(folder(places[1]), stand.keys)


def test_another_line_of_this_very_gateway_is_not_the_backups(stand: Stand, places) -> None:
    """Attack: what an older restore sent, good and signed, is laid where the backup's own line lay."""
    turn(stand, places)
    older = folder(places[0])
    forget(stand)
    for one in places:
        shutil.move(one / "wal", one / "older")
    turn(stand, places)
    made = stand.make(places[0])
    own = folder(places[0])
    assert made.manifest.line == own.name != older.name
    shutil.rmtree(own)
    shutil.copytree(places[0] / "older" / older.name, own)
    assert code(lambda: lines.read_line(own, stand.keys)) == "BACKUP_WAL_FOREIGN"
    shutil.rmtree(own)
    shutil.copytree(folder(places[1]), own)
    assert lines.read_line(own, stand.keys).line == made.manifest.line


@pytest.mark.parametrize("which", [0, 1, -1], ids=["first", "middle", "last"])
def test_a_missing_segment_is_told_wherever_it_was(stand: Stand, places, which: int) -> None:
    """Of three full ones; the file, its entry, both."""
    turn(stand, places)
    grow(stand, 3)
    turn(stand, places)
    own = folder(places[0])
    line = lines.read_line(own, stand.keys)
    after = wal.segment_name(1, wal.segment_number(line.segment) - 1)
    whole = [one for one in lines.chain(own, line, after) if one.whole]
    lost = whole[which]

    def read() -> None:
        for one in lines.chain(own, line, after):
            lines.require(own, one)

    for endings in (("age",), ("json",), ("age", "json")):
        for ending in endings:
            (own / f"{lost.stem}.{ending}").unlink()
        assert code(read) == "BACKUP_WAL_MISSING", endings
        for ending in endings:
            shutil.copy(folder(places[1]) / f"{lost.stem}.{ending}", own)
    assert code(read) == ""
