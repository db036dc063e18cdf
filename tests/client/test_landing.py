"""A file is there whole or not at all: not after a refusal, not after kill -9, and never in the place of another (attacks 64, 65)."""

import signal
import stat
import subprocess
import sys

import pytest

from gateway.client.landing import Landing, LandingError

WRITES = """
import pathlib, sys, time
from gateway.client.landing import Landing
with Landing(pathlib.Path(sys.argv[1])) as file:
    file.write(b"a child's row\\n" * 100_000)
    file._file.flush()
    print("written", flush=True)
    time.sleep(600)
"""


def test_a_settled_file_is_there_whole_and_its_owners_alone(tmp_path):
    target = tmp_path / "rows.csv"
    with Landing(target) as file:
        file.write(b"one,")
        assert not [*tmp_path.iterdir()]
        file.write(b"two")
        file.settle()
    assert target.read_bytes() == b"one,two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.stat().st_nlink == 1


def test_one_that_is_not_settled_never_was(tmp_path):
    with Landing(tmp_path / "rows.csv") as file:
        file.write(b"one" * 100_000)
    assert not [*tmp_path.iterdir()]


def test_attack_64_a_killed_writer_leaves_no_byte_and_no_name(tmp_path):
    command = [sys.executable, "-c", WRITES, str(tmp_path / "rows.csv")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"written\n"
            assert not [*tmp_path.iterdir()]
        finally:
            writer.send_signal(signal.SIGKILL)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("what", ["file", "link", "link to nothing", "folder"])
def test_attack_65_what_lies_there_stays_as_it_is(tmp_path, what):
    """Also where it is put there while we write: link(2) makes a name or fails."""
    other, target = tmp_path / "other", tmp_path / "rows.csv"
    other.write_bytes(b"precious")

    def lay():
        match what:
            case "file":
                target.write_bytes(b"precious")
            case "link":
                target.symlink_to(other)
            case "link to nothing":
                target.symlink_to(tmp_path / "nothing")
            case _:
                target.mkdir()

    with Landing(target) as file:
        file.write(b"rows")
        lay()
        with pytest.raises(LandingError) as error:
            file.settle()
    assert error.value.cause == "exists"
    with pytest.raises(LandingError), Landing(target):
        pass
    assert other.read_bytes() == b"precious"
    assert not (tmp_path / "nothing").exists()
    assert not target.is_file() or target.read_bytes() == b"precious"


def test_the_room_is_taken_at_once_and_what_is_not_needed_given_back(tmp_path):
    target = tmp_path / "rows.csv"
    with Landing(target, 1_000_000) as file:
        file.write(b"rows")
        file.settle()
    assert target.read_bytes() == b"rows"


def test_where_there_is_no_room_nothing_is_begun(tmp_path):
    """More than any file system holds: the disk itself says so, before a byte is written."""
    with pytest.raises(LandingError) as error, Landing(tmp_path / "rows.csv", 1 << 62):
        pytest.fail("there is no such disk")
    assert error.value.cause == "space"
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_none_is_told(tmp_path):
    for folder in (tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(LandingError) as error, Landing(folder / "rows.csv"):
            pass
        assert error.value.cause == "folder"
