import grp
import pwd
import stat

import pytest

from gateway.config import folders, users
from gateway.config.home import PROCESSES, Home


@pytest.fixture
def home(tmp_path) -> Home:
    if users.separate():
        users.make_users()
    made = Home(tmp_path / "home")
    folders.make_folders(made)
    folders.make_folders(made)
    return made


def test_every_folder_is_there_with_its_owner_and_mode(home: Home) -> None:
    for folder in folders.folders(home):
        status = folder.path.stat()
        if users.separate():
            who = (pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name)
            assert (folder.path, *who) == (folder.path, folder.owner, folder.group)
            assert stat.S_IMODE(status.st_mode) == folder.mode
        else:
            assert stat.S_IMODE(status.st_mode) == 0o700


def test_a_secret_is_its_process_alone_and_a_door_the_fronts() -> None:
    from pathlib import Path

    home = Home(Path("/g"))
    by_path = {folder.path: folder for folder in folders.folders(home)}
    for process in PROCESSES:
        secret = by_path[home.secrets(process)]
        assert (secret.owner, secret.mode) == (f"gateway-{process}", 0o700)
        run = by_path[home.run(process)]
        shared = process in ("front", "signer", "postgres")
        assert run.group == ("gateway" if shared else "gateway-front")
        assert run.mode == 0o2710
    for place in (home.offline, home.admin_profile, home.logs):
        assert (by_path[place].owner, by_path[place].mode) == ("root", 0o700)


def test_private_files_are_new_and_closed(home: Home) -> None:
    path = home.secrets("intake") / "key"
    folders.write_private(path, b"secret", "intake")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"secret", 0o600)
    assert path.stat().st_uid == users.user_of("intake").uid
    with pytest.raises(FileExistsError):
        folders.write_private(path, b"other")
    own = home.secrets("intake") / "own"
    folders.write_private(own, b"")
    assert own.stat().st_uid == users.current().uid


def test_public_files_can_be_read_by_all(home: Home) -> None:
    folders.write_public(home.public / "x", b"1")
    folders.write_public(home.public / "x", b"2")
    assert (home.public / "x").read_bytes() == b"2"
    assert stat.S_IMODE((home.public / "x").stat().st_mode) == 0o644


def test_a_file_is_replaced_at_once_with_its_owner_and_mode(home: Home) -> None:
    path = home.secrets("front") / "key"
    folders.write_private(path, b"old", "front")
    with path.open("rb") as before:
        folders.replace_private(path, b"new", "front")
        assert before.read() == b"old"
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)
    assert path.stat().st_uid == users.user_of("front").uid
    folders.replace_public(home.public / "x", b"1")
    folders.replace_public(home.public / "x", b"2")
    assert (home.public / "x").read_bytes() == b"2"
    assert stat.S_IMODE((home.public / "x").stat().st_mode) == 0o644
    assert [one.name for one in home.public.iterdir()] == ["x"]


def test_what_a_crash_left_half_written_is_written_over(home: Home) -> None:
    path = home.secrets("front") / "key"
    path.with_name("key.new").write_bytes(b"half")
    folders.replace_private(path, b"whole", "front")
    assert path.read_bytes() == b"whole"
    assert [one.name for one in path.parent.iterdir()] == ["key"]
