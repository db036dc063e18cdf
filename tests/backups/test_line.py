"""A line of WAL without a gap is told from one with a gap, a change, another's entry, or another's signature; pure files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.backups import line as lines
from gateway.backups.line import Entry, Line
from gateway.config.home import Home
from gateway.store.wal import SEGMENT_BYTES, segment_name
from gateway.tlog import leaf
from tests.backups.stand import code

KEY = Ed25519PrivateKey.generate()
LINE = Line("00ff00ff00ff00ff", "7300000000000000001", segment_name(1, 3), lines.public_hex(KEY), 5)
TAIL = 1024


def entry(number: int, previous: str, size: int = SEGMENT_BYTES) -> Entry:
    return Entry(
        LINE.line, number, segment_name(1, 3 + number), size, 100 + number, previous,
        "a" * 64, 4, "b" * 64,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three whole segments and a tail."""
    previous = ""
    for number in range(4):
        one = entry(number, previous, TAIL if number == 3 else SEGMENT_BYTES)
        content = one.encode(KEY)
        (tmp_path / f"{one.stem}.json").write_bytes(content)
        previous = lines.digest(content)
    return tmp_path


def chain(folder: Path, after: int = 2) -> str | list[int]:
    found: list[int] = []
    work = lambda: found.extend(  # noqa: E731
        one.number for one in lines.chain(folder, LINE, segment_name(1, after))
    )
    return code(work) or found


def test_it_is_read_from_any_segment_on(folder: Path) -> None:
    assert chain(folder) == [0, 1, 2, 3]
    assert chain(folder, 4) == [2, 3]
    assert chain(folder, 5) == [3]
    assert chain(folder, 6) == []
    # What is past its time is gone, its successors are good.
    (folder / f"{segment_name(1, 3)}.json").unlink()
    assert chain(folder, 3) == [1, 2, 3]


def test_a_gap_is_told_and_a_line_that_only_ends_earlier_is_not(folder: Path) -> None:
    (folder / f"{segment_name(1, 4)}.json").unlink()
    assert chain(folder) == "BACKUP_WAL_MISSING"
    (folder / f"{segment_name(1, 5)}.json").unlink()
    assert chain(folder) == "BACKUP_WAL_MISSING"  # the growing one lies beyond it
    for tail in folder.glob("*-*"):
        tail.unlink()
    assert chain(folder) == [0]


@pytest.mark.parametrize(
    "change",
    [
        {"number": 7},
        {"previous": "c" * 64},
        {"line": "0" * 16},
        {"segment": segment_name(1, 9)},
        {"size": 5},
    ],
)
def test_what_does_not_follow_is_refused_even_where_it_is_signed(folder: Path, change) -> None:
    path = folder / f"{segment_name(1, 4)}.json"
    found, _ = lines.read_entry(path, LINE)
    path.write_bytes(replace(found, **change).encode(KEY))
    assert chain(folder) == "BACKUP_WAL_FOREIGN"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format":"sxgw-wal-v1"}', b"\xff"])
def test_what_is_no_entry_is_refused(folder: Path, content: bytes) -> None:
    path = folder / f"{segment_name(1, 4)}.json"
    path.write_bytes(content)
    assert chain(folder) == "BACKUP_WAL_FOREIGN"


def test_every_bit_of_an_entry_is_signed(folder: Path) -> None:
    path = folder / f"{segment_name(1, 4)}.json"
    good = path.read_bytes()
    for at in range(0, len(good), 7):
        spoilt = bytearray(good)
        spoilt[at] ^= 1
        path.write_bytes(bytes(spoilt))
        assert chain(folder) == "BACKUP_WAL_FOREIGN", at
    path.write_bytes(good)
    assert chain(folder) == [0, 1, 2, 3]


def test_a_signature_has_one_spelling(folder: Path) -> None:
    """Nobody names the last entry by its digest yet."""
    [tail] = folder.glob("*-*.json")
    told = json.loads(tail.read_bytes())
    assert tail.read_bytes() == leaf.encode(told)
    tail.write_bytes(leaf.encode(told | {"signature": told["signature"].upper()}))
    assert chain(folder) == "BACKUP_WAL_FOREIGN"


def test_a_line_reads_as_it_was_written(tmp_path: Path) -> None:
    assert lines.parse(LINE.encode()) == LINE
    assert code(lambda: lines.parse(b"{}")) == "BACKUP_WAL_FOREIGN"
    home = Home(tmp_path)
    assert lines.current(home) == ""
    lines.own_folder(home).mkdir(parents=True)
    (lines.own_folder(home) / lines.LINE_FILE).write_bytes(LINE.encode())
    assert lines.current(home) == LINE.line
