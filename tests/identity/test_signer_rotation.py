"""The steps of the log's key on the files: repeatable, and nothing is published that the signer did not vouch for."""

from collections.abc import Iterator

import pytest

from gateway.config import folders, log_keys
from gateway.config.home import Home
from gateway.identity import signer_rotation
from gateway.identity.signer_rotation import SignerKeyError
from gateway.signer.memory import Memory
from gateway.tlog import note
from gateway.tlog.keys import LogKeys, Succession
from tests.audit.stage import ORIGIN, signer_home
from tests.signer.claims import ask, line


@pytest.fixture
def home() -> Iterator[Home]:
    with signer_home() as made:
        yield made


def published(home: Home) -> note.Verifier:
    return note.parse_vkey(home.log_key.read_text().strip())


def follow(home: Home, memory: Memory) -> Succession:
    signer_rotation.add(home)
    memory.renew()
    return signer_rotation.publish(home)[0]


def test_a_key_follows_and_anybody_can_tell_from_the_public_files(home: Home) -> None:
    memory, first = Memory.load(home), published(home)
    assert ask(memory, line(0, 5)) == [5]
    found = follow(home, memory)
    assert (found.old, found.new, found.from_size) == (first, published(home), 5)
    signer_rotation.retire(home)
    assert ask(memory, line(5, 9)) == [9]
    keys = LogKeys.of(first, log_keys.read(home.log_keys))
    assert keys.open(memory.checkpoint).size == 9
    assert (home.log_keys / "1").stat().st_mode & 0o777 == folders.PUBLIC_FILE


def test_every_step_can_be_taken_again(home: Home) -> None:
    memory = Memory.load(home)
    found = follow(home, memory)
    assert signer_rotation.verifiers(home) == [found.new, found.old]
    signer_rotation.add(home)
    assert signer_rotation.publish(home)[0] == found
    assert len(log_keys.files(home.log_keys)) == 1
    signer_rotation.retire(home)
    signer_rotation.retire(home)
    assert signer_rotation.verifiers(home) == [found.new]


def test_years_of_keys_make_one_chain(home: Home) -> None:
    memory, first = Memory.load(home), published(home)
    sizes = [0, 3, 3, 8]
    for size in sizes:
        ask(memory, line(memory.growth.size, size))
        follow(home, memory)
        signer_rotation.retire(home)
        memory.renew()
    keys = LogKeys.of(first, log_keys.read(home.log_keys))
    assert [one.from_size for one in keys.ranges] == [0, *sizes]
    assert keys.newest == published(home) == memory.keys.verifiers[0]


def test_what_the_signer_has_not_vouched_for_is_not_published(home: Home) -> None:
    first = published(home)
    signer_rotation.add(home)
    with pytest.raises(SignerKeyError, match="not vouched"):
        signer_rotation.publish(home)
    assert published(home) == first
    assert not home.log_keys.exists()


@pytest.mark.parametrize("forged", ["other key", "only new", "other log"])
def test_a_note_that_is_not_of_the_newest_key_is_not_published(home: Home, forged: str) -> None:
    signer_rotation.add(home)
    new, old = signer_rotation._signers(home)
    thief, other = note.Signer(ORIGIN, bytes(32)), note.Signer("other/log", bytes(32))
    notes = {
        "other key": Succession(old.verifier, thief.verifier, 0).signed(thief, old),
        "only new": note.sign(Succession(old.verifier, new.verifier, 0).text(), new),
        "other log": Succession(other.verifier, other.verifier, 0).signed(other, other),
    }
    home.succession.write_text(notes[forged])
    with pytest.raises(SignerKeyError):
        signer_rotation.publish(home)
    assert published(home) == old.verifier


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"\xff"])
def test_keys_that_are_none_are_told_without_quoting_them(home: Home, content: bytes) -> None:
    home.signing_keys.write_bytes(content)
    for step in (signer_rotation.add, signer_rotation.retire, signer_rotation.verifiers):
        with pytest.raises(SignerKeyError) as raised:
            step(home)
        assert "nonsense" not in str(raised.value)
