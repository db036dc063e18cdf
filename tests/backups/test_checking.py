"""Every way in which a backup is not what was made has its reason; a good one is found good afterwards."""

import shutil
from pathlib import Path

import pytest

from gateway.backups import checking, manifest, recipients, sealing
from tests.backups.stand import IDENTITY, Stand, code

import pyrage  # isort: skip


def checked(stand: Stand, folder: Path) -> str:
    reason = code(lambda: checking.check(folder, stand.keys))
    assert code(lambda: checking.check(stand.kept.folder, stand.keys)) == ""
    return reason


@pytest.mark.parametrize("name", manifest.PARTS)
@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_flipped_bit_in_each_part_is_found(
    stand: Stand, backup: Path, name: str, at: int
) -> None:
    with (backup / name).open("r+b") as file:
        file.seek(at, 2 if at < 0 else 0)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    assert checked(stand, backup) == "BACKUP_PART_CHANGED"


@pytest.mark.parametrize("name", manifest.PARTS)
def test_a_cut_lost_or_added_file_is_found(stand: Stand, backup: Path, name: str) -> None:
    path, content = backup / name, (backup / name).read_bytes()
    path.write_bytes(content[:-1])
    assert checked(stand, backup) == "BACKUP_PART_LENGTH"
    path.unlink()
    assert checked(stand, backup) == "BACKUP_PART_MISSING"
    path.write_bytes(content)
    (backup / "further").touch()
    assert checked(stand, backup) == "BACKUP_FILE_STRANGE"


@pytest.mark.parametrize("name", [manifest.MANIFEST_FILE, manifest.RECEIPT_FILE])
def test_a_flipped_bit_in_what_is_signed_is_found(stand: Stand, backup: Path, name: str) -> None:
    content = bytearray((backup / name).read_bytes())
    content[len(content) // 2] ^= 1
    (backup / name).write_bytes(content)
    reasons = ("BACKUP_FORM", "BACKUP_UNSIGNED", "BACKUP_FOREIGN", "BACKUP_PART_MISSING")
    assert checked(stand, backup) in reasons
    (backup / name).unlink()
    assert checked(stand, backup) == "BACKUP_PART_MISSING"


def test_mixed_backups_are_found(stand: Stand, backup: Path, tmp_path: Path) -> None:
    """Each part, the manifest, the receipt of another good backup of this very gateway."""
    other = stand.make(tmp_path / "other").folder
    reasons = {
        manifest.HOME_PART: {"BACKUP_PART_CHANGED", "BACKUP_PART_LENGTH"},
        manifest.CLUSTER_PART: {"BACKUP_PART_CHANGED", "BACKUP_PART_LENGTH"},
        manifest.MANIFEST_FILE: {"BACKUP_UNSIGNED"},
        manifest.RECEIPT_FILE: {"BACKUP_UNSIGNED"},
    }
    for name, allowed in reasons.items():
        mixed = tmp_path / f"mixed-{name}"
        shutil.copytree(backup, mixed)
        shutil.copy(other / name, mixed / name)
        assert checked(stand, mixed) in allowed


def test_another_key_opens_nothing(stand: Stand) -> None:
    key, _ = recipients.new()
    wrong = pyrage.x25519.Identity.from_str(key)
    rehearsed = lambda k: checking.rehearse(stand.kept.folder, stand.keys, k)  # noqa: E731
    assert code(lambda: rehearsed(wrong)) == "BACKUP_KEY_WRONG"
    assert code(lambda: rehearsed(IDENTITY)) == ""


def test_a_part_that_holds_something_else_than_was_put_in_is_found(
    stand: Stand, backup: Path
) -> None:
    """As if whoever makes backups had sealed another database under an honest manifest."""
    found = checking.read(backup, stand.keys)
    (backup / manifest.HOME_PART).rename(backup / "swapped")
    with (stand.kept.folder / manifest.CLUSTER_PART).open("rb") as reader:
        sealing.seal(reader, backup / manifest.HOME_PART, found.manifest.recipients, lambda _: None)
    names = checking._Names()
    assert (
        code(lambda: checking.unpack(found, manifest.HOME_PART, IDENTITY, names))
        == "BACKUP_DAMAGED"
    )


def test_progress_comes_to_its_end(stand: Stand) -> None:
    told: list[tuple[int, int]] = []
    found = checking.check(stand.kept.folder, stand.keys, lambda *both: told.append(both))
    assert told[-1] == (found.manifest.total_bytes,) * 2
