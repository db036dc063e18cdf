"""The offline half of the ceremony: nothing but folders, and a person who compares fingerprints."""

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.pki import ceremony, der, keys, offline, rollover
from tests.cli.small_admin import cli
from tests.pki.ground import empty_home

DOMAIN = "gateway.invalid"


@pytest.fixture
def safe(tmp_path, capsys):
    folder = tmp_path / "safe"
    assert cli("certificate", "ceremony", "root", "--out", str(folder), "--name", DOMAIN) == 0
    capsys.readouterr()
    return folder


@pytest.fixture
def carried(tmp_path):
    """Make a request as the gateway does, and return the file that is carried by hand."""

    def carry(kind):
        with empty_home() as home:
            content = rollover.request(home, kind).public_bytes(Encoding.PEM)
        file = tmp_path / f"{kind}.csr"
        file.write_bytes(content)
        return file

    return carry


def sign(capsys, *words, status=0):
    assert cli("certificate", "ceremony", "sign", *map(str, words), "--json") == status
    return json.loads(capsys.readouterr().out)


def test_a_root_with_its_record_and_never_a_second_one(safe, capsys):
    certificate = der.certificates((safe / "root.pem").read_bytes())[0]
    record = (safe / "root.record.txt").read_text(encoding="utf-8")
    digest = offline.grouped(keys.spki_sha256(certificate.public_key()))
    for text in ("证书仪式记录", "Record of a certificate ceremony", "_____"):
        assert text in record
    assert record.count(digest) == 2
    key = (safe / "root.key").read_text()
    assert key.splitlines()[1] not in record
    words = ("certificate", "ceremony", "root", "--out", str(safe), "--name", DOMAIN, "--json")
    assert cli(*words) == 1
    assert json.loads(capsys.readouterr().out)["refused"] == "FILE_EXISTS"
    assert (safe / "root.key").read_text() == key
    assert cli(*words[:-3], "--name", "No Domain") == 2


def test_requests_are_signed_by_the_authority_that_may(safe, carried, tmp_path, capsys):
    out = tmp_path / "client.pem"
    request = carried("client-authority")
    told = sign(
        capsys, "--root", safe, "--request", request, "--kind", "client-authority",
        "--out", out, "--yes",
    )  # fmt: skip
    made = der.certificates(out.read_bytes())[0]
    made.verify_directly_issued_by(ceremony.load(safe, "root").certificate)
    assert told["key_sha256"] == offline.grouped(keys.spki_sha256(made.public_key()))
    assert told["key_sha256"] in (tmp_path / "client.record.txt").read_text(encoding="utf-8")
    assert x509.load_pem_x509_csr(request.read_bytes()).public_key() == made.public_key()

    below = tmp_path / "below"
    words = ("certificate", "ceremony", "server-authority", "--root", str(safe))
    assert cli(*words, "--out", str(below), "--json") == 0
    capsys.readouterr()
    server = tmp_path / "server.pem"
    sign(
        capsys, "--authority", below, "--request", carried("server"), "--kind", "server",
        "--host", "10.0.0.1", "--host", DOMAIN, "--out", server, "--yes",
    )  # fmt: skip
    chain = der.certificates(server.read_bytes())
    assert len(chain) == 2
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [DOMAIN]


def test_nothing_is_signed_before_the_fingerprint_is_confirmed(
    safe, carried, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "client.pem"
    request = carried("client-authority")
    digest = keys.spki_sha256(x509.load_pem_x509_csr(request.read_bytes()).public_key())
    shown = []

    def refuse(text, **_):
        shown.append((text, capsys.readouterr().err))
        return False

    monkeypatch.setattr("gateway.cli.ceremony.typer.confirm", refuse)
    told = sign(
        capsys, "--root", safe, "--request", request, "--kind", "client-authority",
        "--out", out, status=1,
    )  # fmt: skip
    assert told["refused"] == "NOT_CONFIRMED"
    assert not out.exists()
    [(asked, before)] = shown
    assert "fingerprint" in asked
    assert offline.grouped(digest) in before


def test_a_wrong_folder_a_wrong_kind_a_torn_request(safe, carried, tmp_path, capsys):
    request, out = carried("server"), tmp_path / "out.pem"
    to = ("--request", str(request), "--out", str(out), "--yes")
    noun = ("certificate", "ceremony", "sign")
    assert cli(*noun, *to, "--kind", "server", "--root", str(safe), "--host", DOMAIN) == 2
    assert cli(*noun, *to, "--kind", "client-authority", "--authority", str(safe)) == 2
    assert cli(*noun, *to, "--kind", "client-authority") == 2
    assert cli(*noun, *to, "--kind", "client-authority", "--root", str(safe), "--host", "x") == 2
    request.write_text("torn")
    assert cli(*noun, *to, "--kind", "client-authority", "--root", str(safe)) == 2
    assert "csr-encoding" in capsys.readouterr().err
    assert not out.exists()
