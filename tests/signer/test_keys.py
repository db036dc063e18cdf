"""A key follows another in the signer: vouched for once, at the signer's own size, and never back."""

import json
import os
from pathlib import Path

import pytest

from gateway.config import folders, log_keys
from gateway.config.home import Home
from gateway.identity import signer_rotation
from gateway.signer import keys as signing
from gateway.signer.keys import KeysError
from gateway.signer.memory import STATE_FILE, Memory, StateError
from gateway.tlog import note
from gateway.tlog.keys import LogKeys, Succession, read_succession, signs
from tests.audit.stage import ORIGIN
from tests.signer.claims import ask, line
from tests.signer.test_serving import served


def publish(home: Home) -> None:
    """As the host does once the signer has vouched."""
    home.log_keys.mkdir(exist_ok=True)
    log_keys.following(home.log_keys).write_text(home.succession.read_text())


def followed(home: Home, size: int = 5) -> tuple[Memory, note.Verifier, note.Verifier]:
    """Return a signer of a log of `size` whose first key is being followed, the first and the new key."""
    memory = Memory.load(home)
    ask(memory, line(0, size))
    old = memory.keys.verifiers[0]
    signer_rotation.add(home)
    memory.renew()
    return memory, old, memory.keys.verifiers[0]


def test_a_key_follows_from_where_the_signer_stands(home: Home) -> None:
    memory, old, new = followed(home)
    found = read_succession(home.succession.read_text(), ORIGIN)
    assert found == Succession(old, new, 5)
    # At once, without any growth: both lines over the same head.
    assert signs(memory.checkpoint, old)
    assert signs(memory.checkpoint, new)
    assert ask(memory, line(5, 9)) == [9]
    assert signs(memory.checkpoint, old)
    keys = LogKeys.of(old, [home.succession.read_text()])
    assert keys.open(memory.checkpoint).size == 9


def test_the_newest_is_asked_for_and_signed_by_the_keys_that_are_there_now(home: Home) -> None:
    memory = Memory.load(home)
    old = memory.keys.verifiers[0]
    signer_rotation.add(home)
    [[answer]] = served(home, memory, [b'{"newest": true}\n'])
    assert signs(str(answer["checkpoint"]), old)
    assert signs(str(answer["checkpoint"]), memory.keys.verifiers[0])
    assert memory.keys.verifiers[0] != old
    signer_rotation.retire(home)
    [[answer]] = served(home, memory, [b'{"newest": true}\n'])
    assert not signs(str(answer["checkpoint"]), old)


def test_adding_and_retiring_again_changes_nothing_more(home: Home) -> None:
    _, old, new = followed(home)
    signer_rotation.add(home)
    assert signing.read(home).verifiers == [new, old]
    signer_rotation.retire(home)
    signer_rotation.retire(home)
    assert signing.read(home).verifiers == [new]
    assert home.signing_keys.stat().st_mode & 0o777 == 0o600


def test_the_old_key_is_overwritten_where_it_lay(home: Home, tmp_path: Path) -> None:
    memory, old, _ = followed(home)
    kept = tmp_path / "inode"
    os.link(home.signing_keys, kept)
    signer_rotation.retire(home)
    assert set(kept.read_bytes()) == {0}
    memory.renew()
    assert not signs(memory.checkpoint, old)
    assert ask(Memory.load(home), line(5, 9)) == [9]


def test_a_restart_in_the_overlap_goes_on_with_both_and_vouches_once(home: Home) -> None:
    _, old, new = followed(home)
    vouched = home.succession.read_text()
    again = Memory.load(home)
    assert ask(again, line(5, 9)) == [9]
    assert again.keys.verifiers == [new, old]
    assert home.succession.read_text() == vouched
    assert Memory.load(home).growth.size == 9


def test_a_signer_that_was_down_meanwhile_vouches_as_it_starts(home: Home) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 5))
    signer_rotation.add(home)
    again = Memory.load(home)
    assert read_succession(home.succession.read_text(), ORIGIN).from_size == 5
    assert signs(again.checkpoint, memory.keys.verifiers[0])


def test_killed_after_the_note_and_before_the_state_it_goes_on_from_there(home: Home) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 5))
    signer_rotation.add(home)
    signing.vouch(home, signing.read(home), 5)
    vouched = home.succession.read_text()
    again = Memory.load(home)
    assert home.succession.read_text() == vouched
    assert ask(again, line(5, 9)) == [9]
    keys = LogKeys.of(memory.keys.verifiers[0], [vouched])
    assert keys.open(again.checkpoint).size == 9


