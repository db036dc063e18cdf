"""The keys lie with disclosure alone, and what checks them is public."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from gateway.store import export_keys as keys
from gateway.store.export_keys import ExportKeyError
from tests.exports.shipping import export_home


def test_a_signature_is_checked_by_what_is_published():
    with export_home() as home:
        made = keys.load(home)
        [(key_id, spki)] = keys.published(home.export_keys).items()
        assert key_id == made.key_id
        key = load_der_public_key(spki)
        key.verify(made.sign(b"content"), b"content", ec.ECDSA(SHA256()))
        assert len(made.tokens) == 32


def test_the_files_are_for_one_user_and_hold_no_key_in_public():
    with export_home() as home:
        folder = home.secrets("disclosure")
        for name in (keys.SIGNING_FILE, keys.TOKENS_FILE):
            assert (folder / name).stat().st_mode & 0o777 == 0o600
        public = home.export_keys.read_text()
        assert set(json.loads(public)["keys"][0]) == {"key_id", "spki"}
        assert "PRIVATE" not in public


def test_two_gateways_have_different_keys():
    with export_home() as one, export_home() as other:
        first, second = (keys.load(home) for home in (one, other))
        assert first.key_id != second.key_id
        assert first.tokens != second.tokens


@pytest.mark.parametrize("name", [keys.SIGNING_FILE, keys.TOKENS_FILE])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_wrong_file_is_no_key(name, content):
    with export_home() as home:
        path = home.secrets("disclosure") / name
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ExportKeyError):
            keys.load(home)


def test_a_key_of_another_curve_is_none():
    with export_home() as home:
        path = home.secrets("disclosure") / keys.SIGNING_FILE
        other = ec.generate_private_key(ec.SECP384R1())
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(other.private_bytes(*form))
        with pytest.raises(ExportKeyError, match="P-256"):
            keys.load(home)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": [{"key_id": "00", "spki": "AAAA"}]}'])
def test_a_wrong_list_is_none(content):
    with export_home() as home:
        home.export_keys.write_bytes(content)
        with pytest.raises(ExportKeyError):
            keys.published(home.export_keys)


class CrashError(BaseException):
    """The power is gone."""


def crash_after(patched, effects):
    """Let so many files be written, then crash in place of the next."""
    left = [effects]

    def counted(real):
        def write(*arguments):
            if left[0] == 0:
                raise CrashError
            left[0] -= 1
            real(*arguments)

        return write

    for name in ("replace_private", "replace_public"):
        patched.setattr(keys, name, counted(getattr(keys, name)))


@pytest.mark.parametrize("after", range(3))
def test_what_broke_off_while_keys_were_made_is_finished(monkeypatch, after):
    with export_home() as home:
        for path in (home.export_keys, *home.secrets("disclosure").iterdir()):
            path.unlink()
        with monkeypatch.context() as patched:
            crash_after(patched, after)
            with pytest.raises(CrashError):
                keys.make(home)
        assert keys.make(home)
        assert list(keys.published(home.export_keys)) == [keys.load(home).key_id]
        assert len(list(home.secrets("disclosure").iterdir())) == 2
        made = keys.load(home)
        assert not keys.make(home)
        assert keys.load(home).tokens == made.tokens


def test_a_key_that_is_gone_while_its_list_stands_is_not_made_anew():
    with export_home() as home:
        (home.secrets("disclosure") / keys.SIGNING_FILE).unlink()
        assert not keys.make(home)
        with pytest.raises(ExportKeyError, match="no private key"):
            keys.load(home)


def test_a_key_follows_once_and_nothing_private_is_left_of_the_one_before():
    with export_home() as home:
        old, tokens = keys.load(home).key_id, keys.load(home).tokens
        new = keys.follow(home, old)
        assert keys.follow(home, old) == new != old
        assert list(keys.published(home.export_keys)) == [old, new]
        assert (keys.load(home).key_id, keys.load(home).tokens) == (new, tokens)
        names = {path.name for path in home.secrets("disclosure").iterdir()}
        assert names == {f"export-{new}.key", keys.TOKENS_FILE}
        assert (home.secrets("disclosure") / f"export-{new}.key").stat().st_mode & 0o777 == 0o600


def test_a_door_that_runs_notices_the_next_key_and_is_told_of_a_list_that_is_none():
    with export_home() as home:
        running = keys.CurrentKeys(home)
        old = running.keys()
        new = keys.follow(home, old.key_id)
        assert running.keys().key_id == new
        assert list(running.published()) == [old.key_id, new]
        good = home.export_keys.read_bytes()
        home.export_keys.write_text("{")
        for _ in range(2):
            with pytest.raises(ExportKeyError):
                running.keys()
        home.export_keys.write_bytes(good)
        assert running.keys().key_id == new


def test_a_key_that_is_followed_between_two_looks_is_not_missed(monkeypatch):
    with export_home() as home:
        old = keys.load(home).key_id
        real, met = keys._loaded, []

        def loaded(where, key_id):
            if not met:
                met.append(keys.follow(home, old))
            return real(where, key_id)

        monkeypatch.setattr(keys, "_loaded", loaded)
        assert keys.load(home).key_id == met[0]
