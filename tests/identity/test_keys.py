"""Token keys: made as a private and a public file, read strictly."""

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from gateway.identity import keys
from gateway.identity.keys import KeyFileError
from tests.identity.office import write_keys


def test_what_is_made_can_be_read_and_an_independent_library_agrees(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    found = keys.read_private(private)
    [(kid, key)] = keys.read_public(public).items()
    assert kid == found["kid"] == ECKey.import_key(dict(key)).thumbprint()
    assert "d" not in key
    assert {name: found[name] for name in key} == key
    assert ECKey.import_key(dict(found)).is_private


def test_two_keys_differ_and_a_private_one_is_not_shown() -> None:
    first, second = keys.make(), keys.make()
    assert first.kid != second.kid
    assert json.loads(first.private_jwk)["d"] not in repr(first)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "{}",
        '{"keys": 1}',
        '{"keys": [1]}',
        '{"keys": [], "more": 1}',
        "[" * 100_000,
        '{"keys":[]}' + " " * 70_000,
    ],
)
def test_a_public_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token-keys.json"
    path.write_text(text)
    with pytest.raises(KeyFileError):
        keys.read_public(path)


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct"},
        {"crv": "P-384"},
        {"alg": "HS256"},
        {"use": "enc"},
        {"kid": "mine"},
        {"x": "AA"},
        {"y": 1},
        {"k": "secret"},
        {"d": "x" * 43},
    ],
)
def test_a_key_of_another_form_is_refused(tmp_path: Path, change: dict) -> None:
    _, public = write_keys(tmp_path)
    document = json.loads(public.read_text())
    document["keys"][0] |= change
    public.write_text(json.dumps(document))
    with pytest.raises(KeyFileError):
        keys.read_public(public)


@pytest.mark.parametrize("text", ["[]", "{}", "null"])
def test_a_private_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token-key.json"
    path.write_text(text)
    with pytest.raises(KeyFileError):
        keys.read_private(path)


def test_a_private_file_needs_its_secret_and_errors_never_show_it(tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path)
    document = json.loads(private.read_text())
    secret = document["d"]
    for wrong in (document | {"d": secret + "A"}, document | {"d": 7}, {**document, "x": secret}):
        private.write_text(json.dumps(wrong))
        with pytest.raises(KeyFileError) as refused:
            keys.read_private(private)
        assert secret not in str(refused.value)


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        keys.read_public(tmp_path / "none.json")
