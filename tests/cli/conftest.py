"""What the tests of a client's commands stand on: a small gateway that is served, a profile with a session, one command."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.small_admin import SmallAdmin, cli, served
from tests.client.small_gateway import PASSWORD


@pytest.fixture
def small() -> Iterator[SmallAdmin]:
    with served(SmallAdmin()) as gateway:
        yield gateway


@pytest.fixture
def profile(small: SmallAdmin, tmp_path: Path) -> Path:
    """A profile whose session is open; its password is in `password.txt`, with a slash to be taken as a path."""
    folder = tmp_path / "profile"
    small.profile(folder)
    secret = tmp_path / "password.txt"
    secret.write_text(PASSWORD + "\n")
    assert cli("login", "-p", str(folder), "--password-file", str(secret), "--json") == 0
    return folder


@pytest.fixture
def told(profile: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command with the profile and --json; return what it printed, once its exit status is the expected one."""
    capsys.readouterr()

    def tell(*words: str, status: int = 0) -> Any:
        assert cli(*words, "-p", str(profile), "--json") == status
        return json.loads(capsys.readouterr().out)

    return tell


@pytest.fixture
def said(profile: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The same for people, in English."""
    capsys.readouterr()

    def say(*words: str, status: int = 0, lang: str = "en") -> str:
        assert cli(*words, "-p", str(profile), "--lang", lang) == status
        out, err = capsys.readouterr()
        return out + err

    return say
