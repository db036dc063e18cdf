"""A link, a pipe, a device, a file without end: none is followed, waited for or swallowed; what is removed is what lies there."""

import os
from pathlib import Path

import pytest

from gateway.backups import placed


def laid(path: Path, kind: str) -> Path:
    """Something that is no plain file of ours; `path` itself."""
    if kind == "link":
        path.with_name("elsewhere").write_bytes(b"secret")
        path.symlink_to(path.with_name("elsewhere"))
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    return path


KINDS = ("link", "endless", "pipe", "folder", "socket", "nothing")


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_plain_file_is_read(tmp_path: Path, kind: str) -> None:
    path = laid(tmp_path / "x", kind)
    with pytest.raises(OSError, match=r".+"):
        placed.content(path)
    with pytest.raises(OSError, match=r".+"):
        list(placed.pieces(path, 10))
    placed.remove(path)
    assert not os.path.lexists(path)
    path.write_bytes(b"whole")
    assert placed.content(path) == b"whole"


def test_what_is_long_is_not_swallowed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(placed.SMALL_MAX_BYTES)
    assert len(placed.content(path)) == placed.SMALL_MAX_BYTES
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(OSError, match="too large"):
        placed.content(path)


def test_who_adds_to_a_file_keeps_nobody_reading(tmp_path: Path) -> None:
    """It is seen to be longer, by one byte; a shorter one ends where it ends."""
    path, read = tmp_path / "x", 0
    path.write_bytes(bytes(3 * 1024 * 1024))
    for piece in placed.pieces(path, 3 * 1024 * 1024):
        read += len(piece)
        with path.open("ab") as file:
            file.write(bytes(1024 * 1024))
    assert read == 3 * 1024 * 1024 + 1
    path.write_bytes(b"abc")
    assert b"".join(placed.pieces(path, 100)) == b"abc"
    assert b"".join(placed.pieces(path, 0)) == b"a"


def test_links_to_folders_are_no_folders_and_removed_as_links(tmp_path: Path) -> None:
    """Attack: what a link leads to is neither looked at nor deleted."""
    (tmp_path / "theirs" / "deep").mkdir(parents=True)
    place = tmp_path / "place"
    (place / "own").mkdir(parents=True)
    (place / "file").touch()
    (place / "link").symlink_to(tmp_path / "theirs")
    assert placed.folders(place) == [place / "own"]
    assert placed.folders(place / "link") == placed.folders(place / "nowhere") == []
    (place / "own" / "inner").symlink_to(tmp_path / "theirs")
    for name in ("link", "own", "file", "nowhere"):
        placed.remove(place / name)
    assert list(place.iterdir()) == []
    assert (tmp_path / "theirs" / "deep").is_dir()
