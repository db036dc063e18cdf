"""The key of side parts: made once, its public half again where that is gone, and refused when it is none."""

import json

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.store import part_key, seal_keys
from gateway.store.seal import Opener
from gateway.store.seal_keys import SealError


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    return home


def test_a_home_without_one_gets_it_once(home) -> None:
    assert part_key.make(home)
    path = part_key.path(home)
    assert (path.parent, path.stat().st_mode & 0o777) == (home.secrets("administration"), 0o600)
    private, public = path.read_bytes(), part_key.public_path(home).read_bytes()
    assert not part_key.make(home)
    assert (path.read_bytes(), part_key.recipient(home).use) == (private, "part")
    part_key.public_path(home).unlink()
    assert part_key.make(home)
    assert (path.read_bytes(), part_key.public_path(home).read_bytes()) == (private, public)


def test_administration_alone_opens_what_is_sealed_to_it(home) -> None:
    seal_keys.make_keys(home)
    part_key.make(home)
    assert Opener.load(home.secrets("administration"))._keys.keys() == {
        part_key.recipient(home).key_id
    }
    others = Opener.load(home.secrets("disclosure"))
    assert part_key.recipient(home).key_id not in others._keys


def test_what_is_no_key_is_refused(home) -> None:
    with pytest.raises(SealError, match="not the key of side parts"):
        part_key.recipient(home)
    part_key.make(home)
    good = json.loads(part_key.public_path(home).read_text())
    for changed in ({"use": "body"}, {"use": "other"}, {"key_id": "0" * 16}, {"suite": "none"}):
        part_key.public_path(home).write_text(json.dumps(good | changed))
        with pytest.raises(SealError, match="not the key of side parts"):
            part_key.recipient(home)
    part_key.public_path(home).write_text("{")
    with pytest.raises(SealError):
        part_key.recipient(home)
    part_key.public_path(home).unlink()
    part_key.path(home).write_bytes(b"x")
    with pytest.raises(SealError, match="not a sealing key"):
        part_key.make(home)
