"""What HOME knows of policies: the first digest once, how far activations came, and nothing that cannot be read."""

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.policy.trust import Mark, Trust


@pytest.fixture
def trust(tmp_path) -> Trust:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    return Trust.of(home, Settings())


def test_the_first_digest_is_kept_once(trust) -> None:
    assert trust.is_first("ab" * 32), "a HOME of before its next start"
    trust.keep_first("ab" * 32)
    trust.keep_first("cd" * 32)
    assert trust.is_first("ab" * 32)
    assert not trust.is_first("cd" * 32)
    assert trust.first.stat().st_mode & 0o777 == 0o644


def test_what_cannot_be_read_is_nobodys_first(trust) -> None:
    trust.first.mkdir()
    with pytest.raises(OSError, match="first-policies"):
        trust.is_first("ab" * 32)


def test_the_mark_goes_forward_alone(trust) -> None:
    assert trust.mark() is None
    old, new = Mark(2, "ab" * 32, None), Mark(3, "cd" * 32, 41)
    for one, known in ((old, old), (new, new), (old, new), (Mark(3, "ef" * 32, 50), new)):
        trust.keep(one)
        assert trust.mark() == known
    assert trust.reached.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["", "3", "0 " + "ab" * 32 + " -\n", "3 " + "ab" * 32 + " x\n"])
def test_a_mark_that_is_none_is_refused(trust, text) -> None:
    trust.reached.write_text(text)
    with pytest.raises(ValueError, match="policies-in-force"):
        trust.mark()


def test_the_province_is_the_settings(tmp_path) -> None:
    assert Trust.of(Home(tmp_path), Settings(province="130000")).province == "130000"
