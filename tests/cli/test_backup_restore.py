"""`gateway backup approve`: a statement by the profile's key over what its own log names; the way to the end: tests/e2e/test_backup.py."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from gateway.backups import approval
from gateway.cli.output import Output
from gateway.client import profile
from gateway.clock import SYSTEM
from gateway.config.settings import PortSettings
from tests.backups.conftest import backup, stand  # noqa: F401  fixtures
from tests.backups.stand import KEY, Stand
from tests.cli.small_admin import cli


@pytest.fixture
def officer(stand: Stand, tmp_path: Path) -> Path:  # noqa: F811  a fixture
    """The profile of zhao."""
    key, certificate = stand.officers["zhao"]
    remote = profile.Remote(
        host="127.0.0.1",
        server_name="sx.example",
        trust_domain="sx.example",
        organisation="140000",
        account="zhao",
        log_key=str(stand.keys.newest),
        ports=PortSettings(),
    )
    pem = load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    root = stand.home.root_certificate.read_bytes()
    return profile.write(tmp_path / "zhao", remote, key=key, certificate=pem, root=root).folder


def approve(folder: Path, officer: Path, out: Path, *more: str) -> int:
    words = ("approve", folder, "--because", "disk-lost", "--out", out, "-p", officer, *more)
    return cli("backup", *map(str, words))


def test_what_is_signed_is_the_backups_digest(stand: Stand, officer, tmp_path, capsys) -> None:  # noqa: F811
    out = tmp_path / "approval"
    assert approve(stand.kept.folder, officer, out, "--json") == 0
    said, made = json.loads(capsys.readouterr().out), approval.parse(out.read_bytes())
    assert (made.manifest_sha256, made.cause) == (said["sha256"], "disk-lost")
    assert made.certificate == stand.officers["zhao"][1]
    assert made.signed_us <= SYSTEM.now_us()


def test_nobody_signs_what_his_log_does_not_name(backup, officer, tmp_path, capsys) -> None:  # noqa: F811
    (backup / "manifest.json").write_bytes((backup / "manifest.json").read_bytes() + b" ")
    assert approve(backup, officer, tmp_path / "approval", "--json") == 1
    assert json.loads(capsys.readouterr().out)["refused"] == "BACKUP_FORM"
    assert not (tmp_path / "approval").exists()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_one_approval_restores_nothing(stand: Stand, officer, tmp_path, capsys, lang) -> None:  # noqa: F811
    assert approve(stand.kept.folder, officer, tmp_path / "a", "--lang", lang) == 0
    (tmp_path / "key").write_text(KEY)
    target = stand.home.root.with_name("new")
    words = ["restore", stand.kept.folder, target, "--key", stand.home.log_key]
    words += ["--identity", tmp_path / "key", "--approval", tmp_path / "a", "--lang", lang]
    assert cli("backup", *map(str, words)) == 1
    said = capsys.readouterr()
    assert Output(lang).text("backup.code.BACKUP_NOT_APPROVED") in said.err
    assert KEY not in said.out + said.err
    assert not target.exists()
