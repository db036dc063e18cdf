"""The digest of the first bundle is kept once, and nothing else is it from then on."""

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.policy.trust import Trust


def test_the_first_digest_is_kept_once(tmp_path) -> None:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    trust = Trust.of(home, "sx.example")
    assert trust.is_first("ab" * 32), "a HOME of before its next start"
    trust.keep_first("ab" * 32)
    trust.keep_first("cd" * 32)
    assert trust.is_first("ab" * 32)
    assert not trust.is_first("cd" * 32)
    assert home.first_policies.stat().st_mode & 0o777 == 0o644


def test_what_cannot_be_read_is_nobodys_first(tmp_path) -> None:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    home.first_policies.mkdir()
    with pytest.raises(OSError, match="first-policies"):
        Trust.of(home, "sx.example").is_first("ab" * 32)
