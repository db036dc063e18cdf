"""The files of a folder of notes: by number, and nothing else in it counts."""

from gateway.config import log_keys


def test_notes_come_in_the_order_of_their_numbers(tmp_path):
    folder = tmp_path / log_keys.FOLDER
    assert log_keys.read(folder) == []
    assert log_keys.following(folder) == folder / "1"
    folder.mkdir()
    for name in ("10", "2", "1", "1.new", "README"):
        (folder / name).write_text(f"note {name}\n")
    assert log_keys.read(folder) == ["note 1\n", "note 2\n", "note 10\n"]
    assert log_keys.following(folder) == folder / "11"


def test_what_is_no_text_is_read_as_what_no_key_signed(tmp_path):
    (tmp_path / "1").write_bytes(b"\xff\n")
    assert log_keys.read(tmp_path) == ["�\n"]
