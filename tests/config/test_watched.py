"""A file that is replaced while a process runs is told from the one that was read."""

import os
from pathlib import Path

import pytest

from gateway.config import folders
from gateway.config.watched import Watched


@pytest.fixture
def path(tmp_path) -> Path:
    folders.write_public(tmp_path / "file", b"one")
    return tmp_path / "file"


def test_it_is_changed_until_it_is_read_and_again_once_it_is_replaced(path: Path) -> None:
    watched = Watched(path)
    assert watched.changed()
    assert watched.read(Path.read_bytes) == b"one"
    assert not watched.changed()
    os.utime(path, ns=(1, 1))
    assert watched.changed()
    watched.read(Path.read_bytes)
    # As large and as old: another file all the same.
    folders.replace_public(path, b"two")
    os.utime(path, ns=(1, 1))
    assert watched.changed()
    assert watched.read(Path.read_bytes) == b"two"


def test_a_change_while_it_is_read_shows_itself_at_the_next_look(path: Path) -> None:
    def slowly(file: Path) -> bytes:
        found = file.read_bytes()
        folders.replace_public(file, b"meanwhile")
        return found

    watched = Watched(path)
    assert watched.read(slowly) == b"one"
    assert watched.changed()


def test_what_cannot_be_read_counts_as_unread(path: Path) -> None:
    def refuses(_: Path) -> None:
        raise ValueError

    watched = Watched(path)
    with pytest.raises(ValueError):
        watched.read(refuses)
    assert watched.changed()
    path.unlink()
    with pytest.raises(OSError):
        watched.changed()
