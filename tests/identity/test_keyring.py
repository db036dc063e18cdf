"""A process that runs takes the keys as they are: new ones at once, retired ones no more."""

import os
from pathlib import Path

import pytest

from gateway.config import folders
from gateway.config.home import Home
from gateway.errors import Reason, UnauthenticatedError
from gateway.identity import keys, token_rotation
from gateway.identity.keyring import CurrentMinter, CurrentVerifier
from gateway.identity.keys import KeyFileError
from gateway.identity.token import Bearer, Claims

DOMAIN = "gateway.invalid"
NOW_S = 1_790_000_000
BEARER = Bearer(b"c" * 32, "140100", f"spiffe://{DOMAIN}/org/140100/sys/hub")
CLAIMS = Claims(
    "140100", "hub-upload", BEARER.subject, b"s" * 16, ("uploader",), 1, 0, b"c" * 32, NOW_S, NOW_S + 600
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    folders.make_folders(made)
    first = keys.make()
    private = made.secrets("identity") / keys.PRIVATE_FILE
    folders.write_private(private, first.private_jwk.encode(), "identity")
    folders.write_public(made.token_keys, first.public_set.encode())
    return made


@pytest.fixture
def minter(home: Home) -> CurrentMinter:
    return CurrentMinter(home.secrets("identity") / keys.PRIVATE_FILE, DOMAIN)


@pytest.fixture
def verifier(home: Home) -> CurrentVerifier:
    return CurrentVerifier(home.token_keys, DOMAIN)


def taken(verifier: CurrentVerifier, token: str) -> bool:
    try:
        return verifier.verify(token, BEARER, NOW_S * 1_000_000).session == CLAIMS.session
    except UnauthenticatedError as refused:
        return refused.reason is not Reason.TOKEN_INVALID


def test_a_change_of_keys_is_noticed_by_the_next_call(home, minter, verifier) -> None:
    old = token_rotation.read(home).current
    first = minter.mint(CLAIMS)
    token_rotation.publish(home)
    assert taken(verifier, first)
    token_rotation.switch(home)
    second = minter.mint(CLAIMS)
    assert second.split(".")[0] != first.split(".")[0]
    assert taken(verifier, first)
    assert taken(verifier, second)
    token_rotation.retire(home, old)
    assert not taken(verifier, first)
    assert taken(verifier, second)


def test_without_a_change_no_file_is_read(home, minter, verifier, monkeypatch) -> None:
    token = minter.mint(CLAIMS)
    assert taken(verifier, token)

    def nobody(_path):
        raise AssertionError("read again")

    monkeypatch.setattr(keys, "read_public", nobody)
    monkeypatch.setattr(keys, "read_private", nobody)
    assert taken(verifier, minter.mint(CLAIMS))


@pytest.mark.parametrize("break_it", [Path.unlink, lambda path: path.write_text("{")])
def test_who_cannot_tell_which_keys_are_good_takes_none_and_makes_none(
    home, minter, verifier, break_it
) -> None:
    private = home.secrets("identity") / keys.PRIVATE_FILE
    token = minter.mint(CLAIMS)
    kept = {path: path.read_bytes() for path in (private, home.token_keys)}
    for path in kept:
        break_it(path)
    for use in (lambda: minter.mint(CLAIMS), lambda: taken(verifier, token)) * 2:
        with pytest.raises(KeyFileError) as error:
            use()
        assert '"d"' not in str(error.value)
    for path, content in kept.items():
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    assert taken(verifier, token)
    assert taken(verifier, minter.mint(CLAIMS))


def test_a_change_between_look_and_reading_shows_itself_at_the_next_call(
    home, minter, verifier, monkeypatch
) -> None:
    """The state is noted from before the content was read, never from after."""
    token_rotation.publish(home)
    token_rotation.switch(home)
    real = keys.read_public

    def slow(path):
        found = real(path)
        monkeypatch.setattr(keys, "read_public", real)
        content = path.read_bytes()
        folders.replace_public(path, content)
        os.utime(path, ns=(1, 1))
        return found

    monkeypatch.setattr(keys, "read_public", slow)
    assert taken(verifier, minter.mint(CLAIMS))
    assert verifier._file.changed()
    assert taken(verifier, minter.mint(CLAIMS))
    assert not verifier._file.changed()
