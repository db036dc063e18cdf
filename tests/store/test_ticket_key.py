"""The key of tickets: made once, for disclosure alone, and refused when it is none."""

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.store import ticket_key
from gateway.store.export_keys import ExportKeyError


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    return home


def test_a_home_without_one_gets_it_once(home) -> None:
    assert ticket_key.make(home)
    path, key = ticket_key.path(home), ticket_key.load(home)
    assert (path.parent, path.stat().st_mode & 0o777) == (home.secrets("disclosure"), 0o600)
    assert len(key) == 32
    assert not ticket_key.make(home)
    assert ticket_key.load(home) == key


def test_what_is_no_key_is_refused_and_not_made_anew(home) -> None:
    with pytest.raises(ExportKeyError, match="cannot be read"):
        ticket_key.load(home)
    ticket_key.path(home).write_bytes(b"x" * 31)
    with pytest.raises(ExportKeyError, match="not a key of tickets"):
        ticket_key.load(home)
    assert not ticket_key.make(home)
