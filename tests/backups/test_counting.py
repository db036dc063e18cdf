"""A dump in a backup is what was made: a bit, a byte, a row that differ are found without restoring anything."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backups import checking, counting, manifest
from gateway.backups.errors import BackupError
from tests.backups.hosted import Hosted, hosted_once  # noqa: F401
from tests.backups.stand import IDENTITY, code

import pyrage  # isort: skip


@pytest.fixture
def copy(hosted: Hosted, tmp_path: Path) -> Path:
    return Path(shutil.copytree(hosted.kept.folder, tmp_path / hosted.kept.folder.name))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "BACKUP_PART_CHANGED"),
        (lambda raw: raw[:-1], "BACKUP_PART_LENGTH"),
    ],
)
def test_a_dump_with_a_flipped_bit_or_cut_is_refused(
    hosted: Hosted, copy: Path, spoil, reason: str
) -> None:
    """Attack: whoever writes to a place changes the dump. It is told before anything is opened."""
    path = copy / manifest.DUMP_PART
    path.write_bytes(spoil(path.read_bytes()))
    assert code(lambda: checking.check(copy, hosted.keys)) == reason
    assert code(lambda: checking.rehearse(copy, hosted.keys, IDENTITY)) == reason
    # And where the digest would not tell: the cipher does.
    said = hosted.kept.manifest
    assert code(lambda: counting.check(copy, said, IDENTITY, lambda *_: None)) == "BACKUP_DAMAGED"


def test_rows_that_are_not_in_it_are_told_by_their_table(hosted: Hosted) -> None:
    said = hosted.kept.manifest
    other = replace(said, rows=dict(said.rows) | {"dose": 7})
    with pytest.raises(BackupError, match="0 rows of dose are in it, 7 were counted") as caught:
        counting.check(hosted.kept.folder, other, IDENTITY, lambda *_: None)
    assert caught.value.code == "BACKUP_DAMAGED"
    counting.check(hosted.kept.folder, said, IDENTITY, lambda *_: None)


def test_another_key_opens_nothing(hosted: Hosted) -> None:
    other = pyrage.x25519.Identity.generate()
    asked = lambda: checking.rehearse(hosted.kept.folder, hosted.keys, other)  # noqa: E731
    assert code(asked) == "BACKUP_KEY_WRONG"
