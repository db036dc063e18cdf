import os

from gateway.client.files import make_private, opened_private, write_private


def test_a_file_is_replaced_whole_and_its_owner_alone_can_read_it(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["key.pem"]


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    assert make_private(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_appending_keeps_what_is_there(tmp_path):
    for part in (b"a", b"b"):
        with opened_private(tmp_path / "log") as descriptor:
            os.write(descriptor, part)
    assert (tmp_path / "log").read_bytes() == b"ab"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
