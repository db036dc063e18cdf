"""A place is brought what it lacks of a line, in order, as it was sealed; halves and what was spoilt go no further. Pure files."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backups import following
from gateway.backups import line as lines
from gateway.backups.line import Entry
from gateway.store.wal import SEGMENT_BYTES, segment_name
from tests.backups.stand import code
from tests.backups.test_line import KEY, LINE


def put(folder: Path, number: int, before: str, content: bytes, size: int = SEGMENT_BYTES) -> str:
    """The next segment of the line; the digest of its entry."""
    sealed = hashlib.sha256(content).hexdigest()
    one = Entry(
        LINE.line, number, segment_name(1, 3 + number), size, 100 + number, before,
        "a" * 64, len(content), sealed,
    )  # fmt: skip
    (folder / f"{one.stem}.age").write_bytes(content)
    (folder / f"{one.stem}.json").write_bytes(one.encode(KEY))
    return lines.digest(one.encode(KEY))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "line.json").write_bytes(LINE.encode())
    (folder / "receipt").write_bytes(b"proof")
    return folder


@pytest.fixture
def leading(own: Path, tmp_path: Path) -> Path:
    """Three whole segments and a tail."""
    (tmp_path / "a").mkdir()
    folder, before = following.furnish(tmp_path / "a", own, LINE), ""
    for number in range(3):
        before = put(folder, number, before, b"sealed-%d" % number)
    put(folder, 3, before, b"tail", 1024)
    return folder


def follows(folder: Path) -> list[int]:
    found = lines.chain(folder, LINE, segment_name(1, 2))
    for one in found:
        lines.require(folder, one)
    return [one.number for one in found]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_gets_all_that_it_lacks(own: Path, leading: Path, tmp_path: Path) -> None:
    folder = following.furnish(tmp_path / "b", own, LINE)
    following.follow(leading, folder, LINE)
    assert content(folder) == content(leading)
    assert follows(folder) == [0, 1, 2, 3]
    # What lies in the midst is looked for, too, and the tail of before goes.
    (folder / f"{segment_name(1, 4)}.json").unlink()
    put(folder, 3, "0" * 64, b"older", 512)
    following.follow(leading, folder, LINE)
    assert content(folder) == content(leading)


def test_a_segment_that_was_sealed_twice_is_everywhere_the_one_that_counts(
    own: Path, leading: Path, tmp_path: Path
) -> None:
    """A turn killed before its segment counted, and that place away at the next one."""
    folder, before = following.furnish(tmp_path / "b", own, LINE), ""
    for number in range(2):
        before = put(folder, number, before, b"sealed-%d" % number)
    put(folder, 2, before, b"sealed twice")
    following.follow(leading, folder, LINE)
    assert content(folder) == content(leading)
    assert follows(folder) == [0, 1, 2, 3]


@pytest.mark.parametrize("how", ["flipped", "cut", "link", "pipe", "foreign"])
def test_what_is_damaged_spreads_no_further(own: Path, leading: Path, tmp_path: Path, how) -> None:
    """Attack: in one place a sealed segment is changed, or a link to a secret of the host is laid in its stead."""
    folder = following.furnish(tmp_path / "b", own, LINE)
    (tmp_path / "shadow").write_bytes(b"sealed-1")
    sealed = leading / f"{segment_name(1, 4)}.age"
    entry = sealed.with_suffix(".json")
    if how in {"flipped", "cut"}:
        sealed.write_bytes(b"sealed-?" if how == "flipped" else b"sealed-")
    elif how == "foreign":
        other = replace(lines.read_entry(entry, LINE)[0], line="f" * 16)
        entry.write_bytes(other.encode(KEY))
    else:
        sealed.unlink()
        sealed.symlink_to(tmp_path / "shadow") if how == "link" else os.mkfifo(sealed)
    codes = {"flipped": "PART_CHANGED", "cut": "PART_LENGTH", "foreign": "WAL_FOREIGN"}
    wanted = codes.get(how, "WAL_MISSING")
    assert code(lambda: following.follow(leading, folder, LINE)) == f"BACKUP_{wanted}"
    assert follows(folder) == [0]


def test_a_place_is_furnished_without_halves_and_never_through_a_link(
    own: Path, leading: Path, tmp_path: Path
) -> None:
    half = leading / f"{segment_name(1, 7)}.age"
    half.write_bytes(b"no entry")
    half.with_name(f"{half.name}.new").write_bytes(b"half")
    (leading / "receipt").write_bytes(b"another")
    before = content(leading)
    following.furnish(tmp_path / "a", own, LINE)
    assert content(leading) == {
        **{name: one for name, one in before.items() if not name.startswith(half.stem)},
        "receipt": b"proof",
    }
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "wal").symlink_to(tmp_path / "a" / "wal")
    with pytest.raises(OSError, match="symbolic links"):
        following.furnish(tmp_path / "c", own, LINE)
