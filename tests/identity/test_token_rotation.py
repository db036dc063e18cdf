"""The steps on the files: each whole, again, and broken off after any of the things it does."""

import contextlib
import json
import stat
from pathlib import Path

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.identity import keys, token_rotation
from gateway.identity.keys import KeyFileError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    folders.make_folders(made)
    first = keys.make()
    private = made.secrets("identity") / keys.PRIVATE_FILE
    folders.write_private(private, first.private_jwk.encode(), "identity")
    folders.write_public(made.token_keys, first.public_set.encode())
    return made


def test_one_key_follows_another_in_three_steps(home: Home) -> None:
    old = token_rotation.read(home).current
    assert token_rotation.read(home) == token_rotation.Files(old, None, frozenset({old}))
    new = token_rotation.publish(home)
    assert token_rotation.read(home) == token_rotation.Files(old, new, frozenset({old, new}))
    assert token_rotation.switch(home) == new
    assert token_rotation.read(home) == token_rotation.Files(new, None, frozenset({old, new}))
    assert token_rotation.retire(home, old) == old
    assert token_rotation.read(home) == token_rotation.Files(new, None, frozenset({new}))


def test_a_step_taken_again_changes_nothing(home: Home) -> None:
    old = token_rotation.read(home).current
    new = token_rotation.publish(home)
    assert token_rotation.publish(home) == new
    assert token_rotation.switch(home) == new
    assert token_rotation.switch(home) == new
    token_rotation.retire(home, old)
    token_rotation.retire(home, old)
    assert token_rotation.read(home) == token_rotation.Files(new, None, frozenset({new}))


def test_a_private_key_is_in_no_public_file_and_only_its_process_reads_it(home: Home) -> None:
    token_rotation.publish(home)
    waiting = home.secrets("identity") / keys.NEXT_FILE
    assert stat.S_IMODE(waiting.stat().st_mode) == 0o600
    secret = json.loads(waiting.read_text())["d"]
    assert secret not in home.token_keys.read_text()
    assert all("d" not in one for one in keys.read_public(home.token_keys).values())
    token_rotation.switch(home)
    assert not waiting.exists()
    signing = home.secrets("identity") / keys.PRIVATE_FILE
    assert stat.S_IMODE(signing.stat().st_mode) == 0o600


def test_a_key_that_nobody_knows_does_not_sign_and_one_in_use_is_not_retired(home: Home) -> None:
    old = token_rotation.read(home).current
    waiting = token_rotation.prepare(home)
    with pytest.raises(KeyFileError, match="not published"):
        token_rotation.switch(home)
    assert token_rotation.read(home).current == old
    for kid in (old, waiting):
        with pytest.raises(KeyFileError, match="not retired"):
            token_rotation.retire(home, kid)


class CrashError(BaseException):
    """The power is gone."""


STEPS = ("publish", "switch", "retire")


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("step", STEPS)
def test_broken_off_anywhere_a_key_in_use_is_taken_and_the_step_comes_to_its_end(
    home: Home, monkeypatch: pytest.MonkeyPatch, step: str, after: int
) -> None:
    """Whatever reached the disk: what signs now, and what signed an hour ago, everybody knows."""
    before = token_rotation.read(home).current
    if step != "publish":
        token_rotation.publish(home)
    if step == "retire":
        token_rotation.switch(home)
    take = {
        "publish": lambda: token_rotation.publish(home),
        "switch": lambda: token_rotation.switch(home),
        "retire": lambda: token_rotation.retire(home, before),
    }[step]
    with monkeypatch.context() as patched:
        crash_after(patched, after)
        with contextlib.suppress(CrashError):
            take()
        broken = token_rotation.read(home)
        assert broken.current in broken.published
        if step != "retire":
            assert before in broken.published
    take()
    files = token_rotation.read(home)
    assert files.current in files.published
    assert files.waiting is None or files.waiting in files.published
    assert len(files.published) == (1 if step == "retire" else 2)
    assert (files.current == before) == (step == "publish")


def crash_after(patched: pytest.MonkeyPatch, effects: int) -> None:
    """Let so many changes of files happen, then crash in place of the next."""
    left = [effects]

    def counted(real):
        def change(*arguments, **named):
            if left[0] == 0:
                raise CrashError
            left[0] -= 1
            return real(*arguments, **named)

        return change

    for name in ("replace_private", "replace_public"):
        patched.setattr(token_rotation, name, counted(getattr(token_rotation, name)))
    patched.setattr(Path, "unlink", counted(Path.unlink))
