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

from gateway.exports import keys
from gateway.exports.keys import ExportKeyError
from tests.exports.shipping import export_home


def test_a_signature_is_checked_by_what_is_published():
    with export_home() as home:
        made = keys.load(home.secrets("disclosure"))
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
        first, second = (keys.load(home.secrets("disclosure")) for home in (one, other))
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
            keys.load(path.parent)


def test_a_key_of_another_curve_is_none():
    with export_home() as home:
        path = home.secrets("disclosure") / keys.SIGNING_FILE
        other = ec.generate_private_key(ec.SECP384R1())
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(other.private_bytes(*form))
        with pytest.raises(ExportKeyError, match="P-256"):
            keys.load(path.parent)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": [{"key_id": "00", "spki": "AAAA"}]}'])
def test_a_wrong_list_is_none(content):
    with export_home() as home:
        home.export_keys.write_bytes(content)
        with pytest.raises(ExportKeyError):
            keys.published(home.export_keys)
