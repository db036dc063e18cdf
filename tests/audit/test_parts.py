"""Side parts: opened by administration's key from their own row alone; the digest answers no guess."""

import hashlib

import pytest

from gateway.audit import parts
from gateway.audit.parts import Part, Sealer
from gateway.clock import TurnedClock
from gateway.config import folders
from gateway.config.home import Home
from gateway.store import part_key
from gateway.store.seal import Opener
from gateway.store.seal_keys import SealError

NOW = 1_800_000_000_000_000


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    folders.make_folders(home)
    part_key.make(home)
    return home


def sealed(home: Home, words: str) -> Part:
    return Sealer(home, TurnedClock(NOW)).seal(words).part


def opener(home: Home) -> Opener:
    return Opener.load(home.secrets("administration"))


@pytest.mark.parametrize("words", ["否", "越权申请", "y" * 63, "y" * 64, "y" * 200])
def test_words_come_back(home, words: str) -> None:
    part = sealed(home, words)
    assert part.digest == hashlib.sha256(part.salt + part.ciphertext).digest()
    assert parts.opened(opener(home), part.digest, part) == words
    assert (len(part.ciphertext) - 16) % 64 == 0
    assert words.encode() not in b"".join((part.salt, part.ciphertext, part.wrapped))


def test_the_same_words_are_told_apart(home) -> None:
    one, other = sealed(home, "no"), sealed(home, "no")
    assert len({one.digest, other.digest}) == 2
    assert (one.salt, one.ciphertext, one.key_id) != (other.salt, other.ciphertext, other.key_id)
    assert len(one.ciphertext) == len(sealed(home, "yes").ciphertext)


def test_what_is_mixed_does_not_open(home) -> None:
    one, other = sealed(home, "first words"), sealed(home, "others")
    swapped = {
        "another's": other,
        "salt": one._replace(salt=other.salt),
        "ciphertext": one._replace(ciphertext=other.ciphertext),
        "key": one._replace(key_id=other.key_id, wrapped=other.wrapped),
        "wrapped": one._replace(wrapped=other.wrapped),
        "recipient": one._replace(recipient="0" * 16),
        "cut": one._replace(ciphertext=one.ciphertext[:-1]),
    }
    for name, part in swapped.items():
        with pytest.raises(SealError) as error:
            parts.opened(opener(home), one.digest, part)
        assert "first words" not in str(error.value), name
    # Row and digest together moved to another salt: the salt is bound to the body too.
    moved = one._replace(salt=other.salt)
    with pytest.raises(SealError):
        parts.opened(opener(home), moved.digest, moved)


def test_without_the_key_nothing_is_sealed(home) -> None:
    part_key.public_path(home).unlink()
    with pytest.raises(SealError):
        sealed(home, "x")
