"""The files of the sealing keys: what lies where, who takes which, and how a key follows another."""

import json
import stat
from pathlib import Path

import pytest

from gateway.config import folders, users
from gateway.config.home import Home
from gateway.store import seal_keys
from gateway.store.seal import Opener
from gateway.store.seal_keys import CurrentRecipients, SealError, SealRecipients


@pytest.fixture
def home(tmp_path) -> Home:
    made = Home(tmp_path / "home")
    if users.separate():
        users.make_users()
    folders.make_folders(made)
    seal_keys.make_keys(made)
    return made


def names(home: Home, use: str) -> list[str]:
    return [one.key_id for one in seal_keys.listed(home) if one.use == use]


def test_files_are_private_and_hold_what_the_names_say(home: Home) -> None:
    private = [*home.secrets("disclosure").iterdir(), *home.secrets("intake").iterdir()]
    assert sorted(path.name for path in private) == [
        "blind-index.key",
        "blind-index.key",
        "seal-body.key",
        "seal-restricted.key",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert {path.stat().st_size for path in private} == {32, 96}
    text = home.seal_keys.read_bytes()
    for path in private:
        assert path.read_bytes()[:32].hex() not in text.hex()
    if users.separate():
        owners = {path.stat().st_uid for path in home.secrets("intake").iterdir()}
        assert owners == {users.user_of("intake").uid}


def test_recipients_are_refused_when_changed(home: Home, tmp_path) -> None:
    good = json.loads(home.seal_keys.read_bytes())
    changes = [
        {"recipients": []},
        {"recipients": [good["recipients"][0] | {"suite": "X25519"}, good["recipients"][1]]},
        {"recipients": [good["recipients"][0] | {"use": "other"}, good["recipients"][1]]},
        {"recipients": [good["recipients"][0] | {"key_id": "0" * 16}, good["recipients"][1]]},
        {"recipients": [good["recipients"][0] | {"x25519": ""}, good["recipients"][1]]},
        {"other": 1},
        [],
    ]
    for change in changes:
        path = tmp_path / "seal-keys.json"
        path.write_text(json.dumps(change))
        with pytest.raises(SealError, match="not a list of sealing recipients"):
            SealRecipients.load(path)
    with pytest.raises(SealError):
        SealRecipients.load(tmp_path / "absent")


def test_a_malformed_private_key_is_refused(tmp_path) -> None:
    (tmp_path / "seal-body.key").write_bytes(b"short")
    with pytest.raises(SealError, match="not a sealing key"):
        Opener.load(tmp_path)


def test_a_key_follows_another_and_the_one_before_stays(home: Home) -> None:
    [first], [other] = names(home, "body"), names(home, "restricted")
    current = CurrentRecipients(home.seal_keys)
    key_id = seal_keys.prepare(home, "body")
    # Nobody seals to it while disclosure alone knows of it.
    assert current.newest("body").key_id == first
    assert key_id in seal_keys.read_private(home.secrets("disclosure"))
    seal_keys.publish(home, "body", key_id)
    assert current.newest("body").key_id == key_id
    assert (names(home, "body"), names(home, "restricted")) == ([first, key_id], [other])
    assert [one.newest for one in seal_keys.listed(home)] == [False, True, True]
    assert set(seal_keys.read_private(home.secrets("disclosure"))) == {first, key_id, other}
    if users.separate():
        owners = {path.stat().st_uid for path in home.secrets("disclosure").iterdir()}
        assert owners == {users.user_of("disclosure").uid}


@pytest.mark.parametrize("use", seal_keys.USES)
def test_both_steps_can_be_taken_again(home: Home, use: seal_keys.Use) -> None:
    key_id = seal_keys.prepare(home, use)
    assert seal_keys.prepare(home, use) == key_id
    seal_keys.publish(home, use, key_id)
    seal_keys.publish(home, use, key_id)
    assert names(home, use)[1:] == [key_id]
    assert seal_keys.prepare(home, use) != key_id


def test_a_key_that_disclosure_has_not_is_never_published(home: Home) -> None:
    """Nobody could open what would be sealed to it."""
    with pytest.raises(SealError, match="cannot be read"):
        seal_keys.publish(home, "body", "0" * 16)
    [path] = home.secrets("disclosure").glob(f"seal-body-{seal_keys.prepare(home, 'body')}.key")
    path.write_bytes(b"cut off")
    with pytest.raises(SealError, match="not a sealing key"):
        seal_keys.prepare(home, "body")
    assert len(seal_keys.listed(home)) == 2


@pytest.mark.parametrize("break_it", [Path.unlink, lambda path: path.write_text("{")])
def test_who_cannot_tell_to_whom_seals_to_nobody(home: Home, break_it) -> None:
    current, good = CurrentRecipients(home.seal_keys), home.seal_keys.read_bytes()
    assert current.newest("body").key_id == names(home, "body")[0]
    break_it(home.seal_keys)
    with pytest.raises(SealError):
        current.newest("body")
    folders.replace_public(home.seal_keys, good)
    assert current.newest("body").key_id == names(home, "body")[0]


def test_without_a_change_no_file_is_read(home: Home, monkeypatch) -> None:
    current = CurrentRecipients(home.seal_keys)
    known = current.newest("restricted")

    def nobody(_path):
        raise AssertionError("read again")

    monkeypatch.setattr(SealRecipients, "load", nobody)
    assert current.newest("restricted") is known
