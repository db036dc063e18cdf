"""Segments have the names that PostgreSQL gives them; a slot keeps what was not taken, and no more."""

import pytest

from gateway.config import settings
from gateway.store import wal
from tests.backups.conftest import stand  # noqa: F401  a fixture
from tests.backups.stand import Stand
from tests.backups.test_shipping import forget, grow


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("000000010000000000000001", 1),
        ("0000000100000000000000FF", 255),
        ("000000010000000100000000", 256),
        ("0000000A00000002000000AB", 2 * 256 + 0xAB),
    ],
)
def test_names(name: str, number: int) -> None:
    assert wal.segment_number(name) == number
    assert wal.segment_name(int(name[:8], 16), number) == name


def test_the_slot_keeps_what_was_not_taken(stand: Stand) -> None:  # noqa: F811
    forget(stand)
    own = settings.load(stand.home.settings)
    try:
        with wal.opened(stand.home, own) as journal:
            assert journal.kept_from() is None
            first = journal.keep()
            assert first <= journal.flushed().number
            grow(stand, 2)
            assert journal.kept_from() == first
            now = journal.flushed()
            assert now.number >= first + 2
            assert len(journal.read(now.timeline, first)) == wal.SEGMENT_BYTES
            assert len(journal.read(now.timeline, now.number, 100)) == 100
            journal.release(now.number)
            assert journal.kept_from() == now.number
            journal.release(first)  # never back
            assert journal.kept_from() == now.number
            assert journal.system().isdigit()
    finally:
        forget(stand)