@pytest.mark.parametrize("broken", ["note", "state"])
def test_nothing_is_signed_while_note_or_state_cannot_be_stored(
    home: Home, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A disk full in the middle: not one checkpoint of the old key alone after the note that ends it."""
    memory = Memory.load(home)
    ask(memory, line(0, 5))
    signer_rotation.add(home)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        if broken == "note":
            patched.setattr(signing, "replace_private", full)
        else:
            patched.setattr(os, "fdatasync", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                ask(memory, line(5, 9))
        answer = [{"refused": "state"}]
        assert served(home, memory, [b'{"newest": true}\n']) == [answer]
    assert ask(memory, line(5, 9)) == [9]
    assert read_succession(home.succession.read_text(), ORIGIN).from_size == 5
    assert all(signs(memory.checkpoint, one) for one in memory.keys.verifiers)


SEED = bytes(32)
BAD = {
    "nothing": "",
    "nonsense": "nonsense\n",
    "three": "\n".join(note.Signer(ORIGIN, bytes([n]) * 32).secret_line() for n in range(3)),
    "one twice": "\n".join([note.Signer(ORIGIN, SEED).secret_line()] * 2),
    "two logs": "\n".join(note.Signer(name, SEED).secret_line() for name in (ORIGIN, "other/log")),
    "a stranger's": note.Signer(ORIGIN, SEED).secret_line(),
    "another log's": note.Signer("other/log", SEED).secret_line(),
}


@pytest.mark.parametrize("bad", BAD)
def test_keys_that_are_no_good_change_nothing_while_it_runs(home: Home, bad: str) -> None:
    memory = Memory.load(home)
    ask(memory, line(0, 5))
    folders.replace_private(home.signing_keys, BAD[bad].encode())
    assert ask(memory, line(5, 9)) == [9]
    with pytest.raises((KeysError, StateError)) as raised:
        Memory.load(home)
    assert "PRIVATE" not in str(raised.value)


def test_the_state_names_its_keys_where_the_key_here_is_another(home: Home) -> None:
    memory, old, new = followed(home)
    folders.replace_private(home.signing_keys, BAD["a stranger's"].encode())
    with pytest.raises(StateError) as raised:
        Memory.load(home)
    assert old.key_id.hex() in str(raised.value)
    assert new.key_id.hex() in str(raised.value)
    assert memory.growth.size == 5


def test_a_signer_restored_with_the_old_key_signs_nothing(home: Home) -> None:
    """From a backup of its folder, key and state together: the public note tells that it was followed."""
    folder = home.secrets("signer")
    ask(Memory.load(home), line(0, 5))
    backup = {path: path.read_bytes() for path in folder.iterdir()}
    memory, _, _ = followed(home, 9)
    publish(home)
    signer_rotation.retire(home)
    memory.renew()
    for path in folder.iterdir():
        path.unlink()
    for path, content in backup.items():
        folders.write_private(path, content)
    with pytest.raises(KeysError, match="has followed"):
        Memory.load(home)
    # Nor while it runs.
    ask(memory, line(9, 20))
    assert signs(memory.checkpoint, memory.keys.verifiers[0])


def test_a_state_older_than_the_key_that_signs_it_is_refused(home: Home) -> None:
    ask(Memory.load(home), line(0, 5))
    state = home.secrets("signer") / STATE_FILE
    before = state.read_bytes()
    followed(home, 9)
    state.write_bytes(before)
    with pytest.raises(KeysError, match="older than the key"):
        Memory.load(home)


def test_what_others_put_into_the_public_folder_does_not_stop_the_signer(home: Home) -> None:
    memory = Memory.load(home)
    own = memory.keys.verifiers[0]
    thief = note.Signer(ORIGIN, SEED)
    forged = note.sign(Succession(own, thief.verifier, 0).text(), thief)
    home.log_keys.mkdir()
    for number, content in enumerate([forged, "nonsense", "\xff", ""], 1):
        (home.log_keys / str(number)).write_bytes(content.encode("latin-1", "ignore"))
    assert ask(Memory.load(home), line(0, 5)) == [5]


def test_two_keys_fit_into_a_slot_of_the_largest_log(home: Home) -> None:
    memory, _, _ = followed(home)
    content = json.dumps({"checkpoint": memory.checkpoint, "frontier": ["0" * 64] * 63})
    assert len(content) < 8192
