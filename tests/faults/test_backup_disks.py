"""Disks that are full, real ones: a restore and a drill ask for room first, and where it goes all the same nothing half stays."""

# ruff: noqa: F811  fixtures
import os
from pathlib import Path

import pytest

from gateway.backups import checking, drilling, restoring, room
from gateway.backups.errors import BackupError
from gateway.clock import SYSTEM
from gateway.store.embedded import Cluster
from tests.backups.conftest import stand  # noqa: F401
from tests.backups.small import small
from tests.backups.stand import Stand
from tests.backups.test_drilling import wanted as drilled
from tests.backups.test_restoring import target, tree, wanted  # noqa: F401

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
MIB = 1024 * 1024


@pytest.fixture
def disk(target: Path) -> Path:
    """Where a small disk is mounted."""
    folder = target.parent / "disk"
    folder.mkdir(mode=0o711)
    return folder


def sizes(stand: Stand) -> list[int]:
    """What a disk has that fills among the files, and one that fills when the server begins to write."""
    plain = sum(one.plain_bytes for one in stand.kept.manifest.parts)
    return [plain // 2, plain + MIB]


def opened(monkeypatch) -> list[object]:
    """What was opened of a backup."""
    found: list[object] = []
    monkeypatch.setattr(checking, "unpack", lambda *given: found.append(given))
    return found


def test_a_restore_asks_for_room_first(stand: Stand, disk: Path, monkeypatch) -> None:
    home = disk / "home"
    with small(disk, str(sizes(stand)[0])):
        with monkeypatch.context() as patched:
            begun = opened(patched)
            with pytest.raises(BackupError, match=r"room for \d+ is missing") as raised:
                restoring.restore(wanted(stand), home, SYSTEM)
        assert raised.value.code == "BACKUP_NOT_WRITTEN"
        assert (begun, list(disk.iterdir())) == ([], [])


@pytest.mark.parametrize("when", [0, 1], ids=["files", "server"])
def test_a_restore_on_a_disk_that_fills(stand: Stand, disk: Path, monkeypatch, when: int) -> None:
    """Somebody else took the room meanwhile; on a disk that has it the same restore succeeds."""
    home = disk / "home"
    with small(disk, str(sizes(stand)[when])):
        with monkeypatch.context() as patched:
            patched.setattr(room, "require", lambda *_: None)
            with pytest.raises(BackupError) as raised:
                restoring.restore(wanted(stand), home, SYSTEM)
        assert raised.value.code == "BACKUP_NOT_WRITTEN"
        assert list(disk.iterdir()) == []
    with small(disk, "1g"):
        assert restoring.restore(wanted(stand), home, SYSTEM).home.root == home


def test_a_drill_asks_for_room_first(stand: Stand, disk: Path, monkeypatch) -> None:
    with small(disk, str(sizes(stand)[0])):
        with monkeypatch.context() as patched:
            begun = opened(patched)
            with pytest.raises(BackupError, match=r"room for \d+ is missing") as raised:
                drilling.drill(drilled(stand), stand.home, disk / "home.drill", SYSTEM)
        assert raised.value.code == "BACKUP_NOT_WRITTEN"
        assert (begun, list(disk.iterdir())) == ([], [])


@pytest.mark.parametrize("when", [0, 1], ids=["files", "server"])
def test_a_drill_on_a_disk_that_fills(stand: Stand, disk: Path, monkeypatch, when: int) -> None:
    before, scratch = tree(stand.home), disk / "home.drill"
    with small(disk, str(sizes(stand)[when])):
        with monkeypatch.context() as patched:
            patched.setattr(room, "require", lambda *_: None)
            with pytest.raises(BackupError) as raised:
                drilling.drill(drilled(stand), stand.home, scratch, SYSTEM)
        assert raised.value.code == "BACKUP_NOT_WRITTEN"
        assert list(disk.iterdir()) == []
    assert Cluster(stand.home).pid() is not None
    assert tree(stand.home) == before
    with small(disk, "1g"):
        assert drilling.drill(drilled(stand), stand.home, scratch, SYSTEM).entries > 0
