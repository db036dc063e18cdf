"""A disk without room is told before anything is opened, with how much is missing; a full one has one code, whoever says so."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backups import checking, room
from gateway.backups.errors import BackupError
from gateway.backups.replaying import Way
from gateway.config import disk
from gateway.config.disk import DiskRules, Room
from gateway.store.database import StoreError
from gateway.store.embedded import ClusterError
from gateway.store.tools import ToolError
from gateway.store.wal import SEGMENT_BYTES
from tests.backups.stand import Stand, code

FREE = 10**9
RULES = DiskRules(low_percent=15.0, exports_percent=10.0, uploads_percent=5.0, reserve_mib=1)


@pytest.fixture
def half_full(monkeypatch) -> None:
    """A disk of two gigabytes."""
    monkeypatch.setattr(disk, "look", lambda _: Room(50.0, FREE))


@pytest.mark.parametrize(("rules", "most"), [(None, FREE), (RULES, FREE - 2 * 10**8)])
def test_what_is_missing_is_told_to_the_byte(half_full, tmp_path: Path, rules, most: int) -> None:
    room.require(tmp_path, most, rules)
    with pytest.raises(BackupError, match=rf"{most + 7} bytes .* room for 7 is missing") as raised:
        room.require(tmp_path, most + 7, rules)
    assert raised.value.code == "BACKUP_NOT_WRITTEN"


def test_a_disk_that_is_full_has_no_room_under_any_rule(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk, "look", lambda _: Room(0.0, 0))
    assert code(lambda: room.require(tmp_path, 1, RULES)) == "BACKUP_NOT_WRITTEN"


def test_it_is_what_the_parts_hold_and_the_journal_with_it(stand: Stand) -> None:
    found = checking.check(stand.kept.folder, stand.keys)
    plain = sum(one.plain_bytes for one in found.manifest.parts)
    assert plain < room.needed(found, None) <= plain + 2 * SEGMENT_BYTES
    ahead = Way(Path("/"), (None,) * 3, None, 1)  # type: ignore[arg-type]  only counted
    assert room.needed(found, ahead) == room.needed(found, None) + 3 * SEGMENT_BYTES
    base = replace(found, folder=Path("/parent"))
    twice = room.needed(replace(found, parents=(base,)), None)
    assert twice == room.needed(found, None) + 2 * plain


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"),
        OSError(errno.EROFS, os.strerror(errno.EROFS)),
        ClusterError("PostgreSQL did not start: PANIC: No space left on device"),
        ToolError("initdb failed: No space left on device"),
        StoreError("no", sqlstate="53100"),
    ],
    ids=["full", "read-only", "server", "program", "statement"],
)
def test_a_full_disk_has_one_code(error: Exception) -> None:
    def failing() -> None:
        with room.told():
            raise error

    assert code(failing) == "BACKUP_NOT_WRITTEN"


@pytest.mark.parametrize(
    "error", [ClusterError("no"), ToolError("no"), StoreError("no", sqlstate="57014"), KeyError()]
)
def test_anything_else_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), room.told():
        raise error
